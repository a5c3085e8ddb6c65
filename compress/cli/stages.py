"""One command for each verb, made from its stages: `compress finetune`, `distill`, `prune`, `export`, `quantize`.

A new stage, also of another package, gets its command and its options by its name and its settings.
"""

import inspect
import shlex
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
from compress.cli.verbs import (
    AUTO_HOW,
    CHOOSING,
    default_first,
    default_technique,
    refusals,
    technique,
    verb_of,
    verbs,
)
from compress.errors import InputError, did_you_mean
from compress.files.disks import can_write_below

TECHNIQUE = "Technique and inputs"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for verb, names in verbs().items():
        add_command(app, verb, _command(verb, names), MAKE, partial(_examples, verb, names))


def step_options(verb: str, names: list[str]) -> list[inspect.Parameter]:
    """The options of a verb: `--how`, all inputs but the first, and the settings of all its stages."""
    from compress import stages

    parameters: dict[str, inspect.Parameter] = {}
    owners: dict[str, list[str]] = {}
    if len(names) > 1 or refusals(verb):
        hows = [technique(verb, name) for name in names]
        default = default_technique(verb)
        help_text = f"Technique. [default: {default}]" if default else "Technique."
        parameters["how"] = options.option("how", help_text, "|".join(hows), TECHNIQUE)
    if verb in AUTO_HOW:
        text = f"Try the techniques, and take the best: --how {AUTO_HOW[verb]}."
        flag = typer.Option("--auto", help=text, rich_help_panel=TECHNIQUE)
        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters["auto"] = inspect.Parameter("auto", keyword, default=False, annotation=Annotated[bool, flag])
    for name in names:
        stage = stages.find(name)
        for role, requirement in stage.other_inputs.items():
            note = "" if not requirement.optional else " Optional."
            parameters[role] = options.option(
                role, f"The {role.replace('_', ' ')}: a folder or a source.{note}", "MODEL", TECHNIQUE
            )
        for parameter in options.model_options(stage.config):
            parameters.setdefault(parameter.name, parameter)
            owners.setdefault(parameter.name, []).append(technique(verb, name))
    if len(names) > 1:
        for name, hows in owners.items():
            if len(hows) == 1:
                options.retitle(parameters[name], f"(--how {hows[0]})")
    return list(parameters.values())


