"""One command for each verb, made from its stages: `compress finetune`, `distill`, `prune`, `export`, `quantize`.

A command is named by the word at the head of its stages' names; where it has several stages, `--how` chooses.
"""

import inspect
import shlex
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from compress.cli import options
from compress.cli.help_pages import MAKE, RUNNING, add_command
from compress.cli.options import Json
from compress.cli.run import Force, RunsDir, finish
from compress.cli.saying import say, say_first
from compress.errors import InputError, did_you_mean
from compress.files.disks import can_write_below

WHOLE = "full"
"""The technique of a stage that is called as its verb is."""
DEFAULT_HOW = {"finetune": WHOLE, "quantize": "onnx_dynamic"}
"""The technique of a verb that has several, where `--how` is left out."""
TECHNIQUE = "Technique and inputs"
AUTO_HOW = {"quantize": "onnx_auto"}
"""The technique of a verb that tries the others: `--auto` is short for it."""

CHOOSING = {"quantize": {"form": "onnx_static"}}
"""Options that one technique alone has, and that choose it where `--how` is left out."""


def verb_of(stage: str) -> str:
    """The verb at the head of a stage's name."""
    return stage.partition("_")[0]


def verbs() -> dict[str, list[str]]:
    """Names of stages by their verb, in the order of the names."""
    from compress import stages

    found: dict[str, list[str]] = {}
    for name in stages.names():
        found.setdefault(verb_of(name), []).append(name)
    return found


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for verb, names in verbs().items():
        add_command(app, verb, _command(verb, names), MAKE, partial(_examples, verb, names))


def step_options(verb: str, names: list[str]) -> list[inspect.Parameter]:
    """Options of a verb: `--how`, the inputs beside the first, and the settings of all its stages."""
    from compress import stages

    parameters: dict[str, inspect.Parameter] = {}
    owners: dict[str, list[str]] = {}
    if len(names) > 1:
        hows = [_how(verb, name) for name in names]
        default = DEFAULT_HOW.get(verb)
        help_text = f"Technique. [default: {default}]" if default else "Technique."
        parameters["how"] = options.option("how", help_text, "|".join(hows), TECHNIQUE)
    if verb in AUTO_HOW:
        text = f"Try the techniques, and take the best: --how {AUTO_HOW[verb]}."
        flag = typer.Option("--auto", help=text, rich_help_panel=TECHNIQUE)
        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters["auto"] = inspect.Parameter("auto", keyword, default=False, annotation=Annotated[bool, flag])
    for name in names:
        stage = stages.find(name)
        for role, wanted in stage.other_inputs.items():
            note = "" if not wanted.optional else " Optional."
            parameters[role] = options.option(
                role, f"The {role.replace('_', ' ')}: a folder or a source.{note}", "MODEL", TECHNIQUE
            )
        for parameter in options.model_options(stage.config):
            parameters.setdefault(parameter.name, parameter)
            owners.setdefault(parameter.name, []).append(_how(verb, name))
    if len(names) > 1:
        for name, hows in owners.items():
            if len(hows) == 1:
                options.retitle(parameters[name], f"(--how {hows[0]})")
    return list(parameters.values())


