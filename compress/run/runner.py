"""Runs a plan against the store: takes what is done, makes what is not, measures, reports."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress import __version__
from compress.errors import InputError
from compress.files.disks import disk_error
from compress.files.locks import locked
from compress.files.strict_json import read_json
from compress.files.whole import STEPS, own_folder, write_text
from compress.lineage.final import write_final
from compress.machine.facts import host_facts
from compress.plan.ablation import Ablated
from compress.plan.feasibility import check_feasible
from compress.plan.plan import Plan, artifact_of
from compress.recipe.reading import split_sheet
from compress.recipe.schema import TABLES, said_input, say_input
from compress.recipe.yaml_file import dump_yaml
from compress.report.entries import AblationEntry
from compress.report.files import FILES, write_report
from compress.report.model import Report
from compress.run.forecast import forecast_for, refuse_what_cannot_fit
from compress.run.journal import Observer, journal
from compress.run.make import make_steps
from compress.run.measure import measure_plan
from compress.run.report import report_plan
from compress.store.artifacts import NEEDS, Artifact, Store

LOCK = ".lock"
"""Name of the file in a run's folder that two runs of one name take turns by; the store may be read-only by then."""


@dataclass(frozen=True)
class Result:
    """What a run left behind.

    Attributes:
        folder: of the run, with the report and a link to each step's artifact.
        artifacts: by the name of the planned step.
        report: None where the recipe has no targets.
        did_nothing: all was done before.
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


def open_store(runs_dir: Path) -> Store:
    """The store that all runs below `runs_dir` share."""
    return Store(runs_dir / "store")


def run_folder(runs_dir: Path, name: str) -> Path:
    """The folder of a run.

    Raises:
        InputError: it is a link, so that what stands where it leads to would be changed, and its own links break; or a
            file.
    """
    folder = runs_dir / name
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError(
            f"the run's folder is a {'link' if folder.is_symlink() else 'file'}",
            where=str(folder),
            fix="remove it, or give the recipe another name; --runs-dir, or a link of that folder, moves all runs",
        )
    return folder


def run_plan(
    plan: Plan, runs_dir: Path, observer: Observer, ablated: Sequence[Ablated] = (), *, force: bool = False
) -> Result:
    """Run a plan to its end.

    Args:
        ablated: plans without one step each, which are run too, and measured beside it.
        force: begin even if memory or disk will not do.

    Raises:
        CompressError: a step failed, and the steps before it are kept; or the run cannot fit, and nothing was begun.
        InputError: this machine cannot make a step, or measure on any of the targets; nothing was begun.
        Stopped: the person asked to stop.
    """
    store = open_store(runs_dir)
    folder = run_folder(runs_dir, plan.recipe.name)
    host = host_facts()
    done = {step.name for step in plan.steps if store.path(step.identity).is_dir()}
    feasible = check_feasible(plan, done)
    if not force and len(done) < len(plan.steps):
        refuse_what_cannot_fit(forecast_for(plan, done, folder, host), plan, runs_dir)
    needs = _needs([plan, *(item.plan for item in ablated if item.plan is not None)], store)
    _claim(folder, needs)
    begun = {
        "recipe": plan.recipe.name,
        "compress_version": __version__,
        "arguments": sys.argv[1:],
        "host": host,
        "keys": {step.name: step.identity.key for step in plan.steps},
    }
    try:
        with journal(folder, observer, begun) as observed:
            for warning in feasible.warnings:
                observed.warned(warning)
            result = _run(plan, folder, store, host, observed, ablated)
            write_text(folder / NEEDS, json.dumps(needs, indent=1) + "\n")
    except OSError as error:
        raise disk_error(error, folder) from error
    return result


def _run(
    plan: Plan,
    folder: Path,
    store: Store,
    host: Mapping[str, Any],
    observer: Observer,
    ablated: Sequence[Ablated],
) -> Result:
    """Make, measure and report; see `run_plan`."""
    for remark in plan.remarks:
        observer.warned(remark)
    artifacts, made_any = make_steps(plan, store, host, observer)
    without: list[AblationEntry] = []
    beside: dict[str, Artifact] = {}
    for item in ablated:
        entries, finals, made = _obtain_ablated(item, plan, store, host, observer)
        without += entries
        beside |= finals
        made_any |= made
    with locked(folder / LOCK, "the same run", observer.warned, observer.stopping):
        report, measured_anew = _measure_and_report(plan, artifacts, folder, host, observer, beside, without)
    return Result(folder, artifacts, report, did_nothing=not (made_any or measured_anew))


def _measure_and_report(
    plan: Plan,
    artifacts: Mapping[str, Artifact],
    folder: Path,
    host: Mapping[str, Any],
    observer: Observer,
    beside: Mapping[str, Artifact],
    without: Sequence[AblationEntry],
) -> tuple[Report | None, bool]:
    """The run's report, and whether anything was measured; writes all that stands in the run's folder."""
    recipe_text = dump_recipe(plan)
    write_text(folder / "recipe.yaml", recipe_text)
    _link_steps(folder, plan, artifacts)
    report, measured_anew = None, False
    if plan.recipe.targets:
        observer.step_started("bench", "bench")
        start = time.monotonic()
        measured = measure_plan(plan, artifacts, folder, host, observer.progress, list(beside.values()))
        measured_anew = measured.is_new
        observer.step_done("bench", "bench", time.monotonic() - start, measured.is_new)
        shown = dump_recipe(plan, to_show=True)
        report, is_new = report_plan(plan, artifacts, measured, folder, shown, without)
        if is_new or not all((folder / name).is_file() for name in FILES):
            write_report(report, folder)
    write_final(plan, artifacts, folder, report, recipe_text)
    return report, measured_anew


def _needs(plans: Sequence[Plan], store: Store) -> dict[str, str]:
    """Folders of the store that plans will need, by step and key."""
    steps = [step for plan in plans for step in plan.steps]
    return {f"{step.name} {step.identity.key[:16]}": store.path(step.identity).name for step in steps}


def _claim(folder: Path, needs: Mapping[str, str]) -> None:
    """Say which artifacts the run needs beside those of the run before it, whose report stands until this one ends.

    So none is cleaned away while the run is at work, or after it was killed.
    """
    try:
        before = read_json(folder / NEEDS)
    except (OSError, ValueError):
        before = {}  # the first run of that name, or damaged
    try:
        folder.mkdir(parents=True, exist_ok=True)
        merged = {**(before if isinstance(before, dict) else {}), **needs}
        write_text(folder / NEEDS, json.dumps(merged, indent=1) + "\n")
    except OSError as error:
        raise disk_error(error, folder) from error


def _obtain_ablated(
    ablated: Ablated, whole: Plan, store: Store, host: Mapping[str, Any], observer: Observer
) -> tuple[list[AblationEntry], dict[str, Artifact], bool]:
    """What the chain without a step ends in on each target, as entries and as artifacts by key."""
    if ablated.plan is None:
        return [AblationEntry(ablated.step, name, reason=ablated.reason) for name in whole.recipe.targets], {}, False
    artifacts, made = make_steps(ablated.plan, store, host, _Without(observer, ablated.step))
    last = ablated.plan.recipe.steps[-1].name
    entries: list[AblationEntry] = []
    finals: dict[str, Artifact] = {}
    for subject in ablated.plan.subjects:
        if subject.step == last:
            final = artifact_of(subject.measured, artifacts)
            finals[final.key] = final
            entries.append(AblationEntry(ablated.step, subject.target, final.key))
    return entries, finals, made


class _Without:
    """Tells an observer of a chain's steps under names that say which step the chain lacks."""

    def __init__(self, observer: Observer, step: str) -> None:
        self.progress, self.warned, self.stopping = observer.progress, observer.warned, observer.stopping
        self._observer, self._step = observer, step

    def step_started(self, name: str, stage: str) -> None:
        self._observer.step_started(f"{name} without {self._step}", stage)

    def step_done(self, name: str, stage: str, seconds: float, made: bool) -> None:
        if made:  # most of the chain is that of the whole one
            self._observer.step_done(f"{name} without {self._step}", stage, seconds, made)


