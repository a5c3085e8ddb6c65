"""The report: the effect of each step on quality, size and latency. This is what `report.json` holds."""

from statistics import fmean
from typing import Any, Self

from pydantic import model_validator

from compress.answers import Answers, Words, find
from compress.answers import names as kinds_of_answers
from compress.measurement import Conditions, Estimate, QualityVerdict, SpeedVerdict, Timings
from compress.report.part import Part
from compress.report.quantized import Quantized
from compress.report.search import SearchReport


class Latency(Part):
    """The wall time of one call, in milliseconds."""

    p50: float
    p90: float
    p99: float
    mean: float
    rows_per_second: float
    """Rows that one caller gets through, one call after the other."""
    rounds: list[list[float]]
    """All samples, round by round."""
    process_of_round: list[int] = []
    """Number of the process that each round was measured in; empty if all were measured in one."""

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
        """All samples with the process of their round."""
        return Timings(self.rounds, self.process_of_round)


class Comparison(Part):
    """A row compared with another one on the same target and the same test rows."""

    against: str
    """Step of the other row."""
    session: int = 0
    """Number of the measuring session in which both were timed side by side; the rows' own latencies may be of other
    sessions. 0 if it is not known, or if both were timed apart."""
    speedup: Estimate | None
    """Median latency of the other over this one's; None if the two are of different machines."""
    speed_verdict: SpeedVerdict
    """Verdict that the speed-up's interval allows."""
    end_to_end: Estimate | None = None
    """Speed-up of tokenizer and call together, on test rows of their own length."""
    processes: int = 1
    """Least number of processes in which either was timed."""
    drop_pp: Estimate
    """Quality lost against the other, in percentage points; negative is a gain."""
    margin_pp: float
    """Largest drop that counts as no worse."""
    quality_verdict: QualityVerdict
    """Verdict that the drop's interval allows."""
    mcnemar_p: float
    """p value of McNemar's exact test that both are right equally often; if rows are not only right or wrong, of the
    sign test of better and worse rows."""
    rows: int
    """Number of test rows."""
    agreement: float
    """Share of the test rows on which both give the same answer."""
    lost: int
    """Number of rows on which this one is worse than the other."""
    gained: int
    """Number of rows on which this one is better than the other."""
    smaller: float
    """Size of the other over this one's."""

    @model_validator(mode="after")
    def _correct_old_verdict(self) -> Self:
        """Correct reports of earlier versions, which called a sure loss within the margin `no worse`."""
        if self.quality_verdict == "no worse" and self.drop_pp.low is not None and self.drop_pp.low > 0:
            self.quality_verdict = "worse, within the margin"
        return self

    @property
    def change_pp(self) -> Estimate:
        """The quality won against the other, in percentage points; a loss is negative."""
        return -self.drop_pp


class Slice(Part):
    """The quality on a part of the test rows: one class or type, or texts of one length."""

    name: str
    rows: int
    """Number of rows; of a type of entities, number of entities."""
    quality: Estimate
    """Share of these rows that are right; for other answers than labels, the score of their kind."""
    baseline_quality: float | None
    f1: float | None = None
    """F1 of a class; None for lengths."""


class Flip(Part):
    """A test row on which this one is better or worse than the baseline."""

    row: int
    """Number of the test row, from 0."""
    text: str
    """Its text, shortened."""
    truth: str
    before: str
    """The baseline's answer."""
    after: str
    """This one's answer."""
    confidence: float | None
    """Probability that this one gives to its answer; None if its answers have none."""
    lost: bool | None = None
    """Whether this one is worse there than the baseline; None in reports of earlier versions."""

    @property
    def is_loss(self) -> bool:
        """Whether the baseline is right, or better."""
        return self.before == self.truth if self.lost is None else self.lost