def step_from(verb: str, names: list[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's step from a command's options.

    Raises:
        InputError: `--how` names no technique of this verb, or stands beside `--auto`; or an option is another
            technique's.
    """
    from compress import stages

    chosen = dict(given)
    how = chosen.pop("how", None)
    if chosen.pop("auto", False):
        if how not in {None, AUTO_HOW[verb]}:
            raise InputError(
                f"--auto chooses the technique itself, and --how names '{how}'", fix="leave one of them out"
            )
        how = AUTO_HOW[verb]
    for option, technique in CHOOSING.get(verb, {}).items():
        if chosen.get(option) is not None:
            how = _chosen_by(option, technique, how)
    how = how or DEFAULT_HOW.get(verb)
    by_how = {_how(verb, name): name for name in names}
    if len(names) > 1 and how not in by_how:
        what = f"{verb} has no technique '{how}'" if how else f"{verb} has several techniques"
        raise InputError(what, where="--how", fix=did_you_mean(str(how or ""), by_how))
    name = by_how[str(how)] if len(names) > 1 else names[0]
    roles = {role: chosen.pop(role) for role in stages.find(name).other_inputs if chosen.get(role)}
    return {"stage": name, **roles, **options.settings_from(chosen)}


def summary(names: list[str]) -> str:
    """The help text of a verb: what its stages' modules say, the default technique first."""
    from compress import stages

    verb = verb_of(names[0])
    texts: list[str] = []
    for name in _default_first(verb, names):
        module = sys.modules[stages.find(name).config.__module__]
        text = (module.__doc__ or "").split("```yaml")[0].strip()
        texts.append(text if not texts else f"--how {_how(verb, name)}: {text}")
    return "\n\n".join(texts)


def _examples(verb: str, names: list[str]) -> list[str]:
    """One command line for each technique: what its module shows as a recipe's step."""
    return [_example(verb, name, several=len(names) > 1) for name in _default_first(verb, names)]


def _example(verb: str, name: str, *, several: bool) -> str:
    """The step in a stage's docstring as a command.

    Args:
        several: the verb has several techniques.
    """
    import yaml

    from compress import stages

    stage = stages.find(name)
    text = (sys.modules[stage.config.__module__].__doc__ or "").partition("```yaml")[2].partition("```")[0]
    (step,) = yaml.safe_load(text)
    settings = {key: value for key, value in step.items() if key not in {"name", "stage", stage.base_role}}
    words = [f"compress {verb} {stage.inputs[stage.base_role].format.partition('_')[0]}-model/"]
    words += [f"--how {_how(verb, name)}"] if several and _how(verb, name) != DEFAULT_HOW.get(verb) else []
    read = {role: settings.pop(role) for role in stage.other_inputs if role in settings}
    if stage.reads_data(stage.config.model_validate(settings)):
        words += ["--train train.csv"]
    words += [f"--{role.replace('_', '-')} {value}/" for role, value in read.items()]
    return " ".join([*words, *_flags(settings), f"--out {step['name']}/"])


def _flags(settings: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Settings as options."""
    found = []
    for name, value in settings.items():
        option = f"{prefix}{name}".replace("_", "-")
        if isinstance(value, Mapping):
            found += _flags(value, f"{option}-")
        elif isinstance(value, bool):
            found.append(f"--{option}" if value else f"--no-{option}")
        else:
            text = f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)
            found.append(f"--{option} {shlex.quote(text)}")
    return found


def _default_first(verb: str, names: list[str]) -> list[str]:
    return sorted(names, key=lambda name: _how(verb, name) != DEFAULT_HOW.get(verb))


def _how(verb: str, name: str) -> str:
    return name.removeprefix(verb).removeprefix("_") or WHOLE


def _chosen_by(option: str, technique: str, how: str | None) -> str:
    """The technique that an option chooses, if no other is named."""
    if how in {None, technique}:
        return technique
    if how in AUTO_HOW.values():
        fix = "leave it out: --auto takes the form that its target reads, such as --target-runtime openvino"
    else:
        fix = f"give --how {technique}, or leave --how out"
    raise InputError(f"--{option} is a setting of {technique} alone, not of {how}", where=f"--{option}", fix=fix)


def _command(verb: str, names: list[str]) -> Any:
    from compress import stages

    stage = stages.find(names[0])
    first = stage.inputs[stage.base_role]
    keyword = inspect.Parameter.KEYWORD_ONLY
    positional = typer.Argument(
        help="A folder, hf://org/name@revision, or pypi://dist==version/path."
        + (" Several may be named." if first.many else ""),
        metavar=stage.base_role.upper(),
    )
    out = typer.Option(
        "--out", "-o", help="Put the result into this new folder.", file_okay=False, rich_help_panel=RUNNING
    )
    seed = typer.Option("--seed", help="Seed of splits, weights and order.", rich_help_panel=RUNNING)
    kind = list[str] if first.many else str
    parameters = [
        inspect.Parameter("first_input", keyword, annotation=Annotated[kind, positional]),
        *step_options(verb, names),
        *options.data_options(),
        inspect.Parameter("out", keyword, default=None, annotation=Annotated[Path | None, out]),
        inspect.Parameter("seed", keyword, default=0, annotation=Annotated[int, seed]),
        inspect.Parameter("runs_dir", keyword, default=Path("runs"), annotation=RunsDir),
        inspect.Parameter("force", keyword, default=False, annotation=Force),
        inspect.Parameter("json_output", keyword, default=False, annotation=Json),
    ]

    def run_step(
        *,
        first_input: str | list[str],
        out: Path | None,
        seed: int,
        runs_dir: Path,
        force: bool,
        json_output: bool,
        **given: Any,
    ) -> None:
        inputs = first_input if isinstance(first_input, list) else [first_input]
        say_first(f"reading {', '.join(inputs)}", quiet=json_output)
        from compress.recipe.schema import Recipe
        from compress.recipe.validation import Origin, validate

        if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"'{out}' is there already", where="--out", fix="name a new or empty folder")
        if out is not None and not can_write_below(out):
            raise InputError(f"'{out}' cannot be written", where="--out", fix="name a folder that you may write to")
        task = options.take_data(given)
        step = step_from(verb, names, given)
        step = {"name": verb, stages.find(step["stage"]).base_role: first_input, **step}
        origin = Origin()
        recipe = validate(
            Recipe, {"name": verb, "seed": seed, "task": task, "steps": [step]}, origin, label="the options"
        )
        result = finish(recipe, origin, runs_dir, force=force, json_output=json_output)
        if out is not None:
            copy_final(result.folder, out)
            say(f"copied to: {out}", err=json_output)

    return options.with_signature(run_step, parameters, summary(names))


def copy_final(run: Path, out: Path) -> None:
    """Copy a run's final folder to a place of the user's, whole or not at all; no file is shared with the store."""
    from compress.files.disks import disk_error
    from compress.files.whole import FINAL, link_file, new_folder

    source = run / FINAL
    try:
        with new_folder(out) as folder:
            for file in sorted(source.rglob("*")):
                if file.is_file():
                    target = folder / file.relative_to(source)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    link_file(file, target, share=False)
    except OSError as error:
        raise disk_error(error, out) from error
