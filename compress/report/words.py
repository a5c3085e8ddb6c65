"""The report's sentences, the same on the terminal, in Markdown and on the page."""

from collections.abc import Mapping, Sequence
from typing import Any

from compress.answers import metric_title
from compress.measurement import Estimate
from compress.recipe.schema import CLAIM_PROCESSES
from compress.report.model import Comparison, HeldOut, Report, Row

POINTS = "+z.2f"
"""The number format of a change of quality in points: a loss has a minus, and no change is `+0.00`."""


def percent(estimate: Estimate | None) -> str:
    """A share as `97.12% (96.3 to 97.7)`."""
    if estimate is None:
        return ""
    interval = "" if estimate.low is None or estimate.high is None else f" ({_span(estimate, 100, 1)})"
    return f"{100 * estimate.value:.2f}%{interval}"


def change(comparison: Comparison | None) -> str:
    """The change of quality in percentage points: `-1.01 (-1.46 to -0.55)`."""
    return interval(comparison.change_pp, POINTS) if comparison else ""


def interval(estimate: Estimate | None, form: str, unit: str = "") -> str:
    """A figure as `-0.40 (-0.90 to +0.10)`; empty if there is none."""
    return _with_bounds(estimate, form, unit, "({} to {})")


def bracketed(estimate: Estimate | None, form: str, unit: str = "") -> str:
    """A figure with its interval, as a cell of a table: `-0.40 [-0.90, +0.10]`."""
    return _with_bounds(estimate, form, unit, "[{}, {}]")


def _with_bounds(estimate: Estimate | None, form: str, unit: str, bounds: str) -> str:
    if estimate is None:
        return ""
    text = f"{estimate.value:{form}}{unit}"
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} {bounds.format(f'{estimate.low:{form}}', f'{estimate.high:{form}}')}"


def digits_of_ratio(value: float) -> int:
    """The number of digits after the point with which a ratio is shown."""
    return 1 if value >= 10 else 2


def times(estimate: Estimate | None) -> str:
    """A ratio as `11.4x (11.1 to 11.6)`."""
    if estimate is None:
        return ""
    digits = digits_of_ratio(estimate.value)
    interval = "" if estimate.low is None else f" ({_span(estimate, 1, digits)})"
    return f"{estimate.value:.{digits}f}x{interval}"


def _span(estimate: Estimate, factor: float, digits: int) -> str:
    assert estimate.low is not None
    assert estimate.high is not None
    return f"{factor * estimate.low:.{digits}f} to {factor * estimate.high:.{digits}f}"


def quality_words(comparison: Comparison, metric: str) -> str:
    """The verdict on quality, in words."""
    name = metric_title(metric)
    rows = f"{comparison.rows:,} rows"
    within = f"{name} fell by less than {margin(comparison.margin_pp)}"
    return {
        "better": f"better: {name} rose",
        "no worse": f"no worse than the margin: {within}, if at all",
        "worse, within the margin": f"worse, within the margin: {within}",
        "worse": f"worse: {name} fell",
        "inconclusive": f"inconclusive: {rows} cannot tell whether {name} fell",
    }[comparison.quality_verdict]


def flips_words(test: HeldOut) -> str:
    """The meaning of lost and gained rows."""
    if test.words.are_right:
        return "Test rows that only the baseline has right, and those that only this one has right"
    return "Test rows on which this one is worse than the baseline, and those on which it is better"


def sign_test_words(test: HeldOut) -> str:
    """The hypothesis of the p value of lost and gained rows."""
    if test.words.are_right:
        return "both are right equally often (McNemar's exact test)"
    return "rows are better as often as worse (the sign test)"


def sentence(text: str) -> str:
    """The text with a capital first letter; all else stays as it is."""
    return text[:1].upper() + text[1:]


def margin(points: float) -> str:
    """Percentage points as `1 point`, `0.5 points`."""
    return f"{points:g} point{'' if points == 1 else 's'}"


def speed_words(comparison: Comparison) -> str:
    """The verdict on speed, in words."""
    if comparison.speedup is None:
        return "speed not compared: not timed on one machine"
    ratio = times(comparison.speedup)
    if comparison.speed_verdict == "slower":
        inverse = comparison.speedup
        assert inverse.low is not None
        assert inverse.high is not None
        ratio = times(Estimate(value=1 / inverse.value, low=1 / inverse.high, high=1 / inverse.low))
    return {
        "faster": f"{ratio} faster",
        "slower": f"{ratio} slower",
        "as fast": f"as fast: {ratio}",
        "inconclusive": f"speed inconclusive: {ratio}, {_why_unsure(comparison.processes)}",
    }[comparison.speed_verdict]


