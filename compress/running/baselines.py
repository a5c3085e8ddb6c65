"""The simple baselines of a run: fitted once into the store, asked for the test rows once, and kept.

They are fitted in a process of their own: one that takes too much memory is stopped, and the run goes on without it.
"""

import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from compress.baselines import find
from compress.data.splits import sample
from compress.errors import CompressError
from compress.files.strict_json import read_json
from compress.files.whole import fingerprint, write_text
from compress.machine.facts import same_machine
from compress.planning.plan import Plan
from compress.processes.child import Child, ChildError
from compress.report.entries import BaselineEntry
from compress.running.journal import Observer
from compress.store.artifacts import Artifact, Identity
from compress.store.store import Store
from compress.tasks import Task

COMMAND = (sys.executable, "-P", "-m", "compress.running.baseline_process")
STAGE = "baseline"
"""The stage's name of baselines in messages, and the head of their folders' names in the store."""
KEPT = "baselines.json"
"""The file in a run's folder with the answers of its baselines."""
VERSION = 1
"""The version of asking and timing, raised when it changes, so that old answers are not used again."""
MOST_CHARACTERS = 40_000_000
"""Characters of training texts that baselines learn from; of more, rows are drawn by the seed. Fitting then takes about
a quarter of an hour, and some gigabytes."""
FIT_SECONDS = 3600.0
"""Seconds that may pass between two steps of fitting."""


class CannotFitError(CompressError):
    """The error of a baseline that cannot be fitted, or not asked; the run goes on."""


@dataclass(frozen=True)
class Asked:
    """The baselines of a run, with their answers on the test rows.

    Attributes:
        entries: one for each baseline, in the plan's order.
        is_new: whether any was fitted or asked now.
    """

    entries: Sequence[BaselineEntry] = ()
    is_new: bool = False


def fitted_rows(task: Task) -> list[Any]:
    """The rows that baselines learn from: the training rows, with those that were held back of the training file.

    Validation rows of a file of their own are not used, as no step trains on them.
    """
    return [*task.train, *(task.validation if task.spec.validation is None else ())]


def refusal(name: str, task: Task) -> str | None:
    """Why a baseline cannot be fitted on the task's rows, or None."""
    return find(name).refuse(task.truth(fitted_rows(task)).content, len(task.labels))


def identity_of(name: str, plan: Plan) -> Identity:
    """The identity of a fitted baseline in the store."""
    baseline, task = find(name), plan.task
    settings = {**baseline.settings, "characters": MOST_CHARACTERS, "rows": len(fitted_rows(task))}
    return Identity(f"{STAGE}_{name}", baseline.version, settings, {}, task.train_key, plan.recipe.seed)


def needs_of_baselines(plan: Plan, store: Store) -> dict[str, str]:
    """The folders of the store that the plan's baselines need, by name and key."""
    identities = {name: identity_of(name, plan) for name in plan.simple_baselines}
    return {f"{name} {identity.key[:16]}": store.path(identity).name for name, identity in identities.items()}


def outlook_of_baselines(plan: Plan, store: Store) -> dict[str, str]:
    """The outlook for each baseline, by name: `done` or `to do` for its fitting, or why it cannot be fitted."""
    return {
        name: refusal(name, plan.task) or ("done" if store.path(identity_of(name, plan)).is_dir() else "to do")
        for name in plan.simple_baselines
    }


def ask_baselines(plan: Plan, store: Store, folder: Path, host: Mapping[str, Any], observer: Observer) -> Asked:
    """The baselines of a plan: fitted where the store lacks them, and asked where the run's folder lacks the answers.

    Args:
        folder: the run's folder.
    """
    entries, is_new = [], False
    with _Fitter(plan, store, host, observer) as fitter:
        for name in plan.simple_baselines:
            started = time.monotonic()
            try:
                artifact, made = fitter.obtain(name)
                answers, asked = _answers(name, artifact, plan, folder, host)
                entries.append(_entry(name, artifact, answers))
            except CannotFitError as error:
                entries.append(BaselineEntry(name, find(name).title, find(name).short, reason=error.what))
                observer.warned(f"no baseline '{name}': {error.what}")
                continue
            is_new |= made or asked
            observer.step_done(name, STAGE, time.monotonic() - started, made or asked)
    return Asked(entries, is_new)


