"""The next steps to try if a goal is missed or in doubt, each with the measured facts that speak for it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import fmean

from compress.answers import metric_title
from compress.report import words
from compress.report.figure import number
from compress.report.model import Comparison, GoalVerdict, Report, Row

GENTLER = {
    "distill": "give the student more layers, or train it for longer and on more texts (`epochs`, `augment`, texts "
    "without labels)",
    "prune": "take less out (`heads`, `ffn`), or let the model recover for longer (`recover: {epochs: …}`)",
    "quantize": "let `quantize_onnx_auto` choose, or give a budget (`max_drop_pp`), which leaves the most sensitive "
    "layers in float",
    "trim": "keep more tokens",
    "factorize": "take a higher rank",
    "finetune": "train for longer, or with another learning rate",
}
"""The verb of a stage -> what to change so that the stage costs less quality."""
SHARE = 1 / 3
"""Least share of the whole at which a part is worth advice."""
LITTLE = 1.15
"""Least speed-up at which a step pays."""
IDLE = 0.2
"""Share of the arithmetic peak below which a call spends most of its time on other things than arithmetic."""


@dataclass(frozen=True)
class NextStep:
    """One thing to try, with the reason."""

    what: str
    because: str


def next_steps(report: Report) -> list[NextStep]:
    """The next steps, the most promising first; none if the goal is met without doubt, or nothing was measured."""
    goal = report.goal
    last = report.rows[-1].step if report.rows else ""
    row = next((row for row in report.rows if row.step == last and row.status == "measured"), None)
    comparison = row.versus_baseline if row else None
    if goal.met is None or row is None or comparison is None:
        return []
    chain = _chain(report, row)
    return [
        *_quality(report, goal, row, comparison, chain),
        *_speed(report, goal, row, comparison, chain),
        *_size(goal, row, chain),
    ]


def _chain(report: Report, row: Row) -> list[Row]:
    """The rows on the same target that a row was made from, the first step first, and the row itself."""
    by_step = {other.step: other for other in report.on(row.target)}
    chain = [row]
    while chain[0].parent is not None and (before := by_step.get(chain[0].parent)) is not None:
        chain.insert(0, before)
    return chain


def _quality(
    report: Report, goal: GoalVerdict, row: Row, comparison: Comparison, chain: list[Row]
) -> Iterator[NextStep]:
    """The next steps towards less loss of quality."""
    limit, drop = goal.max_drop_pp, comparison.drop_pp
    if limit is None or (drop.value <= limit and drop.high is not None and drop.high <= limit):
        return
    metric = metric_title(report.test.metric)
    costly = max((step for step in chain if step.bought), key=_cost, default=None)
    if costly is not None and _cost(costly) > max(0.0, SHARE * drop.value):
        verb = costly.stage.partition("_")[0]
        yield NextStep(
            f"in `{costly.step}`, {GENTLER.get(verb, 'take a gentler setting')}",
            f"it changes {metric} by {words.change(costly.bought)} points, of {-drop.value:{words.POINTS}} in all",
        )
    lost = {
        part.name: part.rows * (part.baseline_quality - part.quality.value)
        for part in row.by_class
        if part.baseline_quality and report.test.words.are_right
    }
    if len(lost) > 2 and sum(lost.values()) > 0:
        worst = max(lost, key=lambda name: lost[name])
        if lost[worst] > SHARE * sum(value for value in lost.values() if value > 0):
            part = next(part for part in row.by_class if part.name == worst)
            yield NextStep(
                f"more training rows of '{worst}', or texts like them without labels",
                f"it loses {round(lost[worst])} of its {part.rows} rows against {comparison.against}, the most of all",
            )
    if drop.value <= limit and drop.high is not None:
        needed = comparison.rows * ((drop.high - drop.value) / max(limit - drop.value, 0.05)) ** 2
        yield NextStep(
            f"score on more test rows: about {number(needed)} if the change stays what it is",
            f"{comparison.rows:,} rows leave room for {-drop.high:{words.POINTS}} points",
        )


def _cost(step: Row) -> float:
    """The drop of quality, in points, that a step brings."""
    return step.bought.drop_pp.value if step.bought else 0.0


def _speed(report: Report, goal: GoalVerdict, row: Row, comparison: Comparison, chain: list[Row]) -> Iterator[NextStep]:
    """The next steps towards a faster model."""
    limits = ((goal.min_speedup, comparison.speedup), (goal.min_end_to_end_speedup, comparison.end_to_end))
    open_limits = [
        (limit, speedup)
        for limit, speedup in limits
        if limit is not None and speedup is not None
        if speedup.low is None or min(speedup.value, speedup.low) < limit
    ]
    if not open_limits:
        return
    limit, speedup = min(open_limits, key=lambda pair: pair[1].value / pair[0])
    if speedup.value >= limit:
        yield NextStep(
            "time it again on a machine with less other work, or in more processes (`bench: {processes: …}`)",
            f"{comparison.processes} processes leave room for {words.times(speedup)}",
        )
        return
    has = _stages(chain)
    latency = f"a call takes {number(row.latency_ms.p50)} ms" if row.latency_ms else ""
    if not has("distill"):
        yield NextStep("distill it into fewer layers", f"no step takes layers out; {latency}")
    elif not has("prune"):
        yield NextStep(
            "prune heads and neurons, then let the model recover", f"the layers are as wide as before; {latency}"
        )
    else:
        yield NextStep(
            "fewer or narrower layers in the student",
            f"{latency}, {words.times(speedup)} faster where {limit:g}x is wanted",
        )
    yield from _rounding(report, chain)
    if row.peak_share is not None and row.peak_share < IDLE:
        yield NextStep(
            "fewer layers rather than narrower ones, or a larger batch",
            f"a call uses {row.peak_share:.0%} of the machine's arithmetic: the rest is the operators' own overhead",
        )
    if row.tokenize_ms and row.real_latency_ms:
        texts, call = fmean(_flat(row.tokenize_ms.rounds)), fmean(_flat(row.real_latency_ms.rounds))
        if texts >= SHARE * (texts + call):
            yield NextStep(
                "a shorter `max_length`, or texts tokenized beside the model's calls: a faster model alone wins little",
                f"the tokenizer takes {texts / (texts + call):.0%} of a call end to end",
            )


def _rounding(report: Report, chain: list[Row]) -> Iterator[NextStep]:
    """The next step if no step quantizes, or if quantizing wins little."""
    quantized = next((step for step in chain if step.stage.startswith("quantize")), None)
    isa = ", ".join(report.host.get("isa", [])) or "no known instruction sets"
    if quantized is None:
        yield NextStep(
            "quantize it (`quantize_onnx_auto` tries several ways and takes the best)", f"all of it is in float; {isa}"
        )
    elif quantized.bought and quantized.bought.speedup and quantized.bought.speedup.value < LITTLE:
        yield NextStep(
            "a smaller shape: int8 does not pay here (`compress doctor` measures what it can win)",
            f"{quantized.step} is {words.times(quantized.bought.speedup)} as fast as what it was made from; {isa}",
        )


def _size(goal: GoalVerdict, row: Row, chain: list[Row]) -> Iterator[NextStep]:
    """The next steps towards a smaller model."""
    if goal.max_size_mb is None or row.size_bytes / 1e6 <= goal.max_size_mb:
        return
    has, megabytes = _stages(chain), number(row.size_bytes / 1e6)
    tokens, all_of_it = row.token_parameters, row.parameters
    if tokens and all_of_it and tokens >= SHARE * all_of_it:
        what = (
            "factorize the table of tokens (`factorize_low_rank`, `embedding_rank`), or round it to 4 bits"
            if has("trim")
            else "trim the vocabulary to the tokens that your texts use (`trim_vocabulary`)"
        )
        share = f"{number(tokens / 1e6)} of {number(all_of_it / 1e6)} million parameters ({tokens / all_of_it:.0%})"
        yield NextStep(what, f"the table of tokens holds {share}")
    if not has("quantize"):
        yield NextStep("quantize it: int8 is about four times smaller, 4 bits about seven", f"{megabytes} MB in float")
    elif all_of_it and row.size_bytes > 0.9 * all_of_it:
        yield NextStep(
            "round it to 4 bits (`quantize_onnx_4bit`)",
            f"{megabytes} MB for {number(all_of_it / 1e6)} million parameters",
        )
    if not has("distill"):
        yield NextStep("distill it into fewer or narrower layers", "no step takes layers out")


def _stages(chain: list[Row]) -> Callable[[str], bool]:
    """A function that says whether the chain has a stage of a verb."""
    verbs = {step.stage.partition("_")[0] for step in chain}
    return lambda verb: verb in verbs


def _flat(rounds: list[list[float]]) -> list[float]:
    return [value for turn in rounds for value in turn]
