"""Findings on how a model is called and shipped: threads, padding, an old kind of graph, weights in other files."""

import math
from collections.abc import Mapping, Sequence

from compress.doctor.advice import Finding, times
from compress.doctor.executed import ProfiledGraph
from compress.doctor.products import SAME_WITHIN
from compress.doctor.surroundings import BUSY_CORES

OLD_OPSET = 13
ONE_FILE_BYTES = 2**31


def thread_count(subject: ProfiledGraph) -> Finding | None:
    """The finding of `slow_threads` for a graph."""
    return slow_threads(subject.latency_ms, subject.threads, subject.busy_cores)


def slow_threads(latency_ms: Mapping[int, float], threads: int, busy_cores: float) -> Finding | None:
    """A finding if another number of threads is faster, or if several threads are hardly faster than one."""
    best = min(latency_ms, key=lambda count: (latency_ms[count], count))
    now, one = latency_ms[threads], latency_ms.get(1, math.inf)
    times_by_threads = ", ".join(f"{ms:.2f} ms on {count}" for count, ms in sorted(latency_ms.items()))
    if latency_ms[best] < now * (1 - SAME_WITHIN):
        what = f"{best} {'thread is' if best == 1 else 'threads are'} faster than {threads}"
        fix, cost = f"set threads: {best}", 1 - latency_ms[best] / now
    elif threads > 1 and one / now < 1 + (threads - 1) / 4:
        what = f"{threads} threads are only {times([one / now])} as fast as one"
        fix, cost = f"for throughput run {threads} processes of one thread each, or larger batches", None
    else:
        return None
    if busy_cores >= BUSY_CORES:
        return Finding(
            what,
            f"{times_by_threads}; but {busy_cores:.1f} cores were busy with other work meanwhile",
            "run doctor again when the machine is quiet, before you change anything",
        )
    return Finding(what, times_by_threads, fix, cost)


def padding(subject: ProfiledGraph) -> Finding | None:
    """The finding of `padding_waste` for a graph; without rows, a finding if the graph has a fixed length."""
    if subject.row_tokens:
        full_ms = subject.latency_ms[subject.threads]
        return padding_waste(subject.row_tokens, subject.length, subject.fixed_length, subject.typical, full_ms)
    if subject.fixed_length is None:
        return None
    return Finding(
        f"the graph takes {subject.fixed_length} tokens a row and nothing else",
        "a short row costs as much as the longest; add --test FILE to see how much of it is padding",
        "export it with a free sequence axis: compress export",
    )


def padding_waste(
    row_tokens: Sequence[int],
    length: int,
    fixed_length: int | None,
    typical: tuple[int, float] | None,
    full_ms: float,
) -> Finding | None:
    """A finding if much of the computed tokens is padding, with every row padded to `length`, which takes `full_ms`."""
    wasted = 1 - sum(min(count, length) for count in row_tokens) / (length * len(row_tokens))
    if wasted < SAME_WITHIN:
        return None
    what = f"at {length} tokens a row, {wasted:.0%} of the tokens computed are padding"
    median = sorted(row_tokens)[len(row_tokens) // 2]
    evidence = f"half of {len(row_tokens):,} rows have {median} tokens or fewer"
    if fixed_length is not None:
        evidence += f", and the graph takes {fixed_length} and nothing else"
        return Finding(what, evidence, "export it with a free sequence axis: compress export", wasted)
    if typical is not None:
        evidence += f": {typical[0]} tokens take {typical[1]:.2f} ms, {length} take {full_ms:.2f} ms"
    return Finding(
        what,
        evidence,
        "pad to the longest row of a batch, not to a fixed length, and batch rows of like length",
        max(0.0, 1 - typical[1] / full_ms) if typical is not None else wasted,
    )


def age(subject: ProfiledGraph) -> Finding | None:
    """A finding if the graph has an opset that onnxruntime's fusions do not know, or weights that are also inputs."""
    model = subject.model
    opset = max((item.version for item in model.opset_import if item.domain in {"", "ai.onnx"}), default=OLD_OPSET)
    fed = {item.name for item in model.graph.initializer} & {item.name for item in model.graph.input}
    reasons = []
    if fed:
        reasons.append(f"{len(fed)} weights are also inputs, so onnxruntime may neither fold nor pack them")
    if opset < OLD_OPSET:
        reasons.append(f"onnxruntime's fusions look for operators of opset {OLD_OPSET} and later")
    if not reasons:
        return None
    what = f"the graph is of an old kind (opset {opset}, IR {model.ir_version})"
    return Finding(what, "; ".join(reasons), "export it again: compress export")


def external_data(subject: ProfiledGraph) -> Finding | None:
    """A finding if weights are in other files, although the graph's own file could hold them."""
    if not subject.external or sum(subject.external.values()) >= ONE_FILE_BYTES:
        return None
    listed = ", ".join(f"{name} ({size / 1e6:.1f} MB)" for name, size in subject.external.items())
    return Finding(
        "the weights stand in a file of their own",
        f"{listed}; below 2 GB one file can hold all. Calls are no slower for it",
        "ship both files together, or export again: compress export writes one",
    )
