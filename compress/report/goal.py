"""The judgement of a row by a goal: the recipe's, or a pipeline's gate."""

from compress.recipe.schema import Goal
from compress.report.model import Comparison, GoalVerdict, Row
from compress.report.words import POINTS

MARGIN_PP = 1.0
"""Default of the margin: the largest drop that is called no worse."""


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
        why = f": {row.reason}" if row is not None and row.reason else ""
        return GoalVerdict(**goal.model_dump(), met=False, missed=[f"the last step was not measured{why}"])
    missed, doubts = [], []
    alone = against is None and not row.is_baseline
    if goal.max_drop_pp is not None and alone:
        missed.append(f"quality not compared, a drop of at most {goal.max_drop_pp:g} allowed")
    elif goal.max_drop_pp is not None:
        drop = against.drop_pp if against else None
        value, high = (drop.value, drop.high) if drop else (0.0, 0.0)
        if value > goal.max_drop_pp:
            missed.append(f"{-value:{POINTS}} points, a drop of at most {goal.max_drop_pp:g} allowed")
        elif high is None or high > goal.max_drop_pp:
            doubt = "unknown" if high is None else f"as low as {-high:{POINTS}} points"
            doubts.append(f"the change may be {doubt}, a drop of at most {goal.max_drop_pp:g} allowed")
    if goal.min_speedup is not None:
        speedup = against.speedup if against else None
        if alone or (against is not None and speedup is None):
            missed.append(f"speed not compared, at least {goal.min_speedup:g}x wanted")
        else:
            value, low = (speedup.value, speedup.low) if speedup else (1.0, 1.0)
            if value < goal.min_speedup:
                missed.append(f"{value:.2f}x faster, at least {goal.min_speedup:g}x wanted")
            elif low is None or low < goal.min_speedup:
                doubt = "unknown" if low is None else f"{low:.2f}x"
                doubts.append(f"the speed-up may be as small as {doubt}, at least {goal.min_speedup:g}x wanted")
    if goal.max_size_mb is not None and row.size_bytes / 1e6 > goal.max_size_mb:
        missed.append(f"{row.size_bytes / 1e6:.2f} MB, at most {goal.max_size_mb:g} allowed")
    return GoalVerdict(**goal.model_dump(), met=not missed, missed=missed, doubts=doubts)
