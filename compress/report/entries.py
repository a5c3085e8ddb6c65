"""The entries of a report: what its rows are about, before there are figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Entry:
    """The subject of one row: a step on a target, and the artifact that is measured for it."""

    step: str
    stage: str
    target: str
    artifact: str
    measured_as: str
    seconds: float | None = None
    parent: str | None = None
    cpu_seconds: float | None = None
    made_in_bytes: int | None = None
    token_parameters: int | None = None


@dataclass(frozen=True)
class AblationEntry:
    """A step that is left out on a target, with the artifact of the chain without it, or why there is none."""

    step: str
    target: str
    artifact: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class BaselineEntry:
    """A simple baseline with its answers on the test rows, or the reason why there are none.

    Attributes:
        title, short: what it is, in sentences and in tables.
        seconds, cpu_seconds: the wall and processor time of fitting.
        rows, of_rows: the training rows that it learned from, and all that there are.
        settings: the facts of the choice of its settings.
        samples_ms: the time from a row's texts to its label, round by round.
    """

    name: str
    title: str
    short: str
    reason: str | None = None
    artifact: str = ""
    size_bytes: int = 0
    parameters: int | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    rows: int = 0
    of_rows: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    predictions: Sequence[Any] = ()
    samples_ms: Sequence[Sequence[float]] = ()
