"""The worker process for one artifact on one target: `python -m compress.benching.worker`.

It exchanges lines of JSON with its parent. The first line is the job; then each line is a command:

    {"do": "quality", "out": FILE}    run all rows, write their outputs to FILE as .npy
    {"do": "round", "turn": N}        answer with one round of samples
    {"do": "memory"}                  answer with the peak memory
    {"do": "flops"}                   answer with the arithmetic of one call
    {"do": "stop"}                    end

If it cannot go on, it answers {"skipped": REASON} or {"failed": REASON} and ends. It gives a sign of life after a call
if its last line was seconds ago. Between commands it sleeps in a read. It knows nothing of tasks: its rows are encoded,
its outputs raw.
"""

import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import psutil

from compress.errors import CompressError
from compress.formats import find
from compress.machine.settling import SETTLE_SECONDS
from compress.models.tokenizer import Tokenizer, load_tokenizer
from compress.ops.ragged import cut
from compress.processes.child import SignsOfLife, answering, to_parent
from compress.recipe.schema import Target
from compress.runtimes import CannotRunError, Predictor, compiles_on_first_call, load
from compress.store.cost import peak_memory_bytes

WAKING_CALLS = 3
"""Calls before the first sample of a turn: they wake threads and caches after the turns of other artifacts."""

Batch = dict[str, np.ndarray[Any, Any]]


def main() -> None:
    """Serve the parent's commands until it sends stop or ends."""
    serve(sys.stdin, to_parent())


def serve(commands: TextIO, answers: TextIO) -> None:
    """Serve commands from one stream, with the answers on another."""
    answer = answering(answers)
    try:
        worker = _Worker(json.loads(commands.readline()), SignsOfLife(answer))
        answer(worker.started)
        for line in commands:
            command = json.loads(line)
            if command["do"] == "stop":
                return
            answer(worker.answer(command))
    except CannotRunError as error:
        answer({"skipped": error.what})
    except CompressError as error:
        answer({"failed": error.what})


class _Worker:
    """The loaded model with its rows."""

    def __init__(self, job: dict[str, Any], signs: SignsOfLife) -> None:
        self.job, self.signs = job, signs
        self.target = Target.model_validate(job["target"])
        self.folder = Path(job["folder"])
        content = json.loads(Path(job["rows"]).read_text(encoding="utf-8"))
        self.rows, self.texts, self.pairs = content["rows"], content["texts"], content["pairs"]
        self.order = random.Random(0).sample(range(len(self.rows)), len(self.rows))
        self.tokenizer = load_tokenizer(self.folder)
        self.fixed = fixed_batches(self.rows, self.tokenizer, self.target, job["samples"])
        start_memory = psutil.Process().memory_info().rss
        device_used = _device_bytes_used(self.target)
        start = time.perf_counter_ns()
        self.predict = load(
            self.folder, self.target, job["hub_task"], trust_remote_code=job["trust_remote_code"], exclusive=True
        )
        load_ms = (time.perf_counter_ns() - start) / 1e6
        if not compiles_on_first_call(self.target):  # while it compiles it gives no sign of life
            signs.give_now()
        (first_call_ms,) = self.timed(self.predict, self.fixed[:1])
        for index in range(job["warmup"]):
            self.predict(self.fixed[index % len(self.fixed)])
            self.predict(self.real_batch(index))
            signs.give()
        on_device = _device_bytes_used(self.target)
        self.started = {
            "load_ms": load_ms,
            "first_call_ms": first_call_ms,
            "start_memory_bytes": start_memory,
            "gpu_memory_bytes": None if on_device is None or device_used is None else on_device - device_used,
        }

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        """The answer to one command."""
        if command["do"] == "quality":
            outputs = run_all(self.predict, self.rows, self.tokenizer, self.target.batch_size, self.signs.give)
            np.save(command["out"], outputs, allow_pickle=False)
            return {}
        if command["do"] == "round":
            return self.round(command["turn"])
        if command["do"] == "memory":
            return {"peak_memory_bytes": peak_memory_bytes()}
        return {"flops": self.flops()}

    def round(self, turn: int) -> dict[str, Any]:
        """Samples of one round: at the fixed length, at the rows' own lengths, and of the tokenizer."""
        calls = range(turn * self.job["samples"], (turn + 1) * self.job["samples"])
        real = [self.real_batch(index) for index in calls]
        for _ in range(WAKING_CALLS):
            self.predict(self.fixed[-1])
            self.signs.give()
        answer = {
            "samples_ms": self.timed(self.predict, self.fixed),
            "real_samples_ms": self.timed(self.predict, real),
            "tokenize_samples_ms": self.timed(self.tokenize, [self.rows_of_call(index) for index in calls]),
        }
        time.sleep(SETTLE_SECONDS)
        return answer

    def timed(self, call: Callable[[Any], Any], inputs: Sequence[Any]) -> list[float]:
        """The wall time of one call on each input, in milliseconds."""
        return timed(call, inputs, self.signs.give)

    def rows_of_call(self, index: int) -> list[int]:
        """The numbers of a call's rows, in an order that is the same for all artifacts."""
        size = self.target.batch_size
        return [self.order[(index * size + offset) % len(self.order)] for offset in range(size)]

    def real_batch(self, index: int) -> Batch:
        """The batch of a call, padded to its longest row."""
        return self.tokenizer.pad([self.rows[row] for row in self.rows_of_call(index)])

    def tokenize(self, row_numbers: Sequence[int]) -> Batch:
        """The batch of some rows, encoded from their texts."""
        pairs = None if self.pairs is None else [self.pairs[row] for row in row_numbers]
        encoded = self.tokenizer.encode([self.texts[row] for row in row_numbers], pairs, self.job["max_length"])
        return self.tokenizer.pad(encoded)

    def flops(self) -> dict[str, float]:
        """The operations of one call at the fixed length; empty for a format whose operations cannot be counted."""
        from compress.benching import flops

        form = find(self.job["format"])
        if form.graph is not None:
            return flops.onnx_flops(form.graph(self.folder), self.fixed[0])
        if not form.in_transformers:
            return {}
        return flops.torch_flops(
            self.folder,
            self.job["hub_task"],
            self.fixed[0],
            self.target.precision,
            trust_remote_code=self.job["trust_remote_code"],
        )


