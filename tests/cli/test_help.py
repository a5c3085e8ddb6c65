"""The help of every command: its sections, its width, and examples that the real parser reads."""

import inspect
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from compress import stages
from compress.cli import app, options
from compress.cli.chain import _parse, split
from compress.cli.help_pages import EXAMPLE_WIDTH, SECTIONS, folded
from compress.cli.stages import step_from
from compress.cli.verbs import verbs

ROOT: Any = typer.main.get_command(app)


def commands(group: Any = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


def examples() -> list[str]:
    found = (ROOT.epilog or "").splitlines()
    for path in commands():
        command = ROOT
        for name in path:
            command = command.commands[name]
        found += command.examples()
    return found


@pytest.mark.parametrize("columns", ["80", "60"])
def test_every_help_fits_the_terminal(cli: Any, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for path in [(), ("store",), *commands()]:
        said = cli(*path, "--help")
        assert said.code == 0
        usage, _, rest = said.out.partition("Example")
        too_wide = [line for line in usage.splitlines() if len(line) > int(columns) and "|" not in line]
        assert too_wide == [], path
        assert max(map(len, rest.splitlines()), default=0) <= 80, path
        assert rest, f"{path} has no example"


def test_commands_stand_in_sections_by_what_a_person_does(cli: Any) -> None:
    shown = cli("--help").out
    titles = [line[:-1] for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    used = [name for name in SECTIONS if name in titles]
    assert titles == [*used, "Options", "Examples"]
    assert {"Start", "Make a model, one step at a time", "Measure and judge", "Keep track"} <= set(used)
    order = [shown.index(f"\n  {name} ") for name in ("init", "plan", "run", "finetune", "bench", "lineage", "store")]
    assert order == sorted(order)


def test_options_stand_by_topic(cli: Any) -> None:
    def topics(command: str) -> list[str]:
        lines = cli(command, "--help").out.splitlines()
        return [line[:-1] for line in lines if line.endswith(":") and not line.startswith(" ")]

    assert topics("plan") == ["Arguments", "What is run", "Other options", "Examples"]
    assert topics("finetune") == [
        "Arguments",
        "Technique and inputs",
        "Training",
        "Settings (--how lora)",
        "Data",
        "What is run",
        "Other options",
        "Examples",
    ]
    assert "Accuracy" in topics("quantize")
    assert "The target: where a model runs (--how onnx_auto)" in topics("quantize")
    assert {"What is learned from the teacher", "Variants of the rows"} <= set(topics("distill"))
    assert "How latency is sampled" in topics("bench")


@pytest.mark.parametrize("example", examples())
def test_an_example_is_read_by_the_parser(example: str) -> None:
    own = example.partition(" > ")[0].rpartition(" | ")[2]  # the command among those of a shell
    program, *words = shlex.split(own.replace("\\\n", " "), comments=True)
    assert program == "compress"
    arguments, segments = split(words)
    context = ROOT.make_context("compress", arguments)
    rest = [*context._protected_args, *context.args]
    command = ROOT
    while hasattr(command, "commands"):
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
        rest = [*getattr(context, "_protected_args", ()), *context.args]
    assert rest == []
    if name in verbs():
        check_step(name, dict(context.params))
    for segment in segments:
        if segment.verb in verbs():
            parameters = verb_options(segment.verb)
            check_step(segment.verb, _parse(segment, [item for item in parameters if item.name not in OF_A_CHAIN]))


OF_A_CHAIN = {item.name for item in options.data_options()}


def verb_options(verb: str) -> list[inspect.Parameter]:
    from compress.cli.stages import step_options

    return step_options(verb, verbs()[verb])


def check_step(verb: str, given: dict[str, Any]) -> None:
    """The settings of an example are those of the stage."""
    names = {item.name for item in verb_options(verb)}
    step = step_from(verb, verbs()[verb], {name: value for name, value in given.items() if name in names})
    stage = stages.find(step.pop("stage"))
    assert stage.config.model_validate({name: value for name, value in step.items() if name not in stage.inputs})


def test_a_long_example_goes_on_in_lines_that_a_shell_joins() -> None:
    example = "compress bench " + " ".join(f"--option-{number} value-{number}" for number in range(9)) + " last/"
    lines = folded(example).split("\n")
    assert len(lines) > 2
    assert max(map(len, lines)) <= EXAMPLE_WIDTH
    assert all(line.endswith(" \\") for line in lines[:-1])
    assert all(line.split()[0].startswith("--") for line in lines[1:-1])
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == example.split(" ")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("compress run quick", ["quickstart"]),
        ("compress plan mi", ["mine.yaml"]),
        ("compress plan fol", ["folder/"]),
        ("compress plan folder/", ["folder/theirs.yml"]),
        ("compress rep", ["report", "reproduce"]),
    ],
)
def test_a_shell_completes_commands_and_recipes(
    typed: str, offered: list[str], cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "theirs.yml").touch()
    monkeypatch.setenv("_COMPRESS_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
    said = cli()
    assert (said.code, said.out.split()) == (0, offered)


def test_completion_can_be_shown_and_installed(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"--install-completion", "--show-completion", "-V, --version"} <= {
        line.strip().split("  ")[0] for line in cli("--help").out.splitlines()
    }
    monkeypatch.setenv("SHELL", "/bin/bash")
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: "bash")
    said = cli("--show-completion")
    assert said.code == 0
    assert "_COMPRESS_COMPLETE=complete_bash" in said.out
