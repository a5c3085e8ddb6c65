"""The making of candidates over one store: for each part of the training rows that is held out, or for all rows."""

import itertools
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from compress.errors import InputError
from compress.planning.feasibility import check_feasible
from compress.planning.plan import Plan
from compress.planning.planner import make_plan
from compress.recipe.schema import Recipe
from compress.recipe.validation import Origin
from compress.running.folder import claim, needs_of
from compress.running.journal import Observer
from compress.running.make import make_steps
from compress.running.where import Place
from compress.search.candidates import Candidate, RawStep
from compress.store.artifacts import Artifact
from compress.store.store import Store
from compress.tasks import Task

BASELINE = Candidate("teacher in float", "teacher", "the teacher", ())
"""The teacher's graph as it was exported: what all others are compared with."""
SEARCHING_SHARE = 0.15
"""Share of the rows that are not selected on which is searched on, where the user gives no validation rows."""
FOLDED_ROWS = 20_000
"""Training rows from which one part is enough to select on."""
FOLDS = 3


def fold_count(recipe: Recipe, rows: int) -> int:
    """The number of parts that are selected on."""
    assert recipe.search is not None
    return recipe.search.folds or (FOLDS if rows < FOLDED_ROWS else 1)


def held_out(recipe: Recipe, fold: int, folds: int) -> dict[str, Any]:
    """The changes of a task under which a part of its training rows is its test.

    Args:
        fold: the part, counted from 0, of `folds`.
    """
    changes: dict[str, Any] = {"selecting": {"part": fold, "parts": folds}}
    if recipe.task.validation is None:
        changes["validation_fraction"] = SEARCHING_SHARE
    return changes


@dataclass
class Maker:
    """The maker of a search's candidates.

    Attributes:
        start: the recipe of the search, whose steps end with the teacher.
        folds: the number of parts that are selected on.
        place: where candidates are made ahead, and timed.
        made: how many candidates this run had to make anything for.
    """

    start: Recipe
    origin: Origin
    store: Store
    folder: Path
    host: Mapping[str, Any]
    observer: Observer
    folds: int
    place: Place
    made: int = 0
    _bases: dict[int, Plan] = field(default_factory=dict)
    _artifacts: dict[str, Artifact] = field(default_factory=dict)

    def base(self, fold: int) -> Plan:
        """The plan of the teacher of a part; its task has fitting rows to train, searching to validate, selecting to
        test.
        """
        if fold not in self._bases:
            self._bases[fold] = make_plan(self._recipe(BASELINE, fold), self.origin)
        return self._bases[fold]

    def task(self, fold: int) -> Task:
        """The rows of a part."""
        return self.base(fold).task

    def teacher(self) -> Artifact:
        """The teacher of the first part."""
        self.make(BASELINE)
        return self._artifacts[self.base(0).step(self.start.steps[-1].name).identity.key]

    def ahead(self, candidates: Sequence[Candidate], folds: Sequence[int] = (0,)) -> None:
        """Make candidates side by side, where the place can; what fails is left to `make`."""
        if not self.place.makes_ahead:
            return
        plans = []
        for fold, candidate in itertools.product(folds, candidates):
            with suppress(InputError):  # `make` tells of it
                plan = make_plan(self._recipe(candidate, fold), self.origin, beside=self.base(fold))
                plans.append(_without_measuring(plan))
        claim(self.folder, needs_of(plans, self.store))
        self.place.make(plans, self.store, self.observer)

    def make_steps(self, steps: Sequence[RawStep]) -> Artifact:
        """What the last of some steps after the first part's teacher makes; see `make`."""
        data = self._recipe(BASELINE, 0).model_dump(mode="json", exclude_unset=True)
        data["steps"] = [*data["steps"][:-1], *(dict(step) for step in steps)]
        return self._made(Recipe.model_validate(data), 0, str(steps[-1]["name"]))

    def make(self, candidate: Candidate, fold: int = 0) -> Artifact:
        """The candidate's last artifact, with the models of a part; steps that are made already are shared.

        Raises:
            CompressError: a step failed.
            InputError: the candidate cannot be made of this teacher, or on this machine.
            Stopped: the user has asked to stop.
        """
        name = candidate.label if fold == 0 else f"{candidate.label}, part {fold + 1}"
        return self._made(self._recipe(candidate, fold), fold, name)

    def seconds(self) -> float:
        """Time by the clock of all that the search has made, on this run and earlier ones."""
        manifests = [artifact.manifest for artifact in self._artifacts.values()]
        return sum(manifest.seconds for manifest in manifests if manifest is not None)

    def cpu_seconds(self) -> float:
        """Processor time of all that the search has made, on this run and earlier ones."""
        return sum(_cpu_seconds(artifact) for artifact in self._artifacts.values())

    def cpu_seconds_of(self, candidate: Candidate) -> float:
        """Processor time of a candidate's own steps for the first part; of the baseline those of the teacher."""
        plan = make_plan(self._recipe(candidate, 0), self.origin, beside=self.base(0))
        shared = {step.identity.key for step in self.base(0).steps} if candidate != BASELINE else set()
        keys = {step.identity.key for step in plan.steps} - shared
        return sum(_cpu_seconds(self._artifacts[key]) for key in keys if key in self._artifacts)

    def _made(self, recipe: Recipe, fold: int, name: str) -> Artifact:
        """The last artifact of a recipe; its steps are told of by a name."""
        whole = make_plan(recipe, self.origin, beside=self.base(fold))
        plan = _without_measuring(whole)
        keys = {step.name: step.identity.key for step in plan.steps}
        done = {name: self._artifacts[key] for name, key in keys.items() if key in self._artifacts}
        check_feasible(whole, set(done))
        claim(self.folder, needs_of([plan], self.store))
        made, made_any = make_steps(plan, self.store, self.host, _Named(self.observer, name), done=done)
        self.made += made_any
        self._artifacts |= {keys[name]: made[name] for name in keys}
        return made[plan.recipe.steps[-1].name]

    def _recipe(self, candidate: Candidate, fold: int) -> Recipe:
        return candidate.recipe(self.start, held_out(self.start, fold, self.folds))


def _without_measuring(plan: Plan) -> Plan:
    """The plan without exports that only a report would measure."""
    return replace(plan, steps=tuple(step for step in plan.steps if not step.only_measured))


def _cpu_seconds(artifact: Artifact) -> float:
    manifest = artifact.manifest
    return (manifest.cpu_seconds or 0.0) if manifest is not None else 0.0


class _Named:
    """An observer of a candidate's making, which tells of its own steps by its name."""

    def __init__(self, observer: Observer, name: str) -> None:
        self.progress, self.warned, self.stopping = observer.progress, observer.warned, observer.stopping
        self._observer, self._name = observer, name

    def step_started(self, step: str, stage: str) -> None:
        self._observer.step_started(f"{self._name}: {step}", stage)

    def step_done(self, step: str, stage: str, seconds: float, made: bool) -> None:
        if made:
            self._observer.step_done(f"{self._name}: {step}", stage, seconds, made)
