"""The commands as functions, for programs: errors are exceptions, progress is a callback, nothing is printed.

```python
import compress

result = compress.run("recipe.yaml", overrides={"pruned.ffn": 0.3}, on_event=print)
result.report.rows[-1].quality  # with its interval
```
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from compress.errors import InputError, Stopped

if TYPE_CHECKING:
    from compress.recipe.schema import Recipe
    from compress.recipe.validation import Origin
    from compress.report.model import Report
    from compress.report.two_reports import Compared
    from compress.running.outlook import Outlook
    from compress.running.runner import Result
    from compress.search.race import Looked

RecipeLike: TypeAlias = str | Path | Mapping[str, Any]
"""A recipe: its file, the name of a shipped one, or its content, whose relative paths start in the current folder."""


@dataclass(frozen=True)
class Event:
    """One event of a run.

    Attributes:
        kind: `step_started` and `step_done` for each step; `progress` of one piece of work; `candidate` that a search
            has looked at; `note` of what is fetched; `warning`.
        what: the name of the step, of the piece of work or of the candidate; the sentence of a note or a warning.
        stage: the technique of a step; `bench` while artifacts are measured.
        done, total: the units of a piece of work; they are equal at its end.
        seconds: the time that a finished step took.
        made: whether a finished step was made, and not taken from the store.
    """

    kind: Literal["step_started", "step_done", "progress", "candidate", "note", "warning"]
    what: str
    stage: str | None = None
    done: int | None = None
    total: int | None = None
    seconds: float | None = None
    made: bool | None = None


OnEvent: TypeAlias = Callable[[Event], None]


def run(
    recipe: RecipeLike,
    *,
    runs_dir: str | Path = "runs",
    overrides: Mapping[str, Any] | None = None,
    ablate: bool = False,
    force: bool = False,
    on: str | None = None,
    store: str | None = None,
    on_event: OnEvent | None = None,
    stop: Callable[[], bool] | None = None,
) -> "Result":
    """Run a recipe: make what is not made yet, measure, and report; `compress run`.

    A recipe with `search` is searched for the smallest model that keeps its goal, and the winner's recipe is run.

    Args:
        runs_dir: where runs and their artifacts are kept.
        overrides: values that replace the recipe's: `{"pruned.ffn": 0.3, "seed": 1}`.
        ablate: also run the chain without each of its steps, and say what it is worth; not with `search`.
        force: begin even if memory or disk will not do, by the forecast.
        on: where a search's candidates are made, side by side: `ray`, or its address. Left out: here.
        store: the URL of a store that other machines share, from which finished steps are taken, and to which they are
            put: `s3://BUCKET/FOLDER`.
        on_event: called in this thread with what happens; what it raises ends the run.
        stop: called often; once it returns True, the run stops at the next point from which it can be resumed.

    Returns:
        The run's folder, its artifacts and its report. A goal that is missed is no error: `result.report.goal.met`;
        nor is a row that could not be measured: `result.failures`.

    Raises:
        InputError: the recipe or what it names is wrong, or this machine cannot do it; nothing was begun.
        CompressError: a step failed; the steps before it are kept.
        Stopped: `stop` returned True.
    """
    from compress.planning.ablation import ablate as plans_without
    from compress.planning.planner import make_plan
    from compress.running.runner import run_plan
    from compress.store.shared import open_shared

    listener = _Listener(on_event, stop)
    read, origin = _read(recipe, overrides)
    shared = None if store is None else open_shared(store)
    if read.search is not None:
        from compress.search.run import run_search

        if ablate:
            raise InputError("a search has no steps to leave out", fix="run the winner's recipe with ablate=True")
        found = run_search(
            read, origin, Path(runs_dir), listener, listener.looked_at, force=force, on=on, shared=shared
        )
        return found.result
    if on is not None:
        raise InputError("the recipe searches for nothing", fix="leave out on, or add search: {}")
    plan = make_plan(read, origin, listener.announce)
    without = plans_without(plan) if ablate else ()
    return run_plan(plan, Path(runs_dir), listener, without, force=force, shared=shared)


def plan(
    recipe: RecipeLike,
    *,
    runs_dir: str | Path = "runs",
    overrides: Mapping[str, Any] | None = None,
    forecast: bool = False,
    on_event: OnEvent | None = None,
) -> "Outlook":
    """Check a recipe and its data, and return what a run would do; `compress plan`.

    Args:
        forecast: also run a few batches of each step that is to do, and forecast time, memory and disk.

    Returns:
        The planned steps with their keys, which of them are done, what this machine cannot do, and the forecast.

    Raises:
        InputError: as `run` raises it.
        CompressError: a source could not be fetched, or a step failed while it was forecast.
    """
    from dataclasses import replace

    from compress.planning.planner import make_plan
    from compress.running.outlook import look_ahead, measure_forecast

    listener, place = _Listener(on_event), Path(runs_dir)
    outlook = look_ahead(make_plan(*_read(recipe, overrides), listener.announce), place)
    if not forecast or not outlook.to_do:
        return outlook
    return replace(outlook, forecast=measure_forecast(outlook, place, listener))


def bench(
    folders: Sequence[str | Path],
    task: Mapping[str, Any],
    targets: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    goal: Mapping[str, Any] | None = None,
    seed: int = 0,
    on_event: OnEvent | None = None,
    stop: Callable[[], bool] | None = None,
) -> "Report":
    """Measure model folders on the same test rows, each in processes of its own; `compress bench`.

    Args:
        folders: any models, also ones that this tool did not make; the first is the baseline.
        task: the test rows, as a recipe's `task` says them: `{"test": "test.csv", "columns": {"text": "review"}}`.
        targets: where to measure, by name, as a recipe says it: `{"cpu": {"runtime": "onnxruntime", "threads": 4}}`.
            Left out: the usual runtime of each folder's format.
        settings: how latency is sampled, as a recipe's `bench`.
        goal: the goal, as in a recipe; its largest drop is the margin up to which a model is no worse.
        seed: the seed of the order in which models take turns.

    Returns:
        One row for each folder and target, with intervals; one that could not be measured says why.

    Raises:
        InputError: a folder is no model, or none has the data's labels.
        Stopped: `stop` returned True.
    """
    from compress.recipe.schema import BenchSpec, Goal, Target, TaskSpec
    from compress.recipe.validation import Origin, validate
    from compress.running.bench_folders import bench_folders, default_runtimes

    paths, listener = [Path(folder) for folder in folders], _Listener(on_event, stop)
    raw_targets = targets or {name: {"runtime": name} for name in default_runtimes(paths)}
    where = {name: Origin(f"the target {name}") for name in raw_targets}
    return bench_folders(
        paths,
        validate(TaskSpec, task, Origin("the task"), label="the task"),
        {name: validate(Target, value, where[name], label="a target") for name, value in raw_targets.items()},
        validate(BenchSpec, settings or {}, Origin("the settings"), label="the settings"),
        seed,
        listener.stoppable_progress,
        "compress.bench",
        None if goal is None else validate(Goal, goal, Origin("the goal"), label="the goal"),
        every_pair=bool(targets),
    )


def compare(first: str | Path, second: str | Path) -> "Compared":
    """The comparison of two runs' last steps, made from their reports; `compress compare`.

    Nothing is measured: `bench` measures two models side by side.

    Args:
        first, second: runs' folders, or their report.json; the second is compared with the first.

    Returns:
        The changes, with intervals, verdicts and notes for the reader.

    Raises:
        InputError: a report is missing, or the two have no target or no test rows in common.
    """
    from compress.report.two_reports import compare_reports

    return compare_reports(Path(first), Path(second))


def load(folder: str | Path) -> Any:
    """The torch model in `folder`, pruned shapes included, ready for evaluation; see `compress.models.load.load`.

    Raises:
        InputError: it holds none.
    """
    from compress.models.load import load as load_folder

    return load_folder(folder)


def _read(recipe: RecipeLike, overrides: Mapping[str, Any] | None) -> "tuple[Recipe, Origin]":
    from compress import stages
    from compress.recipe.shipped import find_recipe
    from compress.recipe.yaml_file import load_recipe, recipe_from

    changes = [f"{key}={json.dumps(value)}" for key, value in (overrides or {}).items()]  # JSON is YAML
    if isinstance(recipe, Mapping):
        return recipe_from(recipe, changes, stages.roles_of)
    return load_recipe(find_recipe(str(recipe)), changes, stages.roles_of)


class _Listener:
    """An observer of a run that turns each call into an event."""

    def __init__(self, on_event: OnEvent | None, stop: Callable[[], bool] | None = None) -> None:
        self._tell: OnEvent = on_event or (lambda _: None)
        self._stop: Callable[[], bool] = stop or (lambda: False)

    def progress(self, what: str, done: int, total: int) -> None:
        self._tell(Event("progress", what, done=done, total=total))

    def stoppable_progress(self, what: str, done: int, total: int) -> None:
        """Progress of work that keeps no results, and may therefore stop anywhere."""
        self.progress(what, done, total)
        if done < total and self.stopping():
            raise Stopped

    def step_started(self, name: str, stage: str) -> None:
        self._tell(Event("step_started", name, stage))

    def step_done(self, name: str, stage: str, seconds: float, made: bool) -> None:
        self._tell(Event("step_done", name, stage, seconds=seconds, made=made))

    def looked_at(self, looked: "Looked") -> None:
        self._tell(Event("candidate", looked.candidate.label))

    def warned(self, message: str) -> None:
        self._tell(Event("warning", message))

    def announce(self, message: str) -> None:
        self._tell(Event("note", message))

    def stopping(self) -> bool:
        return self._stop()
