"""The one-sided test that a drop keeps a margin, and the number of rows that it needs.

A model is no worse than a margin allows, at a level of 5%, if the upper one-sided 95% bound of its drop is at most the
margin. That bound is the upper end of the two-sided interval at 90% confidence, and likewise at other levels: it is
made of the same paired differences, with the same pseudo rows, as the interval that a report shows.
"""

import math

from compress.measurement import CONFIDENCE
from compress.ops.outcomes import Outcome


def both_sides(confidence: float) -> float:
    """Confidence of the two-sided interval whose ends are the one-sided bounds at a confidence."""
    return 2 * confidence - 1


TIMES = 4
"""How many times as many rows tell how a bound narrows."""


def drop_bound(before: Outcome, after: Outcome, confidence: float = CONFIDENCE) -> float | None:
    """The upper one-sided bound of a drop, as a share; None where there are too few rows for one.

    With a true drop of exactly the margin, it is at most the margin in about 5% of simulated samples: in up to 6% for
    rows that are right or wrong, and in up to 9% for macro F1 on 400 rows. In unlucky numbers of rows it is up to 10%,
    if the rows on which the models differ are few and all of them are lost.

    Args:
        before: the baseline's outcome.
        after: the other model's outcome on the same rows.
    """
    return before.drop(after, both_sides(confidence)).high


def rows_needed(before: Outcome, after: Outcome, margin: float, confidence: float = CONFIDENCE) -> int | None:
    """The number of rows at which the bound is the margin, if the drop and the share of differing rows stay.

    With so many rows, a model whose true drop is the one seen here passes the test in one half of all samples. The
    distance of the bound from the drop has a variance of a / rows for the rows themselves, and one of b / rows**2 for
    the pseudo rows; both follow from the bound on these rows and on four times as many of the same.

    Args:
        margin: the largest drop that is allowed, as a share.

    Returns:
        None if the drop is not below the margin, or if there is no bound.
    """
    rows, value = len(before.rows), before.drop(after).value
    bounds = [drop_bound(before.repeated(times), after.repeated(times), confidence) for times in (1, TIMES)]
    room = margin - value
    if room <= 0 or None in bounds:
        return None
    once, often = (
        times * rows * (bound - value) ** 2
        for times, bound in zip((1, TIMES), bounds, strict=True)
        if bound is not None
    )
    pseudo = max(0.0, (once - often) * TIMES / (TIMES - 1))  # b / rows
    own = max(0.0, once - pseudo)  # a
    return math.ceil((own + math.sqrt(own**2 + 4 * pseudo * rows * room**2)) / (2 * room**2))
