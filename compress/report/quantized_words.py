"""Sentences on what quantizing did, the same on the terminal, in Markdown and on the page."""

from collections.abc import Sequence

from compress.answers import Words
from compress.facts import Agreement, Choice, Sensitivity
from compress.report.figure import number
from compress.report.quantized import Quantized
from compress.report.words import POINTS, describe, interval, margin

NAMED = 3
"""Names that a sentence holds; it counts the others."""
STEPS_AT_EACH_END = 5
"""Steps of a long search that are told from its start and from its end."""


def nats(divergence: float) -> str:
    """A divergence with two digits that count: `0.012`, `4.1e-6`."""
    if divergence == 0 or divergence >= 1e-3:
        return f"{divergence:.2g}"
    mantissa, _, power = f"{divergence:.1e}".partition("e")
    return f"{mantissa}e{int(power)}"


def megabytes(size_bytes: int) -> str:
    """Three digits that count, in millions of bytes."""
    return number(size_bytes / 1e6)


def listed(names: Sequence[str], most: int = NAMED) -> str:
    """The first names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def agreed_words(found: Agreement, answers: Words, *, searched: bool = False) -> str:
    """What became of the held-back rows.

    Args:
        answers: how the task's answers are spoken of.
        searched: whether layers were chosen on others.
    """
    which = "other held-back rows" if searched else "held-back rows"
    if found.built_in_texts:
        which = "built-in English texts (no rows were given)"
    told = f"{found.agreement:.1%} of {answers.within}{found.rows:,} {which} {answers.kept or answers.same}"
    return told if found.change is None else f"{told}; quality {interval(found.change, POINTS)} points"


def kept_words(found: Sensitivity, most: int = NAMED) -> str:
    """How many layers stay in float, and, of as many as are asked for, which."""
    of = f"{len(found.layers)} layers"
    count = f"kept {len(found.kept) or 'none'} of {of} in float"
    if not found.kept or not most:
        return count
    names = [f"{layer.name} ({nats(layer.divergence)} nats)" for layer in found.kept]
    return f"{count}: {listed(names, most)}"


def change_words(found: Sensitivity) -> str:
    """The change that what was written makes on the rows that layers were chosen by, held against the budget."""
    allowed = f"a drop of {margin(found.max_drop_pp)} is allowed"
    change = f"quality {-found.tried[-1].drop_pp:{POINTS}} points"
    return f"{change} on the {found.rows:,} held-back rows searched on, {allowed}"


def search_words(found: Sensitivity) -> str:
    """The search's steps in one sentence; of a long one its start and its end."""
    first, *rest = found.tried
    parts = [f"with {first.kept} layers in float the change is {-first.drop_pp:{POINTS}} points"]
    seen = {first.kept}
    for index, item in enumerate(rest, 1):
        which = "and at last, with" if index == len(rest) else "with another" if item.kept in seen else "with"
        seen.add(item.kept)
        parts.append(f"{which} {item.kept} it is {-item.drop_pp:{POINTS}}")
    left_out = len(parts) - 2 * STEPS_AT_EACH_END
    if left_out > 1:
        parts[STEPS_AT_EACH_END:-STEPS_AT_EACH_END] = [f"… ({left_out} more)"]
    return ", ".join(parts)


def left_words(found: Quantized, most: int = NAMED) -> str:
    """The nodes that could be rounded and were not."""
    return f"left in float: {listed(found.left_in_float, most)}"


def chosen_on(found: Choice) -> str:
    """What the candidates were measured on, and what was asked of them."""
    asked = [] if found.goal.max_drop_pp is None else [f"a drop of at most {margin(found.goal.max_drop_pp)}"]
    asked.append("then the smallest" if found.goal.prefer == "size" else "then the fastest")
    by = "" if found.choice_rows is None else f", chosen by {found.choice_rows:,} others"
    return f"{found.rows:,} held-back rows{by}, {describe(found.target)}; asked for: {', '.join(asked)}"
