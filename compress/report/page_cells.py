"""The cells of the page's tables: a figure as text, its interval, and its verdict."""

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
        is_text: whether the cell holds words, on as many lines as they need.
    """

    text: str = ""
    interval: str = ""
    verdict: str = ""
    tone: str = ""
    hint: str = ""
    is_text: bool = False


def change_cell(comparison: Comparison | None, metric: str) -> Cell:
    """The change of quality, with its verdict."""
    if comparison is None:
        return Cell()
    verdict = comparison.quality_verdict
    cell = with_interval(words.change(comparison))
    return cell._replace(verdict=verdict, tone=TONES[verdict], hint=words.quality_words(comparison, metric))


def speed_cell(comparison: Comparison | None) -> Cell:
    """The speed-up, with its verdict."""
    if comparison is None:
        return Cell()
    hint = words.speed_words(comparison)
    if comparison.speedup is None:
        return Cell(verdict="not compared", tone="muted", hint=hint)
    verdict = comparison.speed_verdict
    return with_interval(words.times(comparison.speedup))._replace(verdict=verdict, tone=TONES[verdict], hint=hint)


def smaller_cell(comparison: Comparison | None) -> Cell:
    """The size of the baseline over this one's."""
    return Cell(f"{comparison.smaller:.1f}x") if comparison else Cell()


def with_interval(text: str) -> Cell:
    """A text such as `11.4x (11.1 to 11.6)`, split into figure and interval."""
    figure, _, interval = text.partition(" (")
    return Cell(figure, interval.rstrip(")"))


def median_cell(latency: Latency | None) -> Cell:
    """The median of a latency, in milliseconds."""
    return number_cell(latency.p50 if latency else None)


def number_cell(value: float | None, unit: float = 1.0) -> Cell:
    """A number in a unit, with three significant digits."""
    return Cell() if value is None else Cell(number(value / unit))


def megabytes_cell(value: int | None) -> Cell:
    """A number of bytes, in millions."""
    return number_cell(value, 1e6)


def percent_cell(share: float | None, digits: int) -> Cell:
    """A share in percent."""
    return Cell() if share is None else Cell(f"{100 * share:.{digits}f}%")


def rows_per_second_cell(row: Row) -> Cell:
    """The rows per second at the fixed length."""
    return number_cell(row.latency_ms.rows_per_second) if row.latency_ms else Cell()


def above_start_cell(row: Row) -> Cell:
    """The peak memory without that of Python and the runtime."""
    if row.peak_memory_bytes is None or row.start_memory_bytes is None:
        return Cell()
    return megabytes_cell(row.peak_memory_bytes - row.start_memory_bytes)


def agreement_cell(row: Row) -> Cell:
    """The agreement with the baseline."""
    return percent_cell(row.versus_baseline.agreement, 1) if row.versus_baseline else Cell()


def flipped_cell(comparison: Comparison | None, test: HeldOut) -> Cell:
    """The numbers of rows lost and gained against the baseline."""
    if comparison is None:
        return Cell()
    hint = f"p {comparison.mcnemar_p:.2g} that {words.sign_test_words(test)}"
    return Cell(f"{comparison.lost} / {comparison.gained}", f"p {comparison.mcnemar_p:.2g}", hint=hint)


def end_to_end_cell(row: Row) -> Cell:
    """The end-to-end speed-up, tokenizer included."""
    comparison = row.versus_baseline
    return with_interval(words.times(comparison.end_to_end)) if comparison else Cell()


def million_cell(row: Row, spec: Mapping[str, Any]) -> Cell:
    """The time and price of a million texts end to end.

    Args:
        spec: the settings of the row's target.
    """
    hours, cores = row.hours_for_a_million, core_hours(row, spec)
    if hours is None:
        return Cell()
    return Cell(f"{number(hours)} h", "" if cores is None else f"{number(cores)} core-h, {PRICE * cores:.2f} USD")


def other_score(row: Row, metric: str, test: HeldOut) -> Cell:
    """The score by another metric than the recipe's."""
    if not row.predictions:
        return Cell()
    return percent_cell(test.answers_of(row.predictions).outcome(test.right_answers, metric).value, 2)
