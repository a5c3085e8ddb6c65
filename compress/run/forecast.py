"""What a run would take, and whether that fits: measured by a rehearsal, or at the very least.

A forecast that `compress plan` measured is kept beside the run. Where there is none, a run is refused only for what it
needs with certainty: the weights, gradients and optimizer state of its trainings, and the files that it writes.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from compress import __version__
from compress.errors import CompressError
from compress.files.disks import free_disk
from compress.files.strict_json import read_json
from compress.files.whole import fingerprint, write_text
from compress.formats import find
from compress.machine.facts import same_machine
from compress.models.architectures import ARCHITECTURES, Shape, read_shape
from compress.models.config_file import read_config
from compress.plan.plan import Plan, PlannedStep
from compress.processes.memory import free_memory
from compress.run.rehearsal import Rehearsed
from compress.store.artifacts import Artifact

FORECAST = "forecast.json"
TRAINED_BYTES = 16
"""Of each parameter in a training: its value, its gradient and two moments of Adam, in float32."""
CHECKPOINT_BYTES = 12
"""Of each parameter in a checkpoint: its value and two moments."""
FLOAT_BYTES = 4


class StepForecast(BaseModel):
    """What one step, or the measuring, takes. Bytes on disk are what stays, and what is there beside it meanwhile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    stage: str
    key: str
    seconds: float | None
    memory_bytes: int
    gpu_memory_bytes: int | None = None
    artifact_bytes: int = 0
    scratch_bytes: int = 0


class Forecast(BaseModel):
    """What a run takes from where it stands.

    Attributes:
        measured: True if a rehearsal measured it; else the figures are what is needed at the least.
        steps: those that are not done, in their order, and `bench` as the last, where there are targets.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    compress_version: str
    host: dict[str, Any]
    bench: str
    measured: bool
    steps: tuple[StepForecast, ...]

    @property
    def seconds(self) -> float:
        """Of all steps."""
        return sum(step.seconds or 0.0 for step in self.steps)

    @property
    def disk_bytes(self) -> int:
        """Most that is on disk at any time beyond what is there now."""
        kept = most = 0
        for step in self.steps:
            most = max(most, kept + step.artifact_bytes + step.scratch_bytes)
            kept += step.artifact_bytes
        return most

    @property
    def hungriest(self) -> StepForecast | None:
        """The step that needs the most memory."""
        return max(self.steps, key=lambda step: step.memory_bytes, default=None)


def measured_forecast(plan: Plan, rehearsed: Rehearsed, host: Mapping[str, Any]) -> Forecast:
    """A forecast out of what a rehearsal cost."""
    costs = {step.name: (step.stage_name, step.identity.key) for step in plan.steps if step.name in rehearsed.steps}
    steps = [
        StepForecast(step=name, stage=stage, key=key, **vars(rehearsed.steps[name]))
        for name, (stage, key) in costs.items()
    ]
    if rehearsed.measuring is not None:
        steps.append(StepForecast(step="bench", stage="bench", key="", **vars(rehearsed.measuring)))
    return Forecast(
        compress_version=__version__, host=dict(host), bench=_bench_key(plan), measured=True, steps=tuple(steps)
    )


def write_forecast(forecast: Forecast, folder: Path) -> None:
    """Keep it beside the run."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / FORECAST, forecast.model_dump_json(indent=1) + "\n")


def forecast_for(plan: Plan, done: Collection[str], folder: Path, host: Mapping[str, Any]) -> Forecast:
    """The forecast that was kept, if it is of these steps on this machine; else what is needed at the least.

    Args:
        done: names of the steps that need no work.
        folder: of the run.
    """
    return kept_forecast(plan, done, folder, host) or least(plan, done, host)


def kept_forecast(plan: Plan, done: Collection[str], folder: Path, host: Mapping[str, Any]) -> Forecast | None:
    """The forecast that `compress plan` kept, if it is of these steps on this machine."""
    wanted = {step.identity.key for step in plan.steps if step.name not in done}
    try:
        kept = Forecast.model_validate(read_json(folder / FORECAST))
    except (OSError, ValueError):
        return None
    known = {step.key for step in kept.steps}
    fits = wanted <= known and kept.bench == _bench_key(plan) and kept.compress_version == __version__
    if not fits or not same_machine(kept.host, host):
        return None
    return kept.model_copy(update={"steps": tuple(step for step in kept.steps if step.key in {*wanted, ""})})


