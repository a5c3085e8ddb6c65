"""Measurements of a plan's artifacts, kept in the run's folder until something that they depend on changes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from compress.bench.measure import Bench, measure
from compress.context import Progress
from compress.files.strict_json import read_json
from compress.files.whole import fingerprint, write_text
from compress.machine.facts import same_machine
from compress.measurement import Conditions, Measured, Measurement
from compress.plan.plan import Plan, artifact_of
from compress.store.artifacts import Artifact

BENCH_VERSION = 3
"""Raised when measuring changes, so that old measurements are not taken for new ones."""


def measure_plan(
    plan: Plan,
    artifacts: Mapping[str, Artifact],
    folder: Path,
    host: Mapping[str, Any],
    progress: Progress,
    beside: Sequence[Artifact] = (),
) -> Measured:
    """Measure all that the plan's report needs; what `folder` keeps is used if nothing that it depends on changed.

    An artifact that was made again counts as the same only if its files are: a step that times things may differ.

    Args:
        artifacts: by the name of the planned step.
        folder: of the run; keeps `measurements.json`.
        beside: artifacts of other plans, measured in the same rounds.
    """
    own = [
        artifact_of(value, artifacts)
        for value in (*plan.baselines.values(), *(subject.measured for subject in plan.subjects))
    ]
    wanted = {artifact.key: artifact for artifact in (*own, *beside)}
    key = fingerprint(
        {
            "version": BENCH_VERSION,
            "artifacts": {name: one.manifest.files if one.manifest else {} for name, one in wanted.items()},
            "targets": {name: target.model_dump() for name, target in plan.recipe.targets.items()},
            "bench": plan.recipe.bench.model_dump(),
            "test": plan.task.test_key,
        }
    )
    path = folder / "measurements.json"
    kept = _kept(path, key, host)
    if kept is not None:
        return kept
    recipe = plan.recipe
    bench = Bench(plan.task, recipe.bench, recipe.seed, recipe.trust_remote_code, progress)
    taken, conditions = measure(list(wanted.values()), recipe.targets, bench)
    measured = Measured(taken, conditions, datetime.now(UTC).isoformat(timespec="seconds"), host, key)
    if all(found.status != "failed" for found in taken):
        content = asdict(measured) | {
            "measurements": [found.model_dump() for found in taken],
            "conditions": {name: found.model_dump() for name, found in conditions.items()},
        }
        content = json.loads(json.dumps(content))
        write_text(path, json.dumps(content | {"digest": fingerprint(content)}))
    return measured


def _kept(path: Path, key: str, host: Mapping[str, Any]) -> Measured | None:
    """The measurements in `path` if they are those of `key`, taken on this machine."""
    try:
        content = read_json(path)
        if content["key"] != key or not same_machine(content["host"], host):
            return None
        if content.pop("digest") != fingerprint(content):
            return None  # a figure is not as it was written
        return Measured(
            measurements=[Measurement.model_validate(item) for item in content["measurements"]],
            conditions={name: Conditions.model_validate(item) for name, item in content["conditions"].items()},
            created=content["created"],
            host=content["host"],
            key=key,
            is_new=False,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # there is none, or none that can be read: it is measured anew
