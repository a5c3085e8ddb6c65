"""The choice between several quantized models and the float model."""

from collections.abc import Sequence
from typing import Literal

from compress.facts import Candidate

FLOAT = "float"
"""Name of the model that is not quantized."""
SAME = 1.03
"""Factor up to which models count as equally fast; the smallest of them is chosen."""

Preference = Literal["latency", "size"]


def choose(candidates: Sequence[Candidate], max_drop_pp: float, prefer: Preference) -> Candidate:
    """The best candidate, marked as chosen; the others get the reason why they are not.

    Args:
        candidates: the candidates, the float model first.
        max_drop_pp: largest loss in percentage points on the rows of the choice. On the other rows, the loss must not
            be certainly above it.
        prefer: `latency` for the fastest, if it is certainly faster than float; `size` for the smallest.
    """
    from compress.ops.statistics import SPEED_GUARD  # takes a second to import

    float_one, *others = candidates
    fitting = []
    for one in others:
        if one.choice_drop_pp is None or one.speedup is None or one.size_bytes is None:
            continue
        if one.choice_drop_pp > max_drop_pp:
            one.reason = f"loses {one.choice_drop_pp:.1f} points, {max_drop_pp:g} are allowed"
        elif one.drop_low_pp is not None and one.drop_low_pp > max_drop_pp:
            one.reason = f"surely loses more than {max_drop_pp:g} points of other rows"
        elif prefer == "size" and one.size_bytes >= (float_one.size_bytes or 0):
            one.reason = "no smaller than float"
        elif prefer == "latency" and (one.speedup_low or one.speedup) <= SPEED_GUARD:
            one.reason = "not surely faster than float" if one.speedup > 1 else "slower than float"
        else:
            fitting.append(one)
    if prefer == "size":
        best = min(fitting, key=lambda one: one.size_bytes or 0, default=float_one)
        why = "larger"
    else:
        fastest = max((one.speedup or 0.0 for one in fitting), default=1.0)
        near = [one for one in fitting if (one.speedup or 0.0) * SAME >= fastest]
        best = min(near, key=lambda one: one.size_bytes or 0, default=float_one)
        why = "slower"
    best.chosen = True
    for one in fitting:
        if one is not best:
            same_speed = prefer == "latency" and one in near
            one.reason = f"{'larger' if same_speed else why} than {best.name}"
    if best is not float_one:
        float_one.reason = f"{why} than {best.name}"
    return best


def verdict(best: Candidate, candidates: Sequence[Candidate], max_drop_pp: float, prefer: Preference, rows: int) -> str:
    """The result of the choice in a sentence.

    Args:
        max_drop_pp, prefer: as in `choose`.
        rows: number of rows that the choice did not use.
    """
    budget = f"within {max_drop_pp:g} points"
    if best.name == FLOAT:
        better = "faster here" if prefer == "latency" else "smaller"
        tried = ", ".join(one.name for one in candidates if one.name != FLOAT)
        return f"float wins: nothing that keeps {budget} is {better} (tried: {tried})"
    assert best.speedup is not None
    assert best.drop_pp is not None
    assert best.smaller is not None
    size = f"{best.smaller:.1f}x smaller" if best.smaller >= 1 else f"{1 / best.smaller:.1f}x larger"
    ends = "" if best.speedup_low is None else f" [{best.speedup_low:.2f}, {best.speedup_high:.2f}]"
    lost = "" if best.drop_low_pp is None else f" [{-(best.drop_high_pp or 0.0):+z.2f}, {-best.drop_low_pp:+z.2f}]"
    doubt = ""
    if best.drop_pp > max_drop_pp:
        doubt = f": a loss of more than {max_drop_pp:g}, though not on the rows that it was chosen by"
    return (
        f"{best.name}: {best.speedup:.2f}x{ends} as fast as float and {size}, "
        f"at {-best.drop_pp:+z.2f} points{lost} on {rows} rows that it was not chosen by{doubt}"
    )