def fixed_batches(rows: Sequence[dict[str, Any]], tokenizer: Tokenizer, target: Target, count: int) -> list[Batch]:
    """`count` batches of real rows, each padded or cut to the target's sequence length."""
    size = target.batch_size
    return [
        tokenizer.pad([rows[(index * size + offset) % len(rows)] for offset in range(size)], target.sequence_length)
        for index in range(count)
    ]


def run_all(
    predict: Predictor,
    rows: Sequence[dict[str, Any]],
    tokenizer: Tokenizer,
    batch_size: int,
    after_each: Callable[[], None] = lambda: None,
) -> np.ndarray[Any, Any]:
    """The outputs for every row in the rows' order, computed in the target's batches of rows of similar length.

    Args:
        rows: encoded rows. If each token has outputs, their `counted` is 1 at the tokens whose outputs count.

    Returns:
        (rows, classes), or (tokens of all rows that count, classes).
    """
    filled = {"counted": 0} if "counted" in rows[0] else {}
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]["input_ids"]))
    outputs: list[Any] = [None] * len(rows)
    for start in range(0, len(order), batch_size):
        row_numbers = order[start : start + batch_size]
        batch = tokenizer.pad([rows[index] for index in row_numbers], **filled)
        counted = batch.pop("counted", None)
        for index, row in zip(row_numbers, cut(predict(batch), counted), strict=True):
            outputs[index] = row
        after_each()
    return np.concatenate(outputs) if filled else np.stack(outputs)


def timed(
    call: Callable[[Any], Any], inputs: Sequence[Any], after_each: Callable[[], None] = lambda: None
) -> list[float]:
    """The wall time of one call on each input, in milliseconds, without the time of `after_each`."""
    samples = []
    for item in inputs:
        start = time.perf_counter_ns()
        call(item)
        samples.append((time.perf_counter_ns() - start) / 1e6)
        after_each()
    return samples


def _device_bytes_used(target: Target) -> int | None:
    """The memory in use on the CUDA device, by all processes; None on a CPU, or if torch does not see the device."""
    if target.device != "cuda":
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    free, total = torch.cuda.mem_get_info()
    return int(total - free)


if __name__ == "__main__":
    main()