@dataclass
class _Fitter:
    """Fits baselines in one process, which starts when the first one is to be fitted."""

    plan: Plan
    store: Store
    host: Mapping[str, Any]
    observer: Observer
    _running: ExitStack = field(default_factory=ExitStack)
    _child: Child | None = None

    def __enter__(self) -> "_Fitter":
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def obtain(self, name: str) -> tuple[Artifact, bool]:
        """The fitted baseline, and whether it was fitted now.

        Raises:
            CannotFitError: it cannot be fitted.
        """
        reason = refusal(name, self.plan.task)
        if reason is not None:
            raise CannotFitError(reason)
        return self.store.obtain(
            identity_of(name, self.plan),
            "arrays",
            lambda out, _work: self._fit(name, out),
            host={**self.host, "versions": {**self.host.get("versions", {}), "scikit-learn": version("scikit-learn")}},
            warn=self.observer.warned,
            stopping=self.observer.stopping,
        )

    def _fit(self, name: str, out: Path) -> Mapping[str, Any]:
        self.observer.step_started(name, STAGE)
        rows = fitted_rows(self.plan.task)
        kept = _within(rows, self.plan.task, self.plan.recipe.seed)
        try:
            child = self._child = self._child or self._start(kept)
            child.tell({"name": name, "seed": self.plan.recipe.seed, "out": str(out.resolve())})
            answer = child.answer(FIT_SECONDS)
            while "done" in answer:
                self.observer.progress(f"fitting {find(name).title}", answer["done"], answer["total"])
                answer = child.answer(FIT_SECONDS)
        except ChildError as error:
            self._child = None
            raise CannotFitError(error.what) from error
        if "refused" in answer:
            raise CannotFitError(answer["refused"])
        return {**answer["facts"], "rows": len(kept), "of_rows": len(rows)}

    def _start(self, rows: Sequence[Any]) -> Child:
        task = self.plan.task
        content = {
            "texts": _texts(task, rows),
            "labels": task.truth(rows).content,
            "classes": len(task.labels),
            "metric": task.spec.metric,
        }
        file = _rows_file(content, self._running)
        child = self._running.enter_context(Child(COMMAND))
        child.tell({"rows": str(file)})
        return child


def _within(rows: Sequence[Any], task: Task, seed: int) -> Sequence[Any]:
    """The rows, or as many of them as have `MOST_CHARACTERS`, drawn by the seed."""
    characters = sum(len(text) for texts in _texts(task, rows) for text in texts)
    if characters <= MOST_CHARACTERS:
        return rows
    return sample(rows, max(1, len(rows) * MOST_CHARACTERS // characters), seed)


def _texts(task: Task, rows: Sequence[Any]) -> list[tuple[str, ...]]:
    texts, pairs = task.texts(rows)
    return [*zip(texts, strict=True)] if pairs is None else [*zip(texts, pairs, strict=True)]


def _rows_file(content: Mapping[str, Any], running: ExitStack) -> Path:
    """A file with rows for a process, which goes with `running`."""
    place = running.enter_context(tempfile.TemporaryDirectory(prefix="compress-baselines-"))
    file = Path(place) / "rows.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def _answers(
    name: str, artifact: Artifact, plan: Plan, folder: Path, host: Mapping[str, Any]
) -> tuple[Mapping[str, Any], bool]:
    """A baseline's answers on the test rows with their timings, and whether they are new; else the folder keeps them.

    Raises:
        CannotFitError: its process died.
    """
    spec = plan.recipe.bench
    key = fingerprint(
        {
            "version": VERSION,
            "baseline": [artifact.key, artifact.manifest.files if artifact.manifest else {}],
            "test": plan.task.test_key,
            "rounds": [spec.rounds, spec.samples],
        }
    )
    kept = _read(folder)
    for answers in kept:
        if answers["key"] == key and same_machine(answers["host"], host):
            return answers, False
    with ExitStack() as running:
        file = _rows_file({"texts": _texts(plan.task, plan.task.test)}, running)
        job = {
            "rows": str(file),
            "baseline": name,
            "folder": str(artifact.path.resolve()),
            "rounds": spec.rounds,
            "samples": spec.samples,
        }
        try:
            answer = running.enter_context(Child(COMMAND)).ask(job, spec.max_call_s + FIT_SECONDS)
        except ChildError as error:
            raise CannotFitError(error.what) from error
    created = datetime.now(UTC).isoformat(timespec="seconds")
    new = _sealed({"key": key, "name": name, "created": created, "host": dict(host), **answer})
    _write([*(other for other in kept if other["name"] != name), new], folder)
    return new, True


def _sealed(answers: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(answers))
    return {**plain, "digest": fingerprint(plain)}


def _read(folder: Path) -> list[dict[str, Any]]:
    """The answers that a run's folder keeps; damaged ones are left out."""
    try:
        kept: list[dict[str, Any]] = read_json(folder / KEPT)["baselines"]
        return [item for item in kept if item == _sealed({k: v for k, v in item.items() if k != "digest"})]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []  # there are none, or the file cannot be read: they are asked again


def _write(answers: Sequence[Mapping[str, Any]], folder: Path) -> None:
    write_text(folder / KEPT, json.dumps({"baselines": answers}) + "\n")


def _entry(name: str, artifact: Artifact, answers: Mapping[str, Any]) -> BaselineEntry:
    manifest, facts = artifact.manifest, artifact.facts
    assert manifest is not None
    size = sum((artifact.path / file).stat().st_size for file in manifest.files)
    return BaselineEntry(
        name=name,
        title=find(name).title,
        short=find(name).short,
        artifact=artifact.key,
        size_bytes=size,
        parameters=answers["parameters"],
        seconds=manifest.seconds,
        cpu_seconds=facts["fit_cpu_seconds"],
        rows=facts["rows"],
        of_rows=facts["of_rows"],
        settings={key: facts[key] for key in ("c", "folds", "ngrams", "share") if key in facts},
        predictions=answers["predictions"],
        samples_ms=answers["samples_ms"],
    )
