"""What measuring one artifact on one target gave."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Measurement(BaseModel):
    """One artifact on one target, raw: nothing is averaged away.

    Attributes:
        artifact: key.
        quality: the task's metric over all test rows, between 0 and 1.
        predictions: the best class of each test row.
        samples_ms: latency of each call, round by round.
        size_bytes: all files that ship.
        peak_memory_bytes: largest resident memory of the process that ran it, libraries included.
        reason: why there are no numbers, where it was skipped or failed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    artifact: str
    target: str
    status: Literal["measured", "skipped", "failed"]
    reason: str | None = None
    metric: str | None = None
    quality: float | None = None
    predictions: list[int] = []
    samples_ms: list[list[float]] = []
    load_ms: float | None = None
    size_bytes: int
    parameters: int | None = None
    peak_memory_bytes: int | None = None
