"""The process of simple baselines: `python -m compress.running.baseline_process`.

Its first line from the parent is the job, with a file of rows. If it names a baseline, that one answers the rows. If
not, they are training rows, and each further line names a baseline to fit. It gives signs of life, or says how far it
is.
"""

import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compress.answers import find as find_answers
from compress.baselines import KIND, find
from compress.errors import InputError
from compress.fitting.rows import Rows
from compress.processes.child import Answer, SignsOfLife, from_parent
from compress.store.cost import forget_peak_memory, peak_memory_bytes

WARMUP = 10
"""Rows that are answered before the first sample."""


def main() -> None:
    """Do the job that standard input describes."""
    job, answer = from_parent()
    content = json.loads(Path(job["rows"]).read_text(encoding="utf-8"))
    if "baseline" in job:
        answer(answer_rows(job, content["texts"], SignsOfLife(answer)))
        return
    rows = Rows(content["texts"], content["labels"], content["classes"], _score(content["metric"]))
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer(_fit(asked["name"], rows, asked["seed"], Path(asked["out"]), answer))
        except InputError as error:
            answer({"refused": error.what})


def _score(metric: str) -> Any:
    """The function that scores labels by a metric."""
    kind = find_answers(KIND)

    def score(predictions: Sequence[int], truth: Sequence[int]) -> float:
        return kind(list(predictions)).outcome(kind(list(truth)), metric).value

    return score


def _fit(name: str, rows: Rows, seed: int, out: Path, answer: Answer) -> dict[str, Any]:
    """Fit a baseline; its facts, with the processor time and the memory that it took."""
    forget_peak_memory()
    start = time.process_time()
    facts = find(name).fit(rows, seed, out, lambda done, total: answer({"done": done, "total": total}))
    spent = round(time.process_time() - start, 3)
    return {"facts": {**facts, "fit_cpu_seconds": spent, "fit_peak_memory_bytes": peak_memory_bytes()}}


def answer_rows(job: dict[str, Any], texts: Sequence[Sequence[str]], signs: SignsOfLife) -> dict[str, Any]:
    """The labels of all rows, and samples of the time from a row's texts to its label, round by round.

    The rows of a call are those that the workers of `compress.benching` time in the same call.
    """
    fitted = find(job["baseline"]).load(Path(job["folder"]))
    predictions = []
    for row in texts:
        predictions.append(fitted.label(row))
        signs.give()
    order = random.Random(0).sample(range(len(texts)), len(texts))
    for index in range(WARMUP):
        fitted.label(texts[order[index % len(order)]])
    rounds = []
    for turn in range(job["rounds"]):
        samples = []
        for call in range(turn * job["samples"], (turn + 1) * job["samples"]):
            row = texts[order[call % len(order)]]
            start = time.perf_counter_ns()
            fitted.label(row)
            samples.append((time.perf_counter_ns() - start) / 1e6)
        rounds.append(samples)
        signs.give()
    return {"predictions": predictions, "samples_ms": rounds, "parameters": fitted.parameters}


if __name__ == "__main__":
    main()
