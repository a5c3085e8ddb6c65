"""The entries of a report: what its rows are about, before there are figures."""

from dataclasses import dataclass


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
