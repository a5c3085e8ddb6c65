"""A finished run's lineage with made-up figures, for the tests of what is told of it."""

from collections.abc import Callable
from pathlib import Path

from compress.lineage.final import build_lineage
from compress.lineage.model import Lineage
from compress.planning.plan import Plan
from compress.planning.planner import make_plan
from compress.recipe.schema import Recipe
from compress.recipe.validation import Origin
from compress.report.model import Report
from compress.running.folder import dump_recipe
from tests.chain import Chain, chain_recipe
from tests.report.reports import sample_report

LAST = "int8"


def cut_after(step: str, model: Path, reviews: Path) -> Recipe:
    """The tiny chain up to a step."""
    recipe = chain_recipe(model, reviews)
    names = [item.name for item in recipe.steps]
    return recipe.model_copy(update={"steps": recipe.steps[: names.index(step) + 1]})


def lineage_of(
    chain: Chain,
    make_model: Callable[..., Path],
    reviews: Path,
    step: str = LAST,
    report: Report | None = None,
    recipe: Recipe | None = None,
) -> tuple[Plan, Lineage]:
    """The chain up to a step as a run of its own would tell of it."""
    plan = make_plan(recipe or cut_after(step, make_model(), reviews), Origin())
    return plan, build_lineage(plan, chain.artifacts, report, dump_recipe(plan))


def measured_lineage(chain: Chain, make_model: Callable[..., Path], reviews: Path) -> Lineage:
    """The chain up to int8, with the figures of the sample report."""
    return lineage_of(chain, make_model, reviews, report=sample_report())[1]
