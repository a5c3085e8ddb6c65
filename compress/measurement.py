"""The measurements of artifacts on targets, and the conditions under which they were taken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

QualityVerdict = Literal["better", "no worse", "worse, within the margin", "worse", "inconclusive"]
SpeedVerdict = Literal["faster", "as fast", "slower", "inconclusive"]
CONFIDENCE = 0.95
"""The confidence of intervals, where no other is asked for."""


class Estimate(BaseModel):
    """A figure with its 95% interval; `low` and `high` are None where the samples are too few for one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float | None = None
    high: float | None = None

    def __neg__(self) -> "Estimate":
        """The same figure counted the other way: a drop as a change, in which a loss is negative."""
        low, high = (None if end is None else -end for end in (self.high, self.low))
        return Estimate(value=-self.value, low=low, high=high)


@dataclass(frozen=True)
class Timings:
    """Latencies of one model on one target.

    Attributes:
        samples_ms: (rounds, samples).
        process_of_round: (rounds,) the number of the process that each round was measured in; empty where all were
            measured in one.
    """

    samples_ms: Sequence[Sequence[float]]
    process_of_round: Sequence[int] = ()

    @property
    def processes(self) -> int:
        """The number of processes that measured it."""
        return len(set(self.process_of_round)) or 1


class Measurement(BaseModel):
    """One artifact on one target, raw: nothing is averaged away.

    Attributes:
        artifact: the artifact's key.
        status: `skipped` if it cannot run on the target, `failed` if it should have run and did not.
        reason: why there are no figures, if it was skipped or failed.
        session: number of the session that its latencies were measured in; only rounds of one session are interleaved.
        predictions: the model's answer for each test row, as its kind of answers writes it: of labels, a class.
        confidences: the model's probability of each answer; empty where it gives none.
        batch_size: rows in one call.
        row_tokens: tokens of each test row, as this artifact's tokenizer splits it.
        samples_ms: latency of each call at the target's sequence length, round by round.
        real_samples_ms: latency of each call on rows of their own length, round by round. All artifacts see the
            same rows in the same round.
        tokenize_samples_ms: time to make the inputs of each of those calls from texts, round by round.
        process_of_round: the number of the process that each round was measured in; empty where all were in one.
        ready_ms: time from the start of the first process until the model was loaded and warmed up.
        load_ms: time from the start of loading to a model that can be called.
        first_call_ms: time of the first call, with all work that a runtime puts off until then.
        size_bytes: size of the files that are read: weights or graph, tokenizer, configuration. 0 if that is not
            known and it was not measured.
        start_memory_bytes: resident memory just before loading, libraries included.
        peak_memory_bytes: largest resident memory of the first process until its last round.
        gpu_memory_bytes: memory that loading and warming up took on the device, by its own count; None on a CPU.
        flops: floating or integer operations of one call at the target's sequence length, by number format; a
            multiplication with its addition counts as two. Empty where they cannot be counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    artifact: str
    target: str
    status: Literal["measured", "skipped", "failed"]
    reason: str | None = None
    session: int = 0
    predictions: list[Any] = []
    confidences: list[float] = []
    batch_size: int = 1
    row_tokens: list[int] = []
    samples_ms: list[list[float]] = []
    real_samples_ms: list[list[float]] = []
    tokenize_samples_ms: list[list[float]] = []
    process_of_round: list[int] = []
    ready_ms: float | None = None
    load_ms: float | None = None
    first_call_ms: float | None = None
    size_bytes: int
    parameters: int | None = None
    start_memory_bytes: int | None = None
    peak_memory_bytes: int | None = None
    gpu_memory_bytes: int | None = None
    flops: dict[str, float] = {}

    @model_validator(mode="before")
    @classmethod
    def _drop_older_fields(cls, content: Any) -> Any:
        """Drop the score, which earlier versions wrote; it follows from the predictions."""
        if not isinstance(content, Mapping):
            return content
        return {name: value for name, value in content.items() if name not in {"metric", "quality"}}

    @property
    def timings(self) -> Timings:
        """Latencies at the target's sequence length."""
        return Timings(self.samples_ms, self.process_of_round)


class Conditions(BaseModel):
    """The machine's conditions during the measurements of one target.

    Attributes:
        harness_cpu_pct: CPU time of the measuring process while rounds were timed, in percent of that time.
        competing_cores: cores that other processes of this machine kept busy meanwhile, on average.
        steal_pct: share of the machine's time that its hypervisor gave to others, in percent.
        clock_mhz: clock of the first core, as the system reports it.
        peak_gflops: measured arithmetic peak by number format, in 10^9 operations a second.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    harness_cpu_pct: float | None = None
    competing_cores: float | None = None
    steal_pct: float | None = None
    clock_mhz: float | None = None
    peak_gflops: dict[str, float] = {}


@dataclass(frozen=True)
class Measured:
    """Measurements, with when and where they were taken.

    Attributes:
        measurements: one for each pair of artifact and target.
        conditions: the machine's conditions by target.
        key: a key of all that they depend on.
        is_new: False if earlier runs took all of them.
        in_other_sessions: measurements of the same pairs in other sessions, with others that they are compared with.
    """

    measurements: Sequence[Measurement]
    conditions: Mapping[str, Conditions]
    created: str
    host: Mapping[str, Any]
    key: str = ""
    is_new: bool = True
    in_other_sessions: Sequence[Measurement] = ()

    def together(self, one: tuple[str, str], other: tuple[str, str]) -> tuple[Measurement, Measurement] | None:
        """The measurements of two pairs (artifact's key, target) in the newest session that timed both, or None."""
        timed = [item for item in (*self.measurements, *self.in_other_sessions) if item.status == "measured"]
        ones = {item.session: item for item in timed if (item.artifact, item.target) == one}
        others = {item.session: item for item in timed if (item.artifact, item.target) == other}
        newest = max(ones.keys() & others.keys(), default=None)
        return None if newest is None else (ones[newest], others[newest])