def _why_unsure(processes: int) -> str:
    """The reason for an inconclusive verdict on speed."""
    if processes >= CLAIM_PROCESSES:
        return "the processes cannot tell"
    return f"timed in {processes} process{'' if processes == 1 else 'es'} each, {CLAIM_PROCESSES} could tell"


def size_words(comparison: Comparison) -> str:
    """How many times smaller or larger, in words."""
    smaller = comparison.smaller
    if 0.995 < smaller < 1.005:
        return "same size"
    return f"{smaller:.1f}x smaller" if smaller > 1 else f"{1 / smaller:.1f}x larger"


def headline(report: Report) -> list[str]:
    """The results of the last step, one sentence for each target; for a bench, one sentence for each row."""
    is_bench = report.recipe_text is None
    last = report.rows[-1].step if report.rows else ""
    sentences = []
    for row in report.rows:
        comparison = row.versus_baseline
        if comparison is None or not (is_bench or row.step == last):
            continue
        place = f" on {row.target}" if len(report.targets) > 1 else ""
        metric = metric_title(report.test.metric)
        whole = f", {times(comparison.end_to_end)} end to end" if comparison.end_to_end else ""
        sentences.append(
            f"{row.step}{place} against {comparison.against}: {speed_words(comparison)}{whole}; "
            f"{size_words(comparison)}; "
            f"{metric} {change(comparison)} points, {quality_words(comparison, report.test.metric)}"
        )
    return sentences


def verdict(report: Report) -> str:
    """The verdict on the goal, in one line."""
    goal = report.goal
    if goal.met is None:
        return "no goal is set"
    if not goal.met:
        return "goal missed: " + "; ".join(goal.missed)
    return "goal met" + (f", in doubt: {'; '.join(goal.doubts)}" if goal.doubts else "")


def describe_target(report: Report, target: str) -> str:
    """A target's name and settings, in one line."""
    spec = report.targets[target]
    name = "" if target == spec["runtime"] else f"{target}: "
    return name + describe(spec)


def describe(spec: Mapping[str, Any]) -> str:
    """A target's settings in words."""
    threads = "1 thread" if spec["threads"] == 1 else f"{spec['threads']} threads"
    precision = "" if spec.get("precision", "fp32") == "fp32" else f" in {spec['precision']}"
    return (
        f"{spec['runtime']} on {spec['device']}{precision}, {threads}, "
        f"batch {spec['batch_size']}, {spec['sequence_length']} tokens"
    )


def reasons(rows: Sequence[Row]) -> list[str]:
    """The reasons of rows without numbers, one line for each."""
    return [f"{row.step} on {row.target} {row.status}: {row.reason}" for row in rows if row.reason]


def warnings(report: Report) -> list[str]:
    """Warnings that the figures are less sure than they look, one line for each."""
    sentences = []
    for target, spec in report.targets.items():
        cores = report.host.get("cores")
        if spec["device"] == "cpu" and cores and spec["threads"] > cores:
            sentences.append(f"{target}: {spec['threads']} threads on {cores} cores wait for each other")
    for target, conditions in report.conditions.items():
        if conditions.competing_cores is not None and conditions.competing_cores > 0.2:
            sentences.append(
                f"{target}: other processes kept {conditions.competing_cores:.1f} cores busy while it was measured"
            )
        if conditions.steal_pct is not None and conditions.steal_pct > 1:
            sentences.append(f"{target}: the hypervisor took {conditions.steal_pct:.1f}% of the time away")
        if conditions.harness_cpu_pct is not None and conditions.harness_cpu_pct > 1:
            sentences.append(f"{target}: the measuring itself used {conditions.harness_cpu_pct:.1f}% of a core")
    for row in report.rows:
        if row.peak_share is not None and row.peak_share > 1:
            sentences.append(
                f"{row.step} on {row.target} reads faster than the machine's arithmetic peak allows "
                f"({row.peak_share:.0%}): the measurement is wrong"
            )
    return sentences