def least(plan: Plan, done: Collection[str], host: Mapping[str, Any]) -> Forecast:
    """What the steps need with certainty; nothing is said of time, nor of activations."""
    parameters: dict[str, int | None] = {}
    steps: list[StepForecast] = []
    for step in plan.steps:
        count = parameters[step.name] = _parameters(step, plan, parameters)
        if step.name in done or count is None:
            continue
        trains = bool(step.stage.trainings(step.config))
        in_float = step.stage.writes_floats or find(step.stage.output).has_float_weights
        steps.append(
            StepForecast(
                step=step.name,
                stage=step.stage_name,
                key=step.identity.key,
                seconds=None,
                memory_bytes=(TRAINED_BYTES if trains else FLOAT_BYTES) * count,
                artifact_bytes=FLOAT_BYTES * count if in_float else 0,
                scratch_bytes=2 * CHECKPOINT_BYTES * count if trains else 0,  # one is kept while the next is written
            )
        )
    return Forecast(
        compress_version=__version__, host=dict(host), bench=_bench_key(plan), measured=False, steps=tuple(steps)
    )


def refuse_what_cannot_fit(forecast: Forecast, plan: Plan, runs_dir: Path) -> None:
    """Compare a forecast with what is free now.

    Raises:
        CompressError: with both numbers.
    """
    about = "about" if forecast.measured else "at least"
    step, free = forecast.hungriest, free_memory()
    if step is not None and step.memory_bytes > free:
        where = next((planned.where for planned in plan.steps if planned.name == step.step), plan.origin.path)
        raise CompressError(
            f"'{step.step}' needs {about} {_gb(step.memory_bytes)} of memory, {_gb(free)} are free",
            where=where,
            fix="lower batch_size or max_length, take a smaller model, or try it all the same: --force",
        )
    disk = free_disk(runs_dir)
    if forecast.disk_bytes > disk:
        raise CompressError(
            f"the run needs {about} {_gb(forecast.disk_bytes)} of disk, {_gb(disk)} are free",
            where=str(runs_dir),
            fix="free some (`compress store gc`), choose another place with --runs-dir, or try it: --force",
        )


def _parameters(step: PlannedStep, plan: Plan, known: Mapping[str, int | None]) -> int | None:
    """Parameters of the model that a step gives: those of what it reads, less what its shape lost; None if unknown."""
    read = step.model
    if isinstance(read, Artifact):
        count: int | None = find(read.format).parameters(read.path)
        before = read_shape(read_config(read.path))
    else:
        count, before = known[read], plan.step(read).shape
    if count is None or before == step.shape:
        return count
    if before is None or step.shape is None:
        return None
    return count - _in_layers(before) + _in_layers(step.shape)


def _in_layers(shape: Shape) -> int:
    """Weights of an encoder's matrices: query, key, value and output, and those of the feed-forward part."""
    attention = sum(4 * shape.hidden * shape.head_size * heads for heads in shape.heads)
    parts = len(ARCHITECTURES[shape.model_type].neuron_parts)
    widths = [width for neurons in shape.neurons for width in (parts * neurons, neurons)]
    return attention + sum(_in_factors(shape, width) for width in widths)


def _in_factors(shape: Shape, neurons: int) -> int:
    """Weights of one feed-forward matrix, or of its two factors."""
    return shape.hidden * neurons if shape.ffn_rank is None else shape.ffn_rank * (shape.hidden + neurons)


def _bench_key(plan: Plan) -> str:
    """What measuring depends on beside the artifacts."""
    targets = {name: target.model_dump() for name, target in plan.recipe.targets.items()}
    return fingerprint({"targets": targets, "bench": plan.recipe.bench.model_dump(), "rows": len(plan.task.test)})


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"
