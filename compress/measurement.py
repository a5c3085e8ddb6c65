"""What measuring one artifact on one target gave, and under which conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

QualityVerdict = Literal["better", "no worse", "worse, within the margin", "worse", "inconclusive"]
SpeedVerdict = Literal["faster", "as fast", "slower", "inconclusive"]


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
        """In how many processes it was measured."""
        return len(set(self.process_of_round)) or 1


class Measurement(BaseModel):
    """One artifact on one target, raw: nothing is averaged away.

    Attributes:
        artifact: key.
        status: `skipped` if it cannot run there, `failed` if it should have run and did not.
        reason: why there are no numbers, where it was skipped or failed.
        session: number of the session of measuring that its latencies are of: only rounds of one were interleaved.
        predictions: what the model says of each test row, as its kind of answers writes it: of labels, a class.
        confidences: the probability that the model gives to that, row by row; empty where it gives none.
        batch_size: rows in one call.
        row_tokens: tokens of each test row, as this artifact's tokenizer splits it.
        samples_ms: latency of each call at the target's sequence length, round by round.
        real_samples_ms: latency of each call on rows of their own length, round by round. All artifacts see the
            same rows in the same round.
        tokenize_samples_ms: time to make each of those calls' inputs out of texts, round by round.
        process_of_round: the number of the process that each round was measured in; empty where all were in one.
        ready_ms: from the start of the first process until the model was loaded and warmed up.
        load_ms: from the start of loading to a model that can be called.
        first_call_ms: the first call, with all that a runtime puts off until then.
        size_bytes: of what is read of the folder: weights or graph, tokenizer, configuration. 0 where that cannot be
            told, and it was not measured.
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
    def _older_ones_are_read(cls, content: Any) -> Any:
        """Earlier versions wrote the score too, which follows from the predictions."""
        if not isinstance(content, Mapping):
            return content
        return {name: value for name, value in content.items() if name not in {"metric", "quality"}}

    @property
    def timings(self) -> Timings:
        """Latencies at the target's sequence length."""
        return Timings(self.samples_ms, self.process_of_round)


class Conditions(BaseModel):
    """What went on around the measurements of one target.

    Attributes:
        harness_cpu_pct: CPU time of the measuring process while rounds were timed, in percent of that time.
        competing_cores: cores that other processes of this machine kept busy meanwhile, on average.
        steal_pct: share of the machine's time that its hypervisor gave to others, in percent.
        clock_mhz: of the first core, as the system tells it.
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
    """Measurements, and when and where they were taken.

    Attributes:
        measurements: one of each pair of artifact and target.
        conditions: by target.
        key: names all that they depend on.
        is_new: False if all are those of earlier runs.
        in_other_sessions: of the same pairs, timed again beside others that they are compared with.
    """

    measurements: Sequence[Measurement]
    conditions: Mapping[str, Conditions]
    created: str
    host: Mapping[str, Any]
    key: str = ""
    is_new: bool = True
    in_other_sessions: Sequence[Measurement] = ()

    def together(self, one: tuple[str, str], other: tuple[str, str]) -> tuple[Measurement, Measurement] | None:
        """Two pairs of artifact's key and target in the newest session that timed both; None if there is none."""
        timed = [found for found in (*self.measurements, *self.in_other_sessions) if found.status == "measured"]
        ones = {found.session: found for found in timed if (found.artifact, found.target) == one}
        others = {found.session: found for found in timed if (found.artifact, found.target) == other}
        newest = max(ones.keys() & others.keys(), default=None)
        return None if newest is None else (ones[newest], others[newest])