class Row(Part):
    """One step on one target. Numbers that were not measured are None; `reason` says why."""

    step: str
    stage: str
    parent: str | None = None
    """The step that it was made from; None for a model from outside."""
    artifact: str
    """Key of the measured artifact."""
    measured_as: str
    """Format of the measured artifact: a torch model is measured as it is on torch, elsewhere as its ONNX export."""
    target: str
    status: str
    """measured, skipped or failed."""
    reason: str | None = None
    is_baseline: bool = False
    session: int = 0
    """Number of the measuring session of its latencies; 0 if there is only one."""
    seconds: float | None = None
    """Wall time that making the step took."""
    cpu_seconds: float | None = None
    """Processor time of all threads that making the step took."""
    made_in_bytes: int | None = None
    """Largest resident memory of the process that made it."""
    quality: Estimate | None = None
    """The task's metric over all test rows, between 0 and 1."""
    calibration_error: float | None = None
    """Expected calibration error, between 0 and 1."""
    size_bytes: int
    parameters: int | None = None
    token_parameters: int | None = None
    """Number of parameters in the table of token embeddings."""
    load_ms: float | None = None
    first_call_ms: float | None = None
    start_memory_bytes: int | None = None
    """Resident memory before loading: Python and the runtime."""
    peak_memory_bytes: int | None = None
    gpu_memory_bytes: int | None = None
    flops: float | None = None
    """Operations of one call at the fixed length."""
    floor_ms: float | None = None
    """Time of those operations at the machine's measured peak: no call can be faster."""
    peak_share: float | None = None
    """floor_ms over the median latency."""
    latency_ms: Latency | None = None
    """Latency at the target's sequence length."""
    real_latency_ms: Latency | None = None
    """Latency on test rows of their own length."""
    tokenize_ms: Latency | None = None
    """Latency of the tokenizer, for the same rows."""
    versus_baseline: Comparison | None = None
    """Comparison with the baseline; None for the baseline itself."""
    bought: Comparison | None = None
    """Comparison with the step that it was made from."""
    by_class: list[Slice] = []
    by_length: list[Slice] = []
    flips: list[Flip] = []
    """Rows lost and rows gained against the baseline, some of each; those of the highest confidence first."""
    predictions: list[Any] = []
    """Its answer for each test row, in the form of its kind of answers; for labels, the index of one."""

    @property
    def end_to_end(self) -> Timings | None:
        """The times of tokenizer and model together, call by call; None if either was not timed."""
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
        """The hours that a million texts take end to end, one call after the other."""
        timed, model = self.end_to_end, self.real_latency_ms
        if timed is None or model is None:
            return None
        rows_of_a_call = model.rows_per_second * model.mean / 1000
        return fmean(sample for turn in timed.samples_ms for sample in turn) / rows_of_a_call / 3.6


class GoalVerdict(Part):
    """The recipe's goal, and whether the last step meets it."""

    max_drop_pp: float | None = None
    min_speedup: float | None = None
    min_end_to_end_speedup: float | None = None
    max_size_mb: float | None = None
    met: bool | None = None
    """None without a goal."""
    missed: list[str] = []
    """A sentence for each limit that is missed."""
    doubts: list[str] = []
    """A sentence for each limit that is met, but with an interval that reaches past it."""


class Ablation(Part):
    """The chain without one step, on one target."""

    step: str
    target: str
    reason: str | None = None
    """Why the chain cannot do without it, or why it was not measured."""
    size_bytes: int | None = None
    quality: Estimate | None = None
    latency_ms: float | None = None
    """Median latency."""
    worth: Comparison | None = None
    """The whole chain compared with the chain without this step: the worth of the step."""


class SimpleBaseline(Part):
    """A model that is no step, fitted on the training rows alone. It answers from raw text, without a tokenizer."""

    name: str
    """The name of a file in compress/baselines."""
    title: str
    """What it is: `a linear model on words`."""
    short: str
    """The same in fewer words, for tables."""
    reason: str | None = None
    """Why it was not fitted, or not asked."""
    size_bytes: int | None = None
    """Size of the files that it answers from."""
    parameters: int | None = None
    seconds: float | None = None
    """Wall time of fitting, the choice of its settings included."""
    cpu_seconds: float | None = None
    """Processor time of fitting."""
    rows: int | None = None
    """Number of training rows that it learned from."""
    of_rows: int | None = None
    """Number of all training rows, with those that the steps hold back of the training file."""
    settings: dict[str, Any] = {}
    """Facts of the choice of its settings: `c` and the number of `folds`, and the number of its `ngrams`."""
    quality: Estimate | None = None
    """The task's metric over all test rows, between 0 and 1."""
    text_ms: Latency | None = None
    """Time from a text to its label, one text at a time, on test rows of their own length."""
    versus_baseline: Comparison | None = None
    """It compared with the report's baseline, on the first target that this was measured on. `end_to_end` is how many
    times faster it is, timed apart; there is no other speed-up, as it has no fixed length."""
    versus_last: Comparison | None = None
    """It compared with the last step; None if that is the baseline."""
    predictions: list[Any] = []
    """Its answer for each test row, in the form of the test rows' kind."""


