"""The run of a plan: it takes from the store what is done, makes the rest, measures, and reports."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress import __version__
from compress.files.disks import disk_error
from compress.files.locks import locked
from compress.files.whole import write_text
from compress.lineage.final import write_final
from compress.machine.facts import host_facts
from compress.measurement import Measured
from compress.planning.ablation import Ablated
from compress.planning.feasibility import check_feasible
from compress.planning.plan import Plan
from compress.report.entries import AblationEntry
from compress.report.files import FILES, write_report
from compress.report.model import Report
from compress.running.ablations import compare_ablated, variants_of
from compress.running.baselines import Asked, ask_baselines, needs_of_baselines
from compress.running.folder import claim, dump_recipe, link_steps, needs_of, open_store, run_folder, write_needs
from compress.running.forecast import check_fits, forecast_for
from compress.running.journal import Observer, journal
from compress.running.make import make_steps
from compress.running.measure import Compared, measure_plan
from compress.running.report import report_plan
from compress.running.variants import make_variants
from compress.store.artifacts import Artifact
from compress.store.shared import SharedStore, shown_arguments
from compress.store.store import Store

LOCK = ".lock"
"""The lock file in a run's folder, by which two runs of one name take turns; the store may be read-only by then."""


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
        folder: the run's folder, with the report and a link to each step's artifact.
        artifacts: the artifacts by the name of the planned step.
        report: None where the recipe has no targets.
        did_nothing: whether all was done before.
    """

    folder: Path
    artifacts: Mapping[str, Artifact]
    report: Report | None
    did_nothing: bool

    @property
    def failures(self) -> list[str]:
        """One sentence for each measurement that failed."""
        rows = self.report.rows if self.report else []
        return [f"{row.step} on {row.target}: {row.reason}" for row in rows if row.status == "failed"]


def run_plan(
    plan: Plan,
    runs_dir: Path,
    observer: Observer,
    ablated: Sequence[Ablated] = (),
    *,
    force: bool = False,
    shared: SharedStore | None = None,
) -> Result:
    """Run a plan to its end.

    Args:
        ablated: plans without one step each, which are run and measured too.
        force: begin even if memory or disk will not suffice.
        shared: the store of other machines, from which missing artifacts are taken.

    Raises:
        CompressError: a step failed, and the steps before it are kept; or the run cannot fit, and nothing was begun.
        InputError: this machine cannot make a step, or measure on any of the targets; nothing was begun.
        Stopped: the user asked to stop.
    """
    store = open_store(runs_dir, shared)
    folder = run_folder(runs_dir, plan.recipe.name)
    host = host_facts()
    warnings = _check_fits(plan, store, folder, host, force=force)
    needs = needs_of([plan, *(item.plan for item in ablated if item.plan is not None)], store)
    needs |= needs_of_baselines(plan, store)
    claim(folder, needs)
    begun = {
        "recipe": plan.recipe.name,
        "compress_version": __version__,
        "arguments": shown_arguments(sys.argv[1:]),
        "host": host,
        "keys": {step.name: step.identity.key for step in plan.steps},
    }
    try:
        with journal(folder, observer, begun) as observed:
            for warning in (*warnings, *plan.remarks):
                observed.warned(warning)
            result = _Run(plan, store, folder, host, observed).make_and_report(ablated)
            write_needs(folder, needs)
    except OSError as error:
        raise disk_error(error, folder) from error
    return result


def _check_fits(plan: Plan, store: Store, folder: Path, host: Mapping[str, Any], *, force: bool) -> Sequence[str]:
    """Check that the run fits this machine; returns the warnings to give before it begins.

    Raises:
        CompressError: memory or disk will not suffice, and `force` is not set.
        InputError: this machine cannot make a step, or measure on any of the targets.
    """
    done = {step.name for step in plan.steps if store.has(step.identity)}
    feasible = check_feasible(plan, done)
    if not force and len(done) < len(plan.steps):
        check_fits(forecast_for(plan, done, folder, host), plan, folder.parent)
    return feasible.warnings


@dataclass(frozen=True)
class _Run:
    """A run with all that it works on."""

    plan: Plan
    store: Store
    folder: Path
    host: Mapping[str, Any]
    observer: Observer

    def make_and_report(self, ablated: Sequence[Ablated]) -> Result:
        """Make the plan's artifacts and those of the plans without a step, measure, and report."""
        plan, store, host, observer = self.plan, self.store, self.host, self.observer
        artifacts, made_any = make_steps(plan, store, host, observer)
        variants, made_more = make_variants(variants_of(ablated), plan, artifacts, store, host, observer)
        entries, compared = compare_ablated(ablated, variants, plan, artifacts)
        with locked(self.folder / LOCK, "the same run", observer.warned, observer.stopping):
            recipe_text = dump_recipe(plan)
            write_text(self.folder / "recipe.yaml", recipe_text)
            link_steps(self.folder, plan, artifacts)
            asked = ask_baselines(plan, store, self.folder, host, observer)
            measured = self._measure(artifacts, compared) if plan.recipe.targets else None
            report = self._report(artifacts, measured, entries, asked) if measured else None
            write_final(plan, artifacts, self.folder, report, recipe_text)
        did_nothing = not (made_any or made_more or asked.is_new or (measured is not None and measured.is_new))
        return Result(self.folder, artifacts, report, did_nothing)

    def _measure(self, artifacts: Mapping[str, Artifact], compared: Sequence[Compared]) -> Measured:
        """The measurements for the report; those that the run's folder keeps are used again."""
        self.observer.step_started("bench", "bench")
        start = time.monotonic()
        measured = measure_plan(self.plan, artifacts, self.folder, self.host, self.observer.progress, compared)
        self.observer.step_done("bench", "bench", time.monotonic() - start, measured.is_new)
        return measured

    def _report(
        self, artifacts: Mapping[str, Artifact], measured: Measured, ablations: Sequence[AblationEntry], asked: Asked
    ) -> Report:
        """The report, which is written if it is new."""
        recipe_text = dump_recipe(self.plan, to_show=True)
        report, is_new = report_plan(self.plan, artifacts, measured, self.folder, recipe_text, ablations, asked.entries)
        if is_new or not all((self.folder / name).is_file() for name in FILES):
            write_report(report, self.folder)
        return report
