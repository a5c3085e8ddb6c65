"""The judgement of a row by a goal: the recipe's, or a pipeline's gate."""

from compress.measurement import Estimate
from compress.recipe.schema import Goal
from compress.report.model import Comparison, GoalVerdict, Row
from compress.report.words import POINTS

MARGIN_PP = 1.0
"""Default of the margin: the largest drop that is called no worse."""
ONCE = Estimate(value=1.0, low=1.0, high=1.0)
"""The speed-up of the baseline against itself."""
NONE = Estimate(value=0.0, low=0.0, high=0.0)
"""The drop of the baseline against itself."""


def margin_pp(*limits: float | None) -> float:
    """The largest drop that is called no worse, in percentage points: the first limit that is not None, or 1."""
    return next((limit for limit in limits if limit is not None), MARGIN_PP)


def judge(goal: Goal | None, row: Row | None, against: Comparison | None) -> GoalVerdict:
    """The goal with its verdict.

    The figures decide whether the goal is met; an interval that reaches past the goal is a doubt.

    Args:
        row: the row to judge; None if nothing was measured.
        against: the row's comparison with the baseline; None if the row is the baseline, or if the baseline was not
            measured: then all limits relative to the baseline are missed.
    """
    if goal is None:
        return GoalVerdict()
    if row is None or row.quality is None:
        reason = f": {row.reason}" if row is not None and row.reason else ""
        return GoalVerdict(**goal.model_dump(), met=False, missed=[f"the last step was not measured{reason}"])
    missed, doubts = [], []
    alone = against is None and not row.is_baseline
    if goal.max_drop_pp is not None and alone:
        missed.append(f"quality not compared, a drop of at most {goal.max_drop_pp:g} allowed")
    elif goal.max_drop_pp is not None:
        drop = against.drop_pp if against else NONE
        if drop.value > goal.max_drop_pp:
            missed.append(drop_missed(drop, goal.max_drop_pp))
        elif drop.high is None or drop.high > goal.max_drop_pp:
            doubt = "unknown" if drop.high is None else f"as low as {-drop.high:{POINTS}} points"
            doubts.append(f"the change may be {doubt}, a drop of at most {goal.max_drop_pp:g} allowed")
    for limit, speedup, how in (
        (goal.min_speedup, against.speedup if against else None, ""),
        (goal.min_end_to_end_speedup, against.end_to_end if against else None, " end to end"),
    ):
        if limit is not None:
            same = ONCE if row.is_baseline and against is None else None
            sentence, is_missed = _judge_speed(limit, speedup or same, how)
            (missed if is_missed else doubts).extend(sentence)
    if goal.max_size_mb is not None and row.size_bytes / 1e6 > goal.max_size_mb:
        missed.append(size_missed(row.size_bytes, goal.max_size_mb))
    return GoalVerdict(**goal.model_dump(), met=not missed, missed=missed, doubts=doubts)


def drop_missed(drop_pp: Estimate, limit: float) -> str:
    """The sentence on a drop that is larger than its limit, both in percentage points."""
    return f"{-drop_pp.value:{POINTS}} points, a drop of at most {limit:g} allowed"


def speed_missed(speedup: float, limit: float, how: str = "") -> str:
    """The sentence on a speed-up that is smaller than its limit; `how` is as in `_judge_speed`."""
    return f"{speedup:.2f}x faster{how}, at least {limit:g}x wanted"


def size_missed(size_bytes: int, limit_mb: float) -> str:
    """The sentence on a size that is larger than its limit."""
    return f"{size_bytes / 1e6:.2f} MB, at most {limit_mb:g} allowed"


def _judge_speed(limit: float, speedup: Estimate | None, how: str) -> tuple[list[str], bool]:
    """A sentence on a speed-up that misses its limit, or may miss it, and whether it misses it.

    Args:
        speedup: None if it is not known, which misses any limit.
        how: what is timed, as the sentence's words say it: nothing for the model alone, or ` end to end`.
    """
    if speedup is None:
        return [f"speed{how} not compared, at least {limit:g}x wanted"], True
    if speedup.value < limit:
        return [speed_missed(speedup.value, limit, how)], True
    if speedup.low is not None and speedup.low >= limit:
        return [], False
    doubt = "unknown" if speedup.low is None else f"{speedup.low:.2f}x"
    return [f"the speed-up{how} may be as small as {doubt}, at least {limit:g}x wanted"], False
