"""The report: what each step did to quality, size and latency. This is what `report.json` holds."""

from statistics import fmean
from typing import Any, Self

from pydantic import model_validator

from compress.answers import Answers, Words, find
from compress.answers import names as kinds_of_answers
from compress.measurement import Conditions, Estimate, QualityVerdict, SpeedVerdict, Timings
from compress.report.part import Part
from compress.report.quantized import Quantized


class Latency(Part):
    """Wall time of one call, in milliseconds."""

    p50: float
    p90: float
    p99: float
    mean: float
    rows_per_second: float
    """Rows that one caller gets through, one call after the other."""
    rounds: list[list[float]]
    """Every sample, round by round."""
    process_of_round: list[int] = []
    """The number of the process that each round was measured in; empty where all were measured in one."""

    @model_validator(mode="after")
    def _rounds_fit(self) -> Self:
        if len({len(turn) for turn in self.rounds}) != 1 or not all(
            value > 0 for turn in self.rounds for value in turn
        ):
            raise ValueError("rounds have as many samples each, and a call takes some time")
        if self.process_of_round and len(self.process_of_round) != len(self.rounds):
            raise ValueError("each round belongs to a process")
        return self

    @property
    def timings(self) -> Timings:
        """Every sample, and what process it is of."""
        return Timings(self.rounds, self.process_of_round)


class Comparison(Part):
    """One row held against another on the same target and the same test rows."""

    against: str
    """Step of the other row."""
    session: int = 0
    """Number of the session of measuring that the latencies of both are of, which the rows may show of others; 0 where
    it is not known, or each is of its own."""
    speedup: Estimate | None
    """Median latency of the other over this one's; None where they were not timed side by side."""
    speed_verdict: SpeedVerdict
    """What the speed-up's interval allows to be said."""
    end_to_end: Estimate | None = None
    """The same as the speed-up of tokenizing and a call together, on test rows of their own length."""
    processes: int = 1
    """Processes that each of both was timed in, at the least."""
    drop_pp: Estimate
    """Quality lost against the other, in percentage points; negative is a gain."""
    margin_pp: float
    """Largest drop that counts as no worse."""
    quality_verdict: QualityVerdict
    """What the drop's interval allows to be said."""
    mcnemar_p: float
    """p value of "both are right equally often"; where rows are more than right or wrong, of the sign test of the rows
    that are better and worse."""
    rows: int
    """Test rows that both predicted."""
    agreement: float
    """Share of them on which both say the same."""
    lost: int
    """Rows that the other has right and this one wrong, or that are worse with this one."""
    gained: int
    """Rows that the other has wrong and this one right, or that are better with this one."""
    smaller: float
    """Size of the other over this one's."""

    @model_validator(mode="after")
    def _worse_is_said(self) -> Self:
        """Earlier versions called a loss within the margin no worse, also where its interval leaves zero out."""
        if self.quality_verdict == "no worse" and self.drop_pp.low is not None and self.drop_pp.low > 0:
            self.quality_verdict = "worse, within the margin"
        return self

    @property
    def change_pp(self) -> Estimate:
        """Quality won against the other, in percentage points; a loss is negative."""
        return -self.drop_pp


class Slice(Part):
    """Quality on a part of the test rows: one class or type, or texts of one length."""

    name: str
    rows: int
    """Of a type of entities: how many there are."""
    quality: Estimate
    """Share of these rows that are right; of other answers than labels, what their kind scores them by."""
    baseline_quality: float | None
    f1: float | None = None
    """Of a class; None for lengths."""


class Flip(Part):
    """A test row on which this one is right and the baseline wrong, or the other way round."""

    row: int
    """Number of the test row, from 0."""
    text: str
    """Its text, shortened."""
    truth: str
    before: str
    """What the baseline says."""
    after: str
    """What this one says."""
    confidence: float | None
    """Probability that this one gives to what it says; None where its answers have none."""
    lost: bool | None = None
    """Whether this one is worse there than the baseline; None in reports of earlier versions."""

    @property
    def is_loss(self) -> bool:
        """True if the baseline is right, or nearer to it."""
        return self.before == self.truth if self.lost is None else self.lost


