"""What `compress init` shows of somebody's data, and asks about it."""

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from compress.cli.saying import say
from compress.errors import printable

if TYPE_CHECKING:
    from compress.starter.questions import Alternative
    from compress.starter.survey import Survey

SHOWN_ROWS = 3
SHOWN_CLASSES = 8
SHOWN_COLUMNS = 12
BAR = 30
"""Signs of the longest class's bar."""


def somebody_is_there() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str, choices: "Sequence[Alternative]") -> int:
    """Show the choices with numbers, and take a number or a name; the place of the one that is meant."""
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


def print_survey(found: "Survey") -> None:
    """Columns with their roles, three rows, classes, lengths, and what was left out."""
    _print_columns(found)
    _print_rows(found)
    _print_classes(found)
    _print_lengths(found)


def survey_facts(found: "Survey") -> dict[str, Any]:
    """The same for a program."""
    roles, lengths = found.roles, found.lengths
    columns = {"text": roles.text, "text_pair": roles.text_pair, "label": roles.label}
    told = roles.predictability
    return {
        "columns": {role: name for role, name in columns.items() if name is not None},
        "left_out": dict(roles.left_out),
        "classes": found.counts,
        "no_label": found.no_label,
        "tokens": {
            "median": lengths.median,
            "p90": lengths.ninth,
            "longest": lengths.longest,
            "kept": lengths.max_length,
        },
        "told_by_words": None if told is None else {"accuracy": told.accuracy, "commonest": told.commonest},
    }


def _print_columns(found: "Survey") -> None:
    roles, table = found.roles, found.table
    say(f"{table.name}: {len(table.rows):,} rows, {len(table.columns)} columns")
    taken = [("text", roles.text), ("second text", roles.text_pair), ("label", roles.label)]
    lines = [(role, name, "") for role, name in taken if name is not None]
    left_out = list(roles.left_out.items())
    lines += [("left out", name or "''", why) for name, why in left_out[:SHOWN_COLUMNS]]
    widest = min(max(len(name) for _, name, _ in lines), 30)
    for role, name, why in lines:
        say(_cut(f"  {role:<12} {name:<{widest}}  {why}".rstrip()))
    if len(left_out) > SHOWN_COLUMNS:
        say(f"  left out     {len(left_out) - SHOWN_COLUMNS} more columns")
    if left_out:
        say("other ones: --text-column, --text-pair-column, --label-column")


def _print_rows(found: "Survey") -> None:
    rows = found.rows[:: max(1, len(found.rows) // SHOWN_ROWS)][:SHOWN_ROWS]
    widest = min(max((len(label) for _, _, label in rows), default=0), 20)
    for text, pair, label in rows:
        shown = " ".join(text.split())
        if pair is None:
            say(_cut(f"  {label[:widest]:<{widest}}  {shown}"))
        else:
            half = max(10, (_width() - widest - 8) // 2)
            second = _cut(" ".join(pair.split()), half)
            say(_cut(f"  {label[:widest]:<{widest}}  {_cut(shown, half)} | {second}"))


def _print_classes(found: "Survey") -> None:
    counts = list(found.counts.items())
    rows = sum(found.counts.values())
    say(f"classes: {len(counts)}, in {rows:,} rows")
    widest = min(max((len(label) for label, _ in counts[:SHOWN_CLASSES]), default=0), 30)
    most = max(found.counts.values(), default=1)
    shown = counts if len(counts) <= SHOWN_CLASSES + 1 else counts[:SHOWN_CLASSES]
    for label, count in shown:
        bar = "█" * max(1, round(BAR * count / most))
        say(_cut(f"  {label[:widest]:<{widest}} {count:>7,} {count / rows:>4.0%} {bar}"))
    if len(counts) > len(shown):
        label, fewest = counts[-1]
        say(_cut(f"  … {len(counts) - len(shown)} more, the rarest with {fewest:,}: {label}"))
    if (told := found.roles.predictability) is not None:
        doubt = ": do the texts say it at all?" if told.is_chance else ""
        say(
            f"a first look: counting words tells the label in {told.accuracy:.0%} of rows, "
            f"always saying the commonest in {told.commonest:.0%}{doubt}"
        )


def _print_lengths(found: "Survey") -> None:
    lengths = found.lengths
    cut = f"; {lengths.cut:.0%} are longer, and are cut" if lengths.cut else ""
    say(
        f"tokens of a text: {lengths.median} in the middle, {lengths.ninth} for nine of ten; "
        f"{lengths.max_length} are kept{cut}"
    )


def _width() -> int:
    return max(40, shutil.get_terminal_size().columns)


def _cut(text: str, width: int | None = None) -> str:
    """The text as far as it fits into a line of the terminal."""
    from rich.cells import cell_len, set_cell_size

    text, most = printable(text), width or _width()
    return text if cell_len(text) <= most else f"{set_cell_size(text, most - 1).rstrip()}…"
