"""Ablation as a set of variants: each chain without a step is held against the whole one."""

from collections.abc import Mapping, Sequence

from compress.plan.ablation import Ablated
from compress.plan.plan import Plan
from compress.report.entries import AblationEntry
from compress.run.measure import Compared
from compress.run.variants import MadeVariant, Variant, finals
from compress.store.artifacts import Artifact


def variants_of(ablated: Sequence[Ablated]) -> list[Variant]:
    """The plans without a step, as far as the chain can do without it."""
    return [Variant(f"without {item.step}", item.plan) for item in ablated if item.plan is not None]


def compare_ablated(
    ablated: Sequence[Ablated], made: Sequence[MadeVariant], whole: Plan, artifacts: Mapping[str, Artifact]
) -> tuple[list[AblationEntry], list[Compared]]:
    """What the report says of each step that is left out, and what is compared for that.

    Args:
        made: of `variants_of(ablated)`, in that order.
        artifacts: of the whole plan's steps, by their names.
    """
    entries: list[AblationEntry] = []
    compared: list[Compared] = []
    complete = finals(whole, artifacts)
    left = iter(made)
    for item in ablated:
        if item.plan is None:
            entries += [AblationEntry(item.step, target, reason=item.reason) for target in whole.recipe.targets]
            continue
        for target, pair in next(left).finals().items():
            entries.append(AblationEntry(item.step, target, pair.artifact.key))
            compared.append((pair, complete[target]))
    return entries, compared
