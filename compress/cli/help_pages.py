"""The pages of `--help`: commands by purpose, options by topic, and examples, in any width."""

from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

START, MAKE, MEASURE, USE, KEEP = SECTIONS = (
    "Start",
    "Make a model, one step at a time",
    "Measure and judge",
    "Use the result",
    "Keep track",
)
"""Sections of `compress --help`, in their order."""
RUNNING = "What is run"
DATA = "Data"
OUTPUT = "Where the result goes"
GATES = "Gates (one that is missed: exit code 3)"
EXAMPLE_WIDTH = 76
"""The width of an example after its indent; a longer one goes on in the next line."""
MOST_OF_A_SUMMARY = 200

Examples = Callable[[], Sequence[str]]


class Command(TyperCommand):
    """A command's help: its options by topic, those without one at the end, and examples."""

    examples: Examples = staticmethod(tuple)
    """Command lines, each with a comment if it needs one."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, then a section for each topic, in the order in which the command names them."""
        _write_options(self.get_params(ctx), ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples, as they can be copied."""
        del ctx
        _write_examples(self.examples(), formatter)


class Group(TyperGroup):
    """A group's help: its commands by section, its options, and examples, which stand in its epilog."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The commands come first."""
        self.format_commands(ctx, formatter)
        _write_options(self.get_params(ctx), ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples, as they can be copied."""
        del ctx
        _write_examples((self.epilog or "").splitlines(), formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Each command with the first sentence of its help text."""
        sections: dict[str, list[tuple[str, str]]] = {name: [] for name in SECTIONS}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                section = getattr(command, "rich_help_panel", None) or "Commands"
                record = (name, command.get_short_help_str(MOST_OF_A_SUMMARY))
                sections.setdefault(section, []).append(record)
        widest = max(len(name) for records in sections.values() for name, _ in records)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl([(f"{name:<{widest}}", text) for name, text in records])


def add_command(
    app: typer.Typer, name: str, function: Callable[..., Any], section: str | None, *examples: str | Examples
) -> None:
    """Add a command.

    Args:
        section: the section of the help; None in a group of its own.
        examples: command lines that begin with `compress`, or functions that make some when the help is asked for.
    """

    def all_examples() -> list[str]:
        lines = [line for item in examples for line in ([item] if isinstance(item, str) else item())]
        return [folded(line) for line in lines]

    class WithExamples(Command):
        examples = staticmethod(all_examples)

    app.command(name, cls=WithExamples, rich_help_panel=section)(function)


def _write_options(parameters: Sequence[Any], ctx: Any, formatter: Any) -> None:
    arguments: list[tuple[str, str]] = []
    topics: dict[str, list[tuple[str, str]]] = {}
    for parameter in parameters:
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        if parameter.param_type_name == "argument":
            arguments.append(record)
        else:
            topics.setdefault(getattr(parameter, "rich_help_panel", None) or "", []).append(record)
    plain = topics.pop("", [])
    sections = {"Arguments": arguments, **topics, "Other options" if topics else "Options": plain}
    for title, records in sections.items():
        if records:
            with formatter.section(title):
                formatter.write_dl(records)


def _write_examples(examples: Sequence[str], formatter: Any) -> None:
    if examples:
        with formatter.section("Example" if len(examples) == 1 else "Examples"):
            for example in examples:
                formatter.write("".join(f"  {line}\n" for line in example.split("\n")))


def folded(example: str) -> str:
    """An example in lines that fit, broken as a shell allows, and never between an option and its value.

    One with a comment stays as it is.
    """
    if "#" in example:
        return example
    lines, line = [], ""
    for part in _parts(example):
        if line and len(line) + 1 + len(part) > EXAMPLE_WIDTH - len(" \\"):
            lines.append(f"{line} \\")
            line = "   "
        line = f"{line} {part}" if line else part
    return "\n".join([*lines, line])


def _parts(example: str) -> list[str]:
    """The words, an option together with its value."""
    parts: list[str] = []
    for word in example.split(" "):
        if parts and parts[-1].startswith("-") and " " not in parts[-1] and not word.startswith("-"):
            parts[-1] += f" {word}"
        else:
            parts.append(word)
    return parts
