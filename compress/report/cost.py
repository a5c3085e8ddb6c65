"""The cost of a million texts."""

from collections.abc import Mapping
from typing import Any

from compress.report.figure import number
from compress.report.model import Report, Row
from compress.report.shown import shown_rows

PRICE = 0.05
"""US dollars for an hour of one core: about the price of a shared core in a cloud. Readers may put in their own."""


def core_hours(row: Row, spec: Mapping[str, Any]) -> float | None:
    """The core hours that a million texts take end to end, one call after the other; None if it runs on no CPU.

    Args:
        spec: the settings of the row's target.
    """
    hours = row.hours_for_a_million
    return None if hours is None or spec["device"] != "cpu" else hours * spec["threads"]


def million_words(report: Report, target: str) -> str:
    """A sentence with the last step's cost and the baseline's; empty if the cost was not measured."""
    spec, rows = report.targets[target], shown_rows(report, target)
    rows = [row for row in rows if row.hours_for_a_million is not None]
    if not rows or rows[-1].is_baseline:
        return ""
    costs = [f"{row.step} {_words(row, spec)}" for row in (rows[-1], *(row for row in rows if row.is_baseline))]
    price = f", at {PRICE:g} USD for an hour of a core (an assumed price: put in your own)"
    return (
        f"A million texts like the test rows, end to end and one call after the other: {'; '.join(costs)}"
        f"{price if spec['device'] == 'cpu' else ''}"
    )


def _words(row: Row, spec: Mapping[str, Any]) -> str:
    hours, cores = row.hours_for_a_million, core_hours(row, spec)
    assert hours is not None
    if cores is None:
        return f"{number(hours)} hours"
    return f"{number(hours)} hours on {spec['threads']} cores, {number(cores)} core-hours, {PRICE * cores:.2f} USD"