class Row(Part):
    """One step on one target. Numbers that were not measured are None; `reason` says why."""

    step: str
    stage: str
    parent: str | None = None
    """The step that it was made from; None for a model from outside."""
    artifact: str
    """Key of what was measured."""
    measured_as: str
    """Format of what was measured: a torch model stands for itself on torch, for its ONNX export elsewhere."""
    target: str
    status: str
    """measured, skipped or failed."""
    reason: str | None = None
    is_baseline: bool = False
    session: int = 0
    """Number of the session of measuring that its latencies are of; 0 where there is but one."""
    seconds: float | None = None
    """What the step took to make."""
    cpu_seconds: float | None = None
    """Processor time of all threads that it took."""
    made_in_bytes: int | None = None
    """Largest resident memory of the process that made it."""
    quality: Estimate | None = None
    """The task's metric over all test rows, between 0 and 1."""
    calibration_error: float | None = None
    """Expected calibration error, between 0 and 1."""
    size_bytes: int
    parameters: int | None = None
    token_parameters: int | None = None
    """Of the table of token embeddings, among them."""
    load_ms: float | None = None
    first_call_ms: float | None = None
    start_memory_bytes: int | None = None
    """Resident memory before loading: Python and the runtime."""
    peak_memory_bytes: int | None = None
    gpu_memory_bytes: int | None = None
    flops: float | None = None
    """Operations of one call at the fixed length."""
    floor_ms: float | None = None
    """What those operations take at the machine's measured peak: no call can be faster."""
    peak_share: float | None = None
    """floor_ms over the median latency."""
    latency_ms: Latency | None = None
    """At the target's sequence length."""
    real_latency_ms: Latency | None = None
    """On test rows of their own length."""
    tokenize_ms: Latency | None = None
    """Texts to model inputs, for the same rows."""
    versus_baseline: Comparison | None = None
    """None for the baseline itself."""
    bought: Comparison | None = None
    """Against the step that it was made from."""
    by_class: list[Slice] = []
    by_length: list[Slice] = []
    flips: list[Flip] = []
    """Against the baseline; the surest first, some of each kind."""
    predictions: list[Any] = []
    """What it says of each test row, as its kind of answers is written: of labels, the index of one."""

    @property
    def end_to_end(self) -> Timings | None:
        """Tokenizing and calling together, call by call; None where either was not timed."""
        model, tokenizer = self.real_latency_ms, self.tokenize_ms
        if model is None or tokenizer is None:
            return None
        rounds = [
            [call + texts for call, texts in zip(*turn, strict=True)]
            for turn in zip(model.rounds, tokenizer.rounds, strict=True)
        ]
        return Timings(rounds, model.process_of_round)

    @property
    def hours_for_a_million(self) -> float | None:
        """What a million texts take end to end, one call after the other."""
        timed, model = self.end_to_end, self.real_latency_ms
        if timed is None or model is None:
            return None
        rows_of_a_call = model.rows_per_second * model.mean / 1000
        return fmean(sample for turn in timed.samples_ms for sample in turn) / rows_of_a_call / 3.6


class GoalVerdict(Part):
    """The recipe's goal, and whether the last step meets it."""

    max_drop_pp: float | None = None
    min_speedup: float | None = None
    max_size_mb: float | None = None
    met: bool | None = None
    """None without a goal."""
    missed: list[str] = []
    """A sentence for each part that is missed."""
    doubts: list[str] = []
    """A sentence for each part that is met, but with an interval that reaches past the goal."""


class Ablation(Part):
    """The chain without one step, on one target."""

    step: str
    target: str
    reason: str | None = None
    """Why the chain cannot do without it, or why it was not measured."""
    size_bytes: int | None = None
    quality: Estimate | None = None
    latency_ms: float | None = None
    """Median."""
    worth: Comparison | None = None
    """The whole chain held against the chain without this step: what the step was worth."""


class Made(Part):
    """Where a step's artifact came from."""

    step: str
    stage: str
    key: str
    inputs: dict[str, str]
    """Role -> step or source."""
    config: dict[str, Any]
    created: str | None = None


class HeldOut(Part):
    """The test rows that all were scored on."""

    answers: str = "label"
    """Kind of the answers: the name of a file in compress/answers."""
    metric: str
    labels: list[str]
    truth: list[Any]
    """The right answer of each row, as its kind is written: of labels, the index of one."""
    key: str
    """Fingerprint of the rows."""

    @model_validator(mode="after")
    def _truth_is_of_its_kind(self) -> Self:
        self._checked(self.truth)
        if self.metric not in type(self.right).METRICS:
            raise ValueError(f"answers of the kind '{self.answers}' are not scored by '{self.metric}'")
        return self

    def _checked(self, content: list[Any]) -> None:
        if self.answers not in kinds_of_answers():
            raise ValueError(f"'{self.answers}' is no kind of answers")
        find(self.answers).check(content)

    def check(self, predictions: list[Any]) -> None:
        """Refuse what is no answer for each of the rows.

        Raises:
            ValueError: with what is wrong.
        """
        self._checked(predictions)
        if len(predictions) != len(self.truth):
            raise ValueError(f"there are {len(predictions)} predictions for {len(self.truth)} test rows")

    @property
    def right(self) -> Answers:
        """The right answers."""
        return find(self.answers)(self.truth, tuple(self.labels))

    @property
    def words(self) -> Words:
        """How answers of this kind are spoken of."""
        return find(self.answers).WORDS

    def said(self, predictions: list[Any]) -> Answers:
        """Predictions as answers."""
        return self.right.like(predictions)


class Report(Part):
    """What `report.json` holds."""

    key: str = ""
    """Names all that the report depends on: the same key, the same report."""
    recipe: str
    seed: int
    compress_version: str
    created: str
    command: str
    """Makes this report again."""
    recipe_text: str | None = None
    """The recipe as it ran, full paths without the folders above; None for a bench of folders."""
    host: dict[str, Any]
    conditions: dict[str, Conditions]
    """By target."""
    task: dict[str, Any]
    """type, train_rows, validation_rows, test_rows, overlap, max_length; pairs where a row has two texts."""
    test: HeldOut
    targets: dict[str, Any]
    baseline: str
    goal: GoalVerdict
    notes: list[str]
    rows: list[Row]
    ablations: list[Ablation] = []
    lineage: list[Made] = []
    rounded: list[Quantized] = []
    """One for each step that quantized."""

    @model_validator(mode="after")
    def _predictions_are_of_their_kind(self) -> Self:
        for row in self.rows:
            if row.predictions:
                self.test.check(row.predictions)
        return self

    @property
    def steps(self) -> set[str]:
        """Names of all rows."""
        return {row.step for row in self.rows}

    def on(self, target: str) -> list[Row]:
        """The rows of one target."""
        return [row for row in self.rows if row.target == target]
