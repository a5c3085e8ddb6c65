"""Ablation: for each step, the chain without it is compared with the whole chain."""

from collections.abc import Mapping, Sequence

from compress.planning.ablation import Ablated
from compress.planning.plan import Plan
from compress.report.entries import AblationEntry
from compress.running.measure import Compared
from compress.running.variants import MadeVariant, Variant, final_pairs
from compress.store.artifacts import Artifact


def variants_of(ablated: Sequence[Ablated]) -> list[Variant]:
    """The variants without one step each, as far as the chain can do without it."""
    return [Variant(f"without {item.step}", item.plan) for item in ablated if item.plan is not None]


def compare_ablated(
    ablated: Sequence[Ablated], variants: Sequence[MadeVariant], whole: Plan, artifacts: Mapping[str, Artifact]
) -> tuple[list[AblationEntry], list[Compared]]:
    """The report's entries for each step that is left out, and the pairs that are compared for them.

    Args:
        variants: the made variants of `variants_of(ablated)`, in that order.
        artifacts: the artifacts of the whole plan's steps, by their names.
    """
    entries: list[AblationEntry] = []
    compared: list[Compared] = []
    complete = final_pairs(whole, artifacts)
    remaining = iter(variants)
    for item in ablated:
        if item.plan is None:
            entries += [AblationEntry(item.step, target, reason=item.reason) for target in whole.recipe.targets]
            continue
        for target, pair in next(remaining).final_pairs().items():
            entries.append(AblationEntry(item.step, target, pair.artifact.key))
            compared.append((pair, complete[target]))
    return entries, compared