def step_from(verb: str, names: list[str], option_values: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's step from a command's options.

    Raises:
        InputError: `--how` names no technique of this verb, or stands beside `--auto`; or an option is another
            technique's.
    """
    from compress import stages

    values = dict(option_values)
    how = values.pop("how", None)
    if values.pop("auto", False):
        if how not in {None, AUTO_HOW[verb]}:
            raise InputError(
                f"--auto chooses the technique itself, and --how names '{how}'", fix="leave one of them out"
            )
        how = AUTO_HOW[verb]
    for option, its_technique in CHOOSING.get(verb, {}).items():
        if values.get(option) is not None:
            how = _technique_of_option(option, its_technique, how)
    how = how or default_technique(verb)
    by_how = {technique(verb, name): name for name in names}
    if how not in by_how:
        refused = refusals(verb)
        if how in refused:
            raise refused[how]
        what = f"{verb} has no technique '{how}'" if how else f"{verb} has several techniques"
        raise InputError(what, where="--how", fix=did_you_mean(str(how or ""), by_how))
    name = by_how[how]
    roles = {role: values.pop(role) for role in stages.find(name).other_inputs if values.get(role)}
    return {"stage": name, **roles, **options.settings_from(values)}


def summary(names: list[str]) -> str:
    """The help text of a verb: the docstrings of its stages' modules, the default technique first."""
    verb = verb_of(names[0])
    texts: list[str] = []
    for name in default_first(verb, names):
        text = _docstring(name).split("```yaml")[0].strip()
        texts.append(text if not texts else f"--how {technique(verb, name)}: {text}")
    return "\n\n".join(texts)


def _docstring(name: str) -> str:
    from compress import stages

    return stages.REGISTRY.module(name).__doc__ or ""


def _examples(verb: str, names: list[str]) -> list[str]:
    """The example command lines of a verb: one for each technique whose docstring shows a recipe's step."""
    examples = (_example(verb, name, several=len(names) > 1) for name in default_first(verb, names))
    return [example for example in examples if example is not None]


def _example(verb: str, name: str, *, several: bool) -> str | None:
    """The step in a stage's docstring as a command; None where a plug-in's docstring has none that can be read.

    Args:
        several: whether the verb has several techniques.
    """
    import yaml
    from pydantic import ValidationError

    from compress import stages

    stage = stages.find(name)
    try:
        (step,) = yaml.safe_load(_docstring(name).partition("```yaml")[2].partition("```")[0])
        settings = {key: value for key, value in step.items() if key not in {"name", "stage", stage.base_role}}
        inputs = {role: settings.pop(role) for role in stage.other_inputs if role in settings}
        reads_data = stage.reads_data(stage.config.model_validate(settings))
    except (yaml.YAMLError, AttributeError, TypeError, ValueError, ValidationError):
        if stages.REGISTRY.plugin(name) is None:
            raise
        return None
    words = [f"compress {verb} {stage.base.format.partition('_')[0]}-model/"]
    words += [f"--how {technique(verb, name)}"] if several and technique(verb, name) != default_technique(verb) else []
    words += ["--train train.csv"] if reads_data else []
    words += [f"--{role.replace('_', '-')} {value}/" for role, value in inputs.items()]
    return " ".join([*words, *_flags(settings), f"--out {step.get('name', verb)}/"])


def _flags(settings: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The words of a command line that set these settings."""
    words = []
    for name, value in settings.items():
        option = f"{prefix}{name}".replace("_", "-")
        if isinstance(value, Mapping):
            words += _flags(value, f"{option}-")
        elif isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            text = f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)
            words.append(f"--{option} {shlex.quote(text)}")
    return words


def _technique_of_option(option: str, its_technique: str, how: str | None) -> str:
    """The technique that an option chooses, or an error if `--how` names another."""
    if how in {None, its_technique}:
        return its_technique
    if how in AUTO_HOW.values():
        fix = "leave it out: --auto takes the form that its target reads, such as --target-runtime openvino"
    else:
        fix = f"give --how {its_technique}, or leave --how out"
    raise InputError(f"--{option} is a setting of {its_technique} alone, not of {how}", where=f"--{option}", fix=fix)


def _command_options(verb: str, names: list[str]) -> list[inspect.Parameter]:
    """The parameters of a verb's command: input, settings, data, and where the result goes."""
    from compress import stages

    stage = stages.find(default_first(verb, names)[0])
    first = stage.base
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
    return [
        inspect.Parameter("first_input", keyword, annotation=Annotated[kind, positional]),
        *step_options(verb, names),
        *options.data_options(),
        inspect.Parameter("out", keyword, default=None, annotation=Annotated[Path | None, out]),
        inspect.Parameter("seed", keyword, default=0, annotation=Annotated[int, seed]),
        inspect.Parameter("runs_dir", keyword, default=Path("runs"), annotation=RunsDir),
        inspect.Parameter("force", keyword, default=False, annotation=Force),
        inspect.Parameter("json_output", keyword, default=False, annotation=Json),
    ]


def _command(verb: str, names: list[str]) -> Any:
    """The function that a verb's command calls."""

    def run_step(
        *,
        first_input: str | list[str],
        out: Path | None,
        seed: int,
        runs_dir: Path,
        force: bool,
        json_output: bool,
        **option_values: Any,
    ) -> None:
        inputs = first_input if isinstance(first_input, list) else [first_input]
        say_first(f"reading {', '.join(inputs)}", quiet=json_output)
        from compress import stages
        from compress.recipe.schema import Recipe
        from compress.recipe.validation import Origin, validate

        if out is not None:
            _check_out(out)
        task = options.take_data(option_values)
        step = step_from(verb, names, option_values)
        step = {"name": verb, stages.find(step["stage"]).base_role: first_input, **step}
        origin = Origin()
        recipe = validate(
            Recipe, {"name": verb, "seed": seed, "task": task, "steps": [step]}, origin, label="the options"
        )
        result = finish(recipe, origin, runs_dir, force=force, json_output=json_output)
        if out is not None:
            copy_final(result.folder, out)
            say(f"copied to: {out}", err=json_output)

    return options.with_signature(run_step, _command_options(verb, names), summary(names))


def _check_out(out: Path) -> None:
    """Refuse a folder for the result that cannot be used, before any work.

    Raises:
        InputError: something is there, or nothing can be written there.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"'{out}' is there already", where="--out", fix="name a new or empty folder")
    if not can_write_below(out):
        raise InputError(f"'{out}' cannot be written", where="--out", fix="name a folder that you may write to")


def copy_final(run: Path, out: Path) -> None:
    """Copy a run's final folder to the user's, completely or not at all; no file is shared with the store."""
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
