"""A search, from a recipe with `search:` to the winner's report.

The training rows are split for fitting, searching and selecting. The race looks at candidates on searching rows; at
most five finalists are held against the bound on selecting rows; the winner is made again of all training rows, by an
ordinary recipe, and only then, and only it, is measured on the test rows.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from compress import runtimes
from compress.comparing.sample import sample_rows
from compress.errors import CompressError, InputError
from compress.files.disks import disk_error
from compress.machine.facts import host_facts
from compress.measurement import CONFIDENCE
from compress.models.tokenizer import load_tokenizer
from compress.planning.plan import Plan
from compress.planning.planner import make_plan
from compress.recipe.schema import Recipe, Search
from compress.recipe.validation import Origin
from compress.report.files import write_report
from compress.report.search import SearchReport, Selection
from compress.running.folder import open_store, run_folder
from compress.running.journal import Observer, journal
from compress.running.runner import Result, run_plan
from compress.running.where import Place, place_of
from compress.search.candidates import Candidate
from compress.search.choice import Entrant, choose, other_limits
from compress.search.finishing import finished
from compress.search.making import BASELINE, Maker, fold_count
from compress.search.race import STUDENTS, Looked, Race, finalists
from compress.search.reporting import describe
from compress.search.scoring import Scorer
from compress.search.selecting import Selector
from compress.search.space import Facts, candidates, families_of
from compress.search.time_left import FITTED, Amount, TimeLeft
from compress.store.shared import SharedStore
from compress.store.store import Store

MARGIN_PP = 1.0
"""The bound where the goal has none, in percentage points."""
SAMPLED = 512
"""Training texts whose length is looked at."""


LOOKS = (0.6, 0.5, 1.0)
"""Shares of the level that is left, for each time that selecting rows are looked at: where a linear model seems as
good, then where another without a transformer does, then with all; the last look there is has all that is left. Simple
models differ from the teacher on more rows than large students do, so they need the most of it."""


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        plan: the plan of the winner's own recipe.
        result: its run, with the report.
    """

    plan: Plan
    result: Result


def run_search(
    recipe: Recipe,
    origin: Origin,
    runs_dir: Path,
    observer: Observer,
    watch: Callable[[Looked], None],
    *,
    force: bool = False,
    on: str | None = None,
    shared: SharedStore | None = None,
) -> Found:
    """Search, and run the winner's recipe.

    Args:
        recipe: a recipe with `search`; its last step is the teacher.
        watch: called with each candidate that was looked at.
        on: where candidates are made, side by side: see `compress.running.where.place_of`. None: here.
        shared: the store of other machines, from which missing artifacts are taken.

    Raises:
        InputError: anything in the recipe or its data is wrong; nothing was begun.
        CompressError: the teacher cannot be made, or no candidate can.
        Stopped: the user has asked to stop; a further call goes on from there.
    """
    _check_target(recipe, origin)
    whole = make_plan(BASELINE.recipe(recipe), origin)
    rows = len(whole.task.train) + len(whole.task.validation)
    place = place_of(on, shared)
    try:
        store = open_store(runs_dir, shared)
        winner, search = _Searcher(recipe, origin, runs_dir, observer, watch, rows, place, store).find()
    finally:
        place.close()
    plan = make_plan(winner.recipe(recipe), origin, beside=whole)
    return Found(plan, _with_search(run_plan(plan, runs_dir, observer, force=force, shared=shared), search))


def _is_simple(chosen: Sequence[Looked], selection: Selection) -> bool:
    """Whether a model without a transformer has won."""
    return any(one.candidate.label == selection.winner and one.candidate.family != "teacher" for one in chosen)


def margin_of(recipe: Recipe) -> float:
    """The largest drop that a recipe allows, in percentage points."""
    goal = recipe.goal
    return MARGIN_PP if goal is None or goal.max_drop_pp is None else goal.max_drop_pp


def _check_target(recipe: Recipe, origin: Origin) -> None:
    """Refuse a recipe without a target that runs what the search makes.

    Raises:
        InputError: there is none, or its runtime reads no ONNX graphs.
    """
    name, target = next(iter(recipe.targets.items()), ("", None))
    if target is None:
        raise InputError(
            "a search needs a target: what is fast depends on where it runs",
            where=origin.where("search"),
            fix="add targets: {cpu: {threads: 2}}",
        )
    if "onnx" not in runtimes.find(target.runtime).FORMATS:
        raise InputError(
            f"a search makes ONNX graphs, and {target.runtime} runs none",
            where=origin.where("targets", name, "runtime"),
            fix="take runtime: onnxruntime, openvino or tensorrt",
        )


def _with_search(result: Result, search: SearchReport) -> Result:
    """A run whose report tells of the search that led to it, on the disk too."""
    if result.report is None:
        return result
    last = next((row for row in reversed(result.report.rows) if row.status == "measured"), None)
    if last is not None:
        against = last.versus_baseline
        search = search.with_test(last.quality, None if against is None else against.drop_pp)
    report = result.report.model_copy(update={"search": search})
    write_report(report, result.folder)
    return replace(result, report=report)


