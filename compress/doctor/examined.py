"""The job and the answer of an examination, and its timing of calls, for ONNX graphs and torch models."""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.doctor.advice import Finding
from compress.errors import InputError

DEFAULT_LENGTH = 128
TURNS = 2
WHAT, STEPS = "examining the model", 5


@dataclass(frozen=True)
class Examination:
    """The job of an examination.

    Attributes:
        folder: the artifact's folder.
        file: the artifact's ONNX file, if the user named one.
        threads: threads of the profiled calls.
        cores: usable cores; latency is measured on up to twice as many threads.
        length: tokens of the profiled calls. None: 128, or the model's own length.
        row_tokens: lengths of real rows, if they are known.
        call_seconds, kernel_seconds: time for each number of threads, and for each kernel of a check.
    """

    folder: str
    file: str | None
    threads: int
    cores: int
    length: int | None = None
    row_tokens: Sequence[int] = ()
    call_seconds: float = 0.4
    kernel_seconds: float = 0.16

    @property
    def thread_counts(self) -> list[int]:
        """The numbers of threads to time: 1, 2, 4 … all cores, twice as many, and `threads`."""
        powers = [2**power for power in range(11) if 2**power <= self.cores]
        return sorted({*powers, self.cores, 2 * self.cores, self.threads})

    def typical_length(self, length: int) -> int | None:
        """Tokens of a row of median length, if rows are known and it is shorter than `length`."""
        median = sorted(self.row_tokens)[len(self.row_tokens) // 2] if self.row_tokens else length
        return median if median < length else None


@dataclass(frozen=True)
class Examined:
    """The result of an examination: facts for the reader, and findings, the costliest first."""

    facts: dict[str, Any]
    findings: list[Finding]


def length_of(job: Examination, fixed: int | None) -> int:
    """Tokens of a call.

    Raises:
        InputError: the model does not take the wanted length.
    """
    from compress.models.architectures import positions_of
    from compress.models.config_file import read_config

    folder = Path(job.folder)
    limit = positions_of(read_config(folder)) if (folder / "config.json").is_file() else None
    if job.length is None:
        return fixed or min(DEFAULT_LENGTH, limit or DEFAULT_LENGTH)
    if fixed not in {None, job.length}:
        raise InputError(
            f"the graph takes {fixed} tokens and nothing else, not {job.length}",
            where="--sequence-length",
            fix=f"leave it out, or give {fixed}",
        )
    if limit is not None and job.length > limit:
        raise InputError(
            f"the model takes at most {limit} tokens, not {job.length}", where="--sequence-length", fix=f"give {limit}"
        )
    return job.length


def facts_of(
    job: Examination,
    length: int,
    latency_ms: Mapping[int, float],
    operations: Mapping[str, float],
    peaks: Mapping[str, float],
) -> dict[str, Any]:
    """The facts of an examination for the reader.

    Args:
        operations: number of operations in one call, by number format.
        peaks: this machine's peaks by number format, in 10^9 operations a second.
    """
    floor_ms = sum(count / peaks[kind] for kind, count in operations.items()) / 1e6
    rows = sorted(job.row_tokens)
    return {
        "sequence_length": length,
        "batch_size": 1,
        "threads": job.threads,
        "latency_ms": {str(count): ms for count, ms in latency_ms.items()},
        "operations": dict(operations),
        "peak_gflops": dict(peaks),
        "floor_ms": floor_ms,
        "share_of_peak": floor_ms / latency_ms[job.threads],
        "rows": {"count": len(rows), "median_tokens": rows[len(rows) // 2], "max_tokens": rows[-1]} if rows else None,
    }


def shares(spent: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The share of each operator in the time of all, the largest first.

    Args:
        spent: (operator, time); an operator may occur several times.
    """
    total: dict[str, float] = {}
    for op, us in spent:
        total[op] = total.get(op, 0.0) + us
    every = sum(total.values()) or 1.0
    return {op: us / every for op, us in sorted(total.items(), key=lambda item: item[1], reverse=True)}


def median_ms(call: Callable[[], Any], seconds: float) -> float:
    """Median milliseconds of the calls that fit into `seconds`, at least three."""
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while len(samples) < 3 or time.perf_counter() < end:
        start = time.perf_counter_ns()
        call()
        samples.append((time.perf_counter_ns() - start) / 1e6)
    return statistics.median(samples)


def interleaved(timers: Sequence[Callable[[], float]]) -> list[float]:
    """The best of each timer's turns; the turns are apart in time, so that other work disturbs only one of them."""
    return [min(turns) for turns in zip(*([timer() for timer in timers] for _ in range(TURNS)), strict=True)]
