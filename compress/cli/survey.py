"""The output and the questions of `compress init` and `compress shrink` about the user's data."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from compress.cli.saying import say
from compress.errors import printable

if TYPE_CHECKING:
    from compress.recipe.reading import Reading
    from compress.starter import Material
    from compress.starter.questions import Alternative
    from compress.starter.survey import Survey

SHOWN_ROWS = 3
SHOWN_CLASSES = 8
SHOWN_COLUMNS = 12
BAR = 30
"""The length of the largest class's bar."""


def is_interactive() -> bool:
    """Whether the command can ask a person."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str, choices: "Sequence[Alternative]") -> int:
    """Show the choices with numbers, and read a number or a name; returns the place of the choice."""
    say(question, err=True)
    widest = max(len(choice.name) for choice in choices)
    for number, choice in enumerate(choices, start=1):
        say(_cut(f"  {number}  {choice.name:<{min(widest, 40)}}  {choice.about}"), err=True)
    names = [choice.name for choice in choices]
    while True:
        answer = str(typer.prompt("number or name", err=True)).strip()
        if answer in names:
            return names.index(answer)
        if answer.isdecimal() and 1 <= int(answer) <= len(choices):
            return int(answer) - 1
        say(f"'{answer}' is none of them: a number from 1 to {len(choices)}, or a name", err=True)


def print_survey(survey: "Survey") -> None:
    """Print the columns with their roles, three rows, the classes, the lengths, and what was left out."""
    _print_columns(survey)
    _print_rows(survey)
    _print_classes(survey)
    _print_lengths(survey)


def survey_facts(survey: "Survey") -> dict[str, Any]:
    """The facts of a survey for `--json`."""
    roles, lengths = survey.roles, survey.lengths
    columns = {"text": roles.text, "text_pair": roles.text_pair, "label": roles.label}
    predictability = roles.predictability
    return {
        "columns": {role: name for role, name in columns.items() if name is not None},
        "left_out": dict(roles.left_out),
        "classes": survey.counts,
        "no_label": survey.no_label,
        "tokens": {
            "median": lengths.median,
            "p90": lengths.ninth,
            "longest": lengths.longest,
            "kept": lengths.max_length,
        },
        "told_by_words": None
        if predictability is None
        else {"accuracy": predictability.accuracy, "commonest": predictability.commonest},
    }


def _print_columns(survey: "Survey") -> None:
    roles, table = survey.roles, survey.table
    say(f"{table.name}: {len(table.rows):,} rows, {len(table.columns)} columns")
    used = [("text", roles.text), ("second text", roles.text_pair), ("label", roles.label)]
    lines = [(role, name, "") for role, name in used if name is not None]
    left_out = list(roles.left_out.items())
    lines += [("left out", name or "''", why) for name, why in left_out[:SHOWN_COLUMNS]]
    widest = min(max(len(name) for _, name, _ in lines), 30)
    for role, name, why in lines:
        say(_cut(f"  {role:<12} {name:<{widest}}  {why}".rstrip()))
    if len(left_out) > SHOWN_COLUMNS:
        say(f"  left out     {len(left_out) - SHOWN_COLUMNS} more columns")
    if left_out:
        say("other ones: --text-column, --text-pair-column, --label-column")


def _print_rows(survey: "Survey") -> None:
    rows = survey.rows[:: max(1, len(survey.rows) // SHOWN_ROWS)][:SHOWN_ROWS]
    widest = min(max((len(label) for _, _, label in rows), default=0), 20)
    for text, pair, label in rows:
        first_text = " ".join(text.split())
        if pair is None:
            say(_cut(f"  {label[:widest]:<{widest}}  {first_text}"))
        else:
            half = max(10, (_width() - widest - 8) // 2)
            second = _cut(" ".join(pair.split()), half)
            say(_cut(f"  {label[:widest]:<{widest}}  {_cut(first_text, half)} | {second}"))


def _print_classes(survey: "Survey") -> None:
    counts = list(survey.counts.items())
    rows = sum(survey.counts.values())
    say(f"classes: {len(counts)}, in {rows:,} rows")
    widest = min(max((len(label) for label, _ in counts[:SHOWN_CLASSES]), default=0), 30)
    most = max(survey.counts.values(), default=1)
    shown_counts = counts if len(counts) <= SHOWN_CLASSES + 1 else counts[:SHOWN_CLASSES]
    for label, count in shown_counts:
        bar = "█" * max(1, round(BAR * count / most))
        say(_cut(f"  {label[:widest]:<{widest}} {count:>7,} {count / rows:>4.0%} {bar}"))
    if len(counts) > len(shown_counts):
        label, fewest = counts[-1]
        say(_cut(f"  … {len(counts) - len(shown_counts)} more, the rarest with {fewest:,}: {label}"))
    if (predictability := survey.roles.predictability) is not None:
        doubt = ": do the texts say it at all?" if predictability.is_chance else ""
        say(
            f"a first look: counting words tells the label in {predictability.accuracy:.0%} of rows, "
            f"always saying the commonest in {predictability.commonest:.0%}{doubt}"
        )


def _print_lengths(survey: "Survey") -> None:
    lengths = survey.lengths
    cut = f"; {lengths.cut:.0%} are longer, and are cut" if lengths.cut else ""
    say(
        f"tokens of a text: {lengths.median} in the middle, {lengths.ninth} for nine of ten; "
        f"{lengths.max_length} are kept{cut}"
    )


def _width() -> int:
    return max(40, shutil.get_terminal_size().columns)


def _cut(text: str, width: int | None = None) -> str:
    """The beginning of a text that fits into a line of the terminal."""
    from rich.cells import cell_len, set_cell_size

    text, most = printable(text), width or _width()
    return text if cell_len(text) <= most else f"{set_cell_size(text, most - 1).rstrip()}…"


def fetch_material(
    sources: tuple[str, str, str | None], reading: "Reading", *, can_ask: bool, quiet: bool
) -> "Material":
    """The model and the data; the user is asked about a file that cannot be read without an option."""
    from compress.cli.console import Terminal
    from compress.data.sources import Sources
    from compress.recipe.reading import OptionNeededError
    from compress.starter import fetch
    from compress.starter.questions import Alternative

    while True:
        try:
            with Terminal(quiet=quiet) as terminal:
                return fetch(*sources, Sources(announce=terminal.announce), reading)
        except OptionNeededError as error:
            if not can_ask or getattr(reading, error.option) is not None:
                raise
            choices = [Alternative(name, title, f"--{error.option} {name}") for name, title in error.choices.items()]
            reading = replace(reading, **{error.option: choices[ask(f"{error.what}: read it by", choices)].name})