class _Searcher:
    """A search at work."""

    def __init__(
        self,
        recipe: Recipe,
        origin: Origin,
        runs_dir: Path,
        observer: Observer,
        watch: Callable[[Looked], None],
        rows: int,
        place: Place,
        store: Store,
    ) -> None:
        self.start = time.monotonic()
        self.recipe, self.observer, self.watch = recipe, observer, watch
        self.search = recipe.search or Search()
        self.folder, self.host = run_folder(runs_dir, recipe.name), host_facts()
        folds = fold_count(recipe, rows)
        self.maker = Maker(recipe, origin, store, self.folder, self.host, observer, folds, place)
        target = next(iter(recipe.targets.values()))
        self.scorer = Scorer(store, self.host, target, place, observer.progress)
        self.margin = margin_of(recipe) / 100

    def find(self) -> tuple[Candidate, SearchReport]:
        """The winner, and what the report says of the search."""
        self.folder.mkdir(parents=True, exist_ok=True)
        begun = {"recipe": self.recipe.name, "search": True, "host": self.host}
        try:
            with journal(self.folder, self.observer, begun) as observed:
                self.maker.observer = observed
                return self._find()
        except OSError as error:
            raise disk_error(error, self.folder) from error

    def _find(self) -> tuple[Candidate, SearchReport]:
        facts = self._facts()
        race = Race(
            self.maker,
            self.scorer,
            facts,
            self.margin,
            self.search.minimize,
            self._time_left,
            self.watch,
            tries_elastic="elastic" in families_of(facts, self.search.families),
        )
        self.maker.ahead([BASELINE], range(self.maker.folds))
        self.maker.make(BASELINE)
        self._check_budget()
        if self.search.budget_minutes is not None:
            race.deadline = self.start + 60 * self.search.budget_minutes
        elif not self.maker.place.makes_ahead:
            race.estimate = self._estimate(facts)
        looked = race.run(candidates(facts, self.search.families))
        if not looked:
            reasons = "; ".join(f"{name}: {why}" for name, why in race.failed.items())
            raise CompressError(f"no candidate could be made: {reasons}")
        chosen = self._finalists(race, looked)
        level, failed = 1 - CONFIDENCE, set[str]()
        for share in LOOKS:
            spent = level * share if race.can_go_on else level
            selection = self._select(chosen, 1 - spent)
            if not race.can_go_on or _is_simple(chosen, selection):
                break
            level -= spent
            failed |= {one.name for one in selection.finalists if one.verdict != "proved"}
            chosen = self._finalists(race, race.go_on(failed), failed)
        winner = next(one for one in chosen if one.candidate.label == (selection.winner or selection.nearest)).candidate
        return winner, describe(race, selection, winner)

    def _finalists(self, race: Race, looked: Sequence[Looked], failed: Collection[str] = ()) -> list[Looked]:
        """The finalists with their last steps, from the safest to the smallest.

        Args:
            failed: names of those that failed on the same rows before.
        """
        new = [one for one in looked if one.candidate.label not in failed] or looked
        chosen = [finished(race, one) for one in finalists(new, self.margin, race.cost, self.search.finalists)]
        return sorted(chosen, key=lambda one: (not one.candidate.in_float, -race.cost(one.standing)))

    def _select(self, chosen: Sequence[Looked], confidence: float) -> Selection:
        """The finalists against the goal, from the safest on, up to the first that fails; later ones are not made."""
        selector = Selector(self.maker, self.scorer)
        outcomes = selector.outcomes([one.candidate for one in chosen])
        entrants: list[Entrant] = []
        for one, (before, after) in zip(chosen, outcomes, strict=True):
            missed = other_limits(self.recipe.goal, one.standing, one.baseline)
            entrants.append(Entrant(one.candidate.label, after, missed))
            selection = choose(before, entrants, 100 * self.margin, confidence)
            if not missed and selection.finalists[-1].verdict != "proved":
                break
        return selection

    def _facts(self) -> Facts:
        """What the space depends on: the teacher and the fitting rows."""
        base = self.maker.base(0)
        task, teacher = base.task, base.step(self.recipe.steps[-1].name)
        model = teacher.model
        assert not isinstance(model, str)
        rows = sample_rows(task, task.train, SAMPLED)
        limit = task.spec.max_length
        lengths = [len(row["input_ids"]) for row in task.encode(rows, load_tokenizer(model.path), limit + 1)]
        return Facts(
            teacher=teacher.name,
            shape=teacher.shape,
            rows=len(task.train),
            counts=tuple(Counter(task.truth(task.train).content).values()),
            are_pairs=task.texts(rows)[1] is not None,
            cut=sum(length > limit for length in lengths) / max(1, len(lengths)),
            unlabelled=len(task.unlabelled),
        )

    def _estimate(self, facts: Facts) -> TimeLeft:
        """The estimate of the time left, which starts from the time of the first part's teacher."""
        step, manifest = self.maker.base(0).step(facts.teacher), self.maker.teacher().manifest
        passes = sum(training.epochs for training in step.stage.trainings(step.config))
        teacher = Amount(0.0 if manifest is None else manifest.seconds, passes * facts.rows)
        return TimeLeft(facts, STUDENTS, teacher, self.maker.folds, self.search.finalists)

    def _time_left(self) -> float:
        """Seconds for making candidates: without those for the other parts, and for the winner of all rows."""
        if self.search.budget_minutes is None:
            return float("inf")
        return self.search.budget_minutes * 60 - (time.monotonic() - self.start) - self._reserve()

    def _reserve(self) -> float:
        manifest = self.maker.teacher().manifest
        seconds = manifest.seconds if manifest is not None else 0.0
        return seconds * (self.maker.folds - 1 + 1 / FITTED)

    def _check_budget(self) -> None:
        """Refuse a budget in which no candidate can be made.

        Raises:
            InputError: it is used up by the teachers.
        """
        if self._time_left() <= 0:
            minutes = (self._reserve() + time.monotonic() - self.start) / 60
            raise InputError(
                f"the budget of {self.search.budget_minutes:.3g} minutes is too short for one candidate: the teachers "
                f"of the {self.maker.folds} parts and of all rows take about {minutes:.0f}",
                where="search.budget_minutes",
                fix=f"give {math.ceil(2 * minutes)} minutes, or search.folds: 1",
            )
