"""The report: what each step did to quality, size and latency, against one baseline, and whether the goal is met."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from compress.measurement import Measurement
from compress.recipe import Goal


class Latency(BaseModel):
    """Wall time of one call, in milliseconds."""

    p50: float
    p90: float
    samples: list[float]


class Row(BaseModel):
    """One step on one target. Numbers that were not measured are None; `reason` says why."""

    model_config = ConfigDict(extra="forbid")

    step: str
    stage: str
    artifact: str
    measured_as: str
    """Format of what was measured: a torch model stands for itself on torch, for its ONNX export on onnxruntime."""
    target: str
    status: str
    reason: str | None = None
    metric: str
    quality: float | None = None
    drop_pp: float | None = None
    """Loss of quality against the baseline, in percentage points; negative is a gain."""
    agreement: float | None = None
    """Share of test rows on which the baseline predicts the same."""
    size_bytes: int
    parameters: int | None = None
    peak_memory_bytes: int | None = None
    load_ms: float | None = None
    latency_ms: Latency | None = None
    speedup: float | None = None
    """Median latency of the baseline over this one's."""
    is_baseline: bool = False
    seconds: float | None = None
    """What the step took to make."""


class Report(BaseModel):
    """What `report.json` holds."""

    model_config = ConfigDict(extra="forbid")

    recipe: str
    seed: int
    compress_version: str
    created: str
    host: dict[str, Any]
    task: dict[str, Any]
    targets: dict[str, Any]
    baseline: str
    goal: dict[str, Any]
    """The recipe's goal, with `met` (None without a goal) and `missed`, the reasons."""
    notes: list[str]
    rows: list[Row]


@dataclass(frozen=True)
class Entry:
    """What one row is about: a step, and the artifact that stands for it on a target."""

    step: str
    stage: str
    target: str
    artifact: str
    measured_as: str
    seconds: float | None


def build_rows(
    entries: Sequence[Entry],
    measurements: Mapping[tuple[str, str], Measurement],
    baselines: Mapping[str, str],
    metric: str,
) -> list[Row]:
    """One row a entry.

    Args:
        measurements: by (artifact key, target).
        baselines: target -> artifact key of the baseline there.
    """
    rows = []
    for entry in entries:
        found = measurements[entry.artifact, entry.target]
        base = measurements.get((baselines.get(entry.target, ""), entry.target))
        rows.append(_row(entry, found, base, metric))
    return rows


def _row(entry: Entry, found: Measurement, base: Measurement | None, metric: str) -> Row:
    row = Row(
        step=entry.step,
        stage=entry.stage,
        artifact=entry.artifact,
        measured_as=entry.measured_as,
        target=entry.target,
        status=found.status,
        reason=found.reason,
        metric=metric,
        size_bytes=found.size_bytes,
        parameters=found.parameters,
        seconds=entry.seconds,
    )
    if found.status != "measured" or found.quality is None:
        return row
    row.quality = found.quality
    row.peak_memory_bytes = found.peak_memory_bytes
    row.load_ms = found.load_ms
    row.latency_ms = latency(found)
    if base is not None and base.status == "measured" and base.quality is not None:
        row.is_baseline = base.artifact == found.artifact
        row.drop_pp = round(100 * (base.quality - found.quality), 9)  # 0.9 - 0.875 is not quite 0.025
        row.speedup = latency(base).p50 / row.latency_ms.p50
        row.agreement = float(np.mean(np.array(found.predictions) == np.array(base.predictions)))
    return row


def latency(found: Measurement) -> Latency:
    """Quantiles over the samples of all rounds."""
    samples = [sample for turn in found.samples_ms for sample in turn]
    p50, p90 = np.quantile(samples, [0.5, 0.9])
    return Latency(p50=float(p50), p90=float(p90), samples=samples)


def judge(goal: Goal | None, rows: Sequence[Row], last_step: str) -> dict[str, Any]:
    """The goal with its verdict, on the last step's row on the first target that it runs on.

    Returns:
        The goal's keys, `met` (None without a goal) and `missed`: one sentence for each missed part.
    """
    if goal is None:
        return {"met": None, "missed": []}
    row = next((row for row in rows if row.step == last_step and row.status == "measured"), None)
    missed = []
    if row is None:
        missed.append(f"'{last_step}' was not measured on any target")
    else:
        if goal.max_drop_pp is not None and not (row.drop_pp is not None and row.drop_pp <= goal.max_drop_pp):
            missed.append(f"drop {_shown(row.drop_pp)} points, at most {goal.max_drop_pp:g} allowed")
        if goal.min_speedup is not None and not (row.speedup is not None and row.speedup >= goal.min_speedup):
            missed.append(f"{_shown(row.speedup)}x faster, at least {goal.min_speedup:g}x wanted")
        if goal.max_size_mb is not None and not row.size_bytes / 1e6 <= goal.max_size_mb:
            missed.append(f"{row.size_bytes / 1e6:.2f} MB, at most {goal.max_size_mb:g} allowed")
    return {**goal.model_dump(exclude_none=True), "met": not missed, "missed": missed}


def _shown(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f}"
