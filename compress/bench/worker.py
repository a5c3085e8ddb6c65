"""One artifact on one target, alone in its process: `python -m compress.bench.worker`.

It speaks lines of JSON with its parent. The first line it reads is the job; then each line is a command:

    {"do": "quality", "out": FILE}    run all rows, write the outputs there as .npy
    {"do": "round"}                   answer with one round of latency samples
    {"do": "stop"}                    answer with the peak memory, and end

Between commands it sleeps in a read. It knows nothing of tasks: rows come encoded, outputs go back raw.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from compress.models.tokenizer import Tokenizer, load_tokenizer
from compress.recipe import Target
from compress.runtimes import Predictor, load

SETTLE_SECONDS = 0.1
"""A runtime's threads spin for some tens of milliseconds after a call; the next artifact's turn waits for that."""

WAKING_CALLS = 3
"""Calls before the first sample of a turn, which wake threads and caches after the other artifacts' turns."""

Batch = dict[str, np.ndarray[Any, Any]]


def main() -> None:
    """Serve the parent's commands until it says stop or goes away."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print must not mix with the answers
    serve(sys.stdin, answers)


def serve(commands: TextIO, answers: TextIO) -> None:
    """The worker's loop, on any pair of streams."""

    def answer(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    job = json.loads(commands.readline())
    target = Target.model_validate(job["target"])
    rows = json.loads(Path(job["rows"]).read_text(encoding="utf-8"))
    folder = Path(job["folder"])
    start = time.perf_counter_ns()
    predict = load(folder, target, job["hub_task"], trust_remote_code=job["trust_remote_code"], exclusive=True)
    load_ms = (time.perf_counter_ns() - start) / 1e6
    tokenizer = load_tokenizer(folder)
    batches = fixed_batches(rows, tokenizer, target, job["samples"])
    for index in range(job["warmup"]):
        predict(batches[index % len(batches)])
    answer({"load_ms": load_ms})
    for line in commands:
        command = json.loads(line)
        if command["do"] == "quality":
            np.save(command["out"], run_all(predict, rows, tokenizer, target.batch_size), allow_pickle=False)
            answer({})
        elif command["do"] == "round":
            samples = time_round(predict, batches)
            time.sleep(SETTLE_SECONDS)
            answer({"samples_ms": samples})
        else:
            answer({"peak_memory_bytes": peak_memory_bytes()})
            return


def fixed_batches(rows: Sequence[dict[str, Any]], tokenizer: Tokenizer, target: Target, count: int) -> list[Batch]:
    """`count` batches of real rows, each padded or cut to the target's sequence length."""
    size = target.batch_size
    return [
        tokenizer.pad([rows[(index * size + offset) % len(rows)] for offset in range(size)], target.sequence_length)
        for index in range(count)
    ]


def run_all(
    predict: Predictor, rows: Sequence[dict[str, Any]], tokenizer: Tokenizer, batch_size: int
) -> np.ndarray[Any, Any]:
    """Outputs of every row in the rows' order, batched with rows of like length as the target would.

    Returns:
        (rows, classes)
    """
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]["input_ids"]))
    outputs: list[Any] = [None] * len(rows)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        logits = predict(tokenizer.pad([rows[index] for index in chosen]))
        for index, row in zip(chosen, logits, strict=True):
            outputs[index] = row
    return np.stack(outputs)


def time_round(predict: Predictor, batches: Sequence[Batch]) -> list[float]:
    """Wall time of one call on each batch, in milliseconds."""
    for _ in range(WAKING_CALLS):
        predict(batches[-1])
    samples = []
    for batch in batches:
        start = time.perf_counter_ns()
        predict(batch)
        samples.append((time.perf_counter_ns() - start) / 1e6)
    return samples


def peak_memory_bytes() -> int:
    """Largest resident memory of this process so far.

    Linux's ru_maxrss is inherited from the parent over exec, so the kernel's own high-water mark is read there.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
