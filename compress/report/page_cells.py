"""The cells of the page's tables: a figure as text, its interval, and the verdict that it allows."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from compress.report import words
from compress.report.cost import PRICE, core_hours
from compress.report.figure import TONES, number
from compress.report.model import Comparison, HeldOut, Latency, Row


class Cell(NamedTuple):
    """A figure, its interval below it, and the verdict that the interval allows.

    Attributes:
        tone: the verdict's colour.
        hint: the verdict in a sentence.
        is_text: words, on as many lines as they need.
    """

    text: str = ""
    interval: str = ""
    verdict: str = ""
    tone: str = ""
    hint: str = ""
    is_text: bool = False


def change_cell(comparison: Comparison | None, metric: str) -> Cell:
    """The quality lost or won, with its verdict."""
    if comparison is None:
        return Cell()
    verdict = comparison.quality_verdict
    cell = with_interval(words.change(comparison))
    return cell._replace(verdict=verdict, tone=TONES[verdict], hint=words.quality_words(comparison, metric))


def speed_cell(comparison: Comparison | None) -> Cell:
    """How many times faster, with its verdict."""
    if comparison is None:
        return Cell()
    hint = words.speed_words(comparison)
    if comparison.speedup is None:
        return Cell(verdict="not compared", tone="muted", hint=hint)
    verdict = comparison.speed_verdict
    return with_interval(words.times(comparison.speedup))._replace(verdict=verdict, tone=TONES[verdict], hint=hint)


def smaller_cell(comparison: Comparison | None) -> Cell:
    """How many times smaller."""
    return Cell(f"{comparison.smaller:.1f}x") if comparison else Cell()


def with_interval(told: str) -> Cell:
    """`11.4x (11.1 to 11.6)` in two parts."""
    figure, _, interval = told.partition(" (")
    return Cell(figure, interval.rstrip(")"))


def median_cell(latency: Latency | None) -> Cell:
    """In milliseconds."""
    return number_cell(latency.p50 if latency else None)


def number_cell(value: float | None, unit: float = 1.0) -> Cell:
    """Three digits that count, in that unit."""
    return Cell() if value is None else Cell(number(value / unit))


def megabytes_cell(value: int | None) -> Cell:
    """In millions of bytes."""
    return number_cell(value, 1e6)


def percent_cell(share: float | None, digits: int) -> Cell:
    """A share in percent."""
    return Cell() if share is None else Cell(f"{100 * share:.{digits}f}%")


def rows_per_second_cell(row: Row) -> Cell:
    """At the fixed length."""
    return number_cell(row.latency_ms.rows_per_second) if row.latency_ms else Cell()


def above_start_cell(row: Row) -> Cell:
    """Memory less that of Python and the runtime."""
    if row.peak_memory_bytes is None or row.start_memory_bytes is None:
        return Cell()
    return megabytes_cell(row.peak_memory_bytes - row.start_memory_bytes)


def agreement_cell(row: Row) -> Cell:
    """With the baseline."""
    return percent_cell(row.versus_baseline.agreement, 1) if row.versus_baseline else Cell()


def flipped_cell(row: Row, test: HeldOut) -> Cell:
    """Rows lost and gained against the baseline."""
    found = row.versus_baseline
    if found is None:
        return Cell()
    hint = f"p {found.mcnemar_p:.2g} that {words.sign_test_words(test)}"
    return Cell(f"{found.lost} / {found.gained}", f"p {found.mcnemar_p:.2g}", hint=hint)


def end_to_end_cell(row: Row) -> Cell:
    """How many times faster with the tokenizer."""
    found = row.versus_baseline
    return with_interval(words.times(found.end_to_end)) if found else Cell()


def million_cell(row: Row, spec: Mapping[str, Any]) -> Cell:
    """What a million texts take end to end.

    Args:
        spec: of the row's target.
    """
    hours, cores = row.hours_for_a_million, core_hours(row, spec)
    if hours is None:
        return Cell()
    return Cell(f"{number(hours)} h", "" if cores is None else f"{number(cores)} core-h, {PRICE * cores:.2f} USD")


def other_score(row: Row, metric: str, test: HeldOut) -> Cell:
    """The score by another metric than the recipe's."""
    if not row.predictions:
        return Cell()
    return percent_cell(test.said(row.predictions).outcome(test.right, metric).value, 2)
