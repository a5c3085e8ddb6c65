"""What a report says of its simple baselines: sentences, and the cells of their table."""

from compress.answers import metric_title
from compress.measurement import QualityVerdict
from compress.report import words
from compress.report.figure import number
from compress.report.model import Comparison, Report, SimpleBaseline

REACHED: tuple[QualityVerdict, ...] = ("better", "no worse")
"""The verdicts by which a baseline has reached what it is held against."""
STAGE = "fit_linear"
"""The stage that writes a linear model as a model folder."""
ABOUT = (
    "Fitted on the training rows alone, answering the same test rows. Their time is from raw text to label, one text "
    "at a time, in a process of its own; it is held against tokenizer and call together."
)


def fitted(report: Report) -> list[SimpleBaseline]:
    """The baselines that have answers, the best first; of two as good, the smaller."""
    baselines = [baseline for baseline in report.baselines if baseline.quality is not None]
    return sorted(baselines, key=lambda one: (-_value(one), one.size_bytes or 0))


def verdicts(report: Report) -> list[str]:
    """A sentence on the best baseline that has reached the report's baseline, or the last step; else none."""
    for baseline in fitted(report):
        reached = [
            _words(comparison, report)
            for comparison in (baseline.versus_baseline, baseline.versus_last)
            if comparison is not None and comparison.quality_verdict in REACHED
        ]
        if reached:
            advice = f"; `{STAGE}` makes one, on tokens, that ships" if baseline.name.startswith("linear") else ""
            return [f"{baseline.title} is {', and '.join(reached)}{advice}"]
    return []


def _value(baseline: SimpleBaseline) -> float:
    assert baseline.quality is not None
    return baseline.quality.value


def _words(comparison: Comparison, report: Report) -> str:
    """What a baseline is against a step: `as good here as teacher (accuracy +0.23 (-0.40 to +0.87) points, …)`."""
    how = "better here than" if comparison.quality_verdict == "better" else "as good here as"
    speed = "" if comparison.end_to_end is None else f", {_speed_words(comparison.end_to_end.value)} end to end"
    return (
        f"{how} {comparison.against} ({metric_title(report.test.metric)} {words.change(comparison)} points, "
        f"{words.size_words(comparison)}{speed})"
    )


def _speed_words(ratio: float) -> str:
    """How many times faster or slower; it was timed apart, so there is no interval."""
    return f"{number(ratio)}x faster" if ratio >= 1 else f"{number(1 / ratio)}x slower"


def reasons(report: Report) -> list[str]:
    """Why baselines have no answers, one sentence for each."""
    return [f"no {one.short}: {one.reason}" for one in report.baselines if one.reason]


def about(report: Report) -> str:
    """What baselines are, and how many rows they learned from."""
    counts = {(one.rows, one.of_rows) for one in fitted(report) if one.rows is not None}
    learned = ""
    if len(counts) == 1:
        ((rows, of_rows),) = counts
        some = "" if rows == of_rows else f" of {of_rows:,}, drawn by the seed"
        learned = f" They learned from {rows:,} rows{some}: they need no validation rows, and read whole texts."
    return ABOUT + learned


def choice_words(baseline: SimpleBaseline) -> str:
    """How a baseline's settings were chosen."""
    settings = baseline.settings
    if "c" not in settings:
        return f"{100 * settings['share']:.1f}% of the training rows" if "share" in settings else ""
    ngrams = f"{settings.get('ngrams', 0):,} n-grams, C {settings['c']:g}"
    if not settings.get("folds"):
        return f"{ngrams} (too few rows to choose it)"
    return f"{ngrams} by {settings['folds']}-fold cross-validation"


def milliseconds(baseline: SimpleBaseline) -> str:
    """The median time from text to label."""
    return number(baseline.text_ms.p50) if baseline.text_ms else ""