def dump_recipe(plan: Plan, *, to_show: bool = False) -> str:
    """The recipe as it ran, overrides included, as YAML that runs again from any folder.

    Args:
        to_show: local files are named as the recipe says them, and without the folders above where it says all of
            them: for a report, which others read.
    """
    data = plan.recipe.model_dump(mode="json", exclude_defaults=True)

    def say_local(place: dict[str, Any], name: str) -> None:
        said = said_input(place, name)
        file, _ = split_sheet(said)
        path = plan.origin.folder / file
        if "://" not in said and path.exists():
            is_whole = said.startswith("~") or Path(said).is_absolute()
            shown = path.name if is_whole else file
            say_input(place, name, (shown if to_show else str(path.resolve())) + said[len(file) :])

    for part in TABLES:
        if data["task"].get(part):
            say_local(data["task"], part)
    for step, raw in zip(plan.recipe.steps, data["steps"], strict=True):
        for role, value in plan.step(step.name).inputs.items():
            if isinstance(value, Artifact):
                say_local(raw, role)
    return dump_yaml(data)


def _link_steps(folder: Path, plan: Plan, artifacts: Mapping[str, Artifact]) -> None:
    """`steps/NAME` of the run points to each artifact in the store, which may itself be a link."""
    links = folder / STEPS
    own_folder(links)
    for link in links.iterdir():
        if link.is_symlink():  # what else stands there is not ours
            link.unlink()
    for step in plan.steps:
        if not step.only_measured:
            path = artifacts[step.name].path
            (links / step.name).symlink_to(Path("..", "..", path.parent.name, path.name))
