"""What a report is to be about, before there are figures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """What one row is to be about: a step, and the artifact that stands for it on a target."""

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
    """A step to be left out on a target, and the artifact that the chain without it gives, or why it gives none."""

    step: str
    target: str
    artifact: str | None = None
    reason: str | None = None