class LineageStep(Part):
    """The origin of a step's artifact."""

    step: str
    stage: str
    key: str
    inputs: dict[str, str]
    """Role -> step or source."""
    config: dict[str, Any]
    created: str | None = None


class HeldOut(Part):
    """The test rows on which all rows of the report were scored."""

    answers: str = "label"
    """Kind of the answers: the name of a file in compress/answers."""
    metric: str
    labels: list[str]
    truth: list[Any]
    """The right answer of each row, in the form of its kind; for labels, the index of one."""
    key: str
    """Fingerprint of the rows."""

    @model_validator(mode="after")
    def _truth_is_of_its_kind(self) -> Self:
        self._checked(self.truth)
        if self.metric not in type(self.right_answers).METRICS:
            raise ValueError(f"answers of the kind '{self.answers}' are not scored by '{self.metric}'")
        return self

    def _checked(self, content: list[Any]) -> None:
        if self.answers not in kinds_of_answers():
            raise ValueError(f"'{self.answers}' is no kind of answers")
        find(self.answers).check(content)

    def check(self, predictions: list[Any]) -> None:
        """Refuse predictions that are not one answer of the right kind for each row.

        Raises:
            ValueError: the number or the form of the predictions is wrong.
        """
        self._checked(predictions)
        if len(predictions) != len(self.truth):
            raise ValueError(f"there are {len(predictions)} predictions for {len(self.truth)} test rows")

    @property
    def right_answers(self) -> Answers:
        """The right answers."""
        return find(self.answers)(self.truth, tuple(self.labels))

    @property
    def words(self) -> Words:
        """The words of reports for answers of this kind."""
        return find(self.answers).WORDS

    def answers_of(self, predictions: list[Any]) -> Answers:
        """The predictions as answers."""
        return self.right_answers.with_content(predictions)


class Report(Part):
    """A report, as `report.json` holds it."""

    key: str = ""
    """Fingerprint of everything that the report depends on: the same key, the same report."""
    recipe: str
    seed: int
    compress_version: str
    created: str
    command: str
    """The command that makes this report again."""
    recipe_text: str | None = None
    """The recipe as it ran, full paths without the folders above; None for a bench of folders."""
    host: dict[str, Any]
    conditions: dict[str, Conditions]
    """Conditions of measuring by target."""
    task: dict[str, Any]
    """type, train_rows, validation_rows, test_rows, overlap, max_length; pairs if a row has two texts."""
    test: HeldOut
    targets: dict[str, Any]
    baseline: str
    goal: GoalVerdict
    notes: list[str]
    rows: list[Row]
    ablations: list[Ablation] = []
    baselines: list[SimpleBaseline] = []
    """Simple baselines; empty in reports of earlier versions."""
    lineage: list[LineageStep] = []
    rounded: list[Quantized] = []
    """One for each step that quantized."""
    search: SearchReport | None = None
    """The search that found the steps; None if there was none."""

    @model_validator(mode="after")
    def _predictions_are_of_their_kind(self) -> Self:
        answered = [*(row.predictions for row in self.rows), *(one.predictions for one in self.baselines)]
        for predictions in answered:
            if predictions:
                self.test.check(predictions)
        return self

    @property
    def steps(self) -> set[str]:
        """The names of the steps of all rows."""
        return {row.step for row in self.rows}

    def on(self, target: str) -> list[Row]:
        """The rows of one target."""
        return [row for row in self.rows if row.target == target]
