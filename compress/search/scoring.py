"""Scores and times of a search's candidates: their answers on rows as the target gives them, and what a text takes.

Both are kept in the store, times by the machine that they were taken on: a search that goes on sees the same figures.
"""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from compress import runtimes
from compress.answers import Answers
from compress.benching.worker import Batch, fixed_batches, run_all, timed
from compress.models.tokenizer import Tokenizer, load_tokenizer
from compress.ops.ragged import Ragged
from compress.recipe.schema import Target
from compress.running.where import Place
from compress.store.artifacts import Artifact, Identity
from compress.store.store import Store
from compress.tasks import Task, with_rows

ROUNDS, CALLS = 9, 10
"""Turns of the baseline and a candidate while they are timed, and calls in each turn."""
TEXTS = 64
"""Texts that are timed from text to answer."""
OUTPUTS, TIMES = "outputs.npy", "times.json"


@dataclass(frozen=True)
class Times:
    """How long a model takes on the target, as medians in milliseconds.

    Attributes:
        latency_ms: a call at the target's length.
        end_to_end_ms: a row of its own length, tokenizer included.
    """

    latency_ms: float
    end_to_end_ms: float


@dataclass(frozen=True)
class Scorer:
    """What candidates are scored and timed with."""

    store: Store
    host: Mapping[str, Any]
    target: Target
    place: Place
    progress: Callable[[str, int, int], None]

    def answers(self, artifact: Artifact, task: Task, rows: Sequence[Any], what: str) -> Answers:
        """A model's answers for rows, in the target's batches, from the store or computed now.

        Args:
            what: the name of the rows, unique in a task: validation, test.
        """
        settings = {"target": self.target.model_dump(mode="json"), "rows": what}
        keys = {"validation": task.train_key, "test": task.test_key}
        identity = Identity("search_outputs", 1, settings, {"model": artifact.key}, keys[what], 0)

        def make(out: Path, _: Path) -> None:
            np.save(out / OUTPUTS, self._outputs(artifact, task, rows), allow_pickle=False)

        kept, _ = self.store.obtain(identity, "arrays", make, host=self.host)
        outputs = np.load(kept.path / OUTPUTS, allow_pickle=False)
        if task.outputs == "token":
            counts = [sum(row["counted"]) for row in task.encode(rows, load_tokenizer(artifact.path))]
            outputs = Ragged(outputs, np.cumsum(counts))
        return task.answers(outputs, rows)

    def _outputs(self, artifact: Artifact, task: Task, rows: Sequence[Any]) -> np.ndarray[Any, Any]:
        tokenizer = load_tokenizer(artifact.path)
        predict = runtimes.load(artifact.path, self.target, task.hub_task)
        done = 0

        def after_each() -> None:
            nonlocal done
            done = min(done + self.target.batch_size, len(rows))
            self.progress("answering", done, len(rows))

        return run_all(predict, task.encode(rows, tokenizer), tokenizer, self.target.batch_size, after_each)

    def times(self, baseline: Artifact, artifact: Artifact, task: Task) -> tuple[Times, Times]:
        """The times of the baseline and of a model, which take turns, from the store or taken now."""
        settings = {
            "target": self.target.model_dump(mode="json"),
            "host": {name: self.host.get(name) for name in ("cpu", "isa", "cores", "system", "versions")},
        }
        keys = {"baseline": baseline.key, "model": artifact.key}
        identity = Identity("search_times", 1, settings, keys, task.train_key, 0)

        def make(out: Path, work: Path) -> None:
            del work
            rows = (task.validation or task.train)[: TEXTS * self.target.batch_size]
            few = with_rows(task, train=[], validation=rows, test=[], unlabelled=[])
            both = self.place.timed(self.store, take_turns, baseline, artifact, few, self.target)
            (out / TIMES).write_text(json.dumps([asdict(one) for one in both]), encoding="utf-8")

        kept, _ = self.store.obtain(identity, "arrays", make, host=self.host)
        before, after = json.loads((kept.path / TIMES).read_text(encoding="utf-8"))
        return Times(**before), Times(**after)


def take_turns(baseline: Artifact, artifact: Artifact, task: Task, target: Target) -> tuple[Times, Times]:
    """The times of the baseline and of a model on validation rows, as medians over all turns."""
    calls = [_calls(one, task, target) for one in (baseline, artifact)]
    fixed_ms: list[list[float]] = [[], []]
    end_to_end_ms: list[list[float]] = [[], []]
    for turn in range(ROUNDS):
        for number, (fixed, end_to_end) in enumerate(calls):
            fixed_ms[number] += fixed(turn)
            end_to_end_ms[number] += end_to_end(turn)
    before, after = (
        Times(statistics.median(fixed), statistics.median(end_to_end))
        for fixed, end_to_end in zip(fixed_ms, end_to_end_ms, strict=True)
    )
    return before, after


def _calls(
    artifact: Artifact, task: Task, target: Target
) -> tuple[Callable[[int], list[float]], Callable[[int], list[float]]]:
    """Functions that time a turn: at the target's length, and from texts to answers."""
    tokenizer = load_tokenizer(artifact.path)
    predict = runtimes.load(artifact.path, target, task.hub_task)
    rows = task.validation
    texts, pairs = task.texts(rows)
    fixed: list[Batch] = fixed_batches(task.encode(rows, tokenizer), tokenizer, target, CALLS)
    answer = partial(_from_text, predict, tokenizer, texts, pairs, task.spec.max_length)
    size, starts = target.batch_size, range(0, len(rows), target.batch_size)

    def time_fixed(_: int) -> list[float]:
        predict(fixed[0])
        return timed(predict, fixed)

    def time_texts(turn: int) -> list[float]:
        chosen = [starts[(turn * CALLS + call) % len(starts)] for call in range(CALLS)]
        return timed(answer, [range(start, min(start + size, len(rows))) for start in chosen])

    return time_fixed, time_texts


def _from_text(
    predict: runtimes.Predictor,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    max_length: int,
    rows: Sequence[int],
) -> Any:
    """A model's outputs for the texts of some rows."""
    seconds = None if pairs is None else [pairs[row] for row in rows]
    return predict(tokenizer.pad(tokenizer.encode([texts[row] for row in rows], seconds, max_length)))
