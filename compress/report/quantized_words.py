"""Sentences about quantizing, the same on the terminal, in Markdown and on the page."""

from collections.abc import Sequence

from compress.answers import Words
from compress.facts import Agreement, Choice, Sensitivity
from compress.report.figure import number
from compress.report.quantized import Quantized
from compress.report.words import POINTS, describe, interval, margin

NAMED = 3
"""The most names in a sentence; it counts the others."""
STEPS_AT_EACH_END = 5
"""Number of steps at the start, and at the end, of a long search that a sentence names."""


def nats(divergence: float) -> str:
    """A divergence with two significant digits: `0.012`, `4.1e-6`."""
    if divergence == 0 or divergence >= 1e-3:
        return f"{divergence:.2g}"
    mantissa, _, power = f"{divergence:.1e}".partition("e")
    return f"{mantissa}e{int(power)}"


def megabytes(size_bytes: int) -> str:
    """A size in millions of bytes, with three significant digits."""
    return number(size_bytes / 1e6)


def listed(names: Sequence[str], most: int = NAMED) -> str:
    """The first names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def agreed_words(agreement: Agreement, answers: Words, *, searched: bool = False) -> str:
    """The agreement on held-back rows.

    Args:
        answers: the words for the task's answers.
        searched: whether layers were chosen on other held-back rows.
    """
    which = "other held-back rows" if searched else "held-back rows"
    if agreement.built_in_texts:
        which = "built-in English texts (no rows were given)"
    sentence = f"{agreement.agreement:.1%} of {answers.within}{agreement.rows:,} {which} {answers.kept or answers.same}"
    return sentence if agreement.change is None else f"{sentence}; quality {interval(agreement.change, POINTS)} points"


def kept_words(sensitivity: Sensitivity, most: int = NAMED) -> str:
    """How many layers stay in float, with the names of the first `most` of them."""
    of = f"{len(sensitivity.layers)} layers"
    count = f"kept {len(sensitivity.kept) or 'none'} of {of} in float"
    if not sensitivity.kept or not most:
        return count
    names = [f"{layer.name} ({nats(layer.divergence)} nats)" for layer in sensitivity.kept]
    return f"{count}: {listed(names, most)}"


def change_words(sensitivity: Sensitivity) -> str:
    """The change of quality on the rows on which layers were chosen, with the budget."""
    allowed = f"a drop of {margin(sensitivity.max_drop_pp)} is allowed"
    change = f"quality {-sensitivity.tried[-1].drop_pp:{POINTS}} points"
    return f"{change} on the {sensitivity.rows:,} held-back rows searched on, {allowed}"


def search_words(sensitivity: Sensitivity) -> str:
    """The steps of the search in one sentence; only the first and last of a long search."""
    first, *rest = sensitivity.tried
    parts = [f"with {first.kept} layers in float the change is {-first.drop_pp:{POINTS}} points"]
    kept_before = {first.kept}
    for index, item in enumerate(rest, 1):
        which = "and at last, with" if index == len(rest) else "with another" if item.kept in kept_before else "with"
        kept_before.add(item.kept)
        parts.append(f"{which} {item.kept} it is {-item.drop_pp:{POINTS}}")
    left_out = len(parts) - 2 * STEPS_AT_EACH_END
    if left_out > 1:
        parts[STEPS_AT_EACH_END:-STEPS_AT_EACH_END] = [f"… ({left_out} more)"]
    return ", ".join(parts)


def left_words(step: Quantized, most: int = NAMED) -> str:
    """The names of nodes that could be rounded and were not."""
    return f"left in float: {listed(step.left_in_float, most)}"


def choice_words(choice: Choice) -> str:
    """The rows and the target on which candidates were measured, and the goal of the choice."""
    criteria = [] if choice.goal.max_drop_pp is None else [f"a drop of at most {margin(choice.goal.max_drop_pp)}"]
    criteria.append("then the smallest" if choice.goal.prefer == "size" else "then the fastest")
    by = "" if choice.choice_rows is None else f", chosen by {choice.choice_rows:,} others"
    return f"{choice.rows:,} held-back rows{by}, {describe(choice.target)}; asked for: {', '.join(criteria)}"
