"""The forecast of a run: its time, memory and disk, measured by a rehearsal or as a lower bound; and whether it fits.

A forecast that `compress plan` measured is kept in the run's folder. Where there is none, a run is refused only for its
lower bound: the weights, gradients and optimizer state of its trainings, and the files that it writes.
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
from compress.planning.plan import Plan, PlannedStep
from compress.processes.memory import free_memory
from compress.running.rehearsal import Rehearsed
from compress.store.artifacts import Artifact

FORECAST = "forecast.json"
TRAINED_BYTES = 16
"""Bytes of each parameter in a training: its value, its gradient and two moments of Adam, in float32."""
CHECKPOINT_BYTES = 12
"""Bytes of each parameter in a checkpoint: its value and two moments."""
FLOAT_BYTES = 4


class StepForecast(BaseModel):
    """The forecast of one step, or of measuring. On disk, artifacts stay; scratch files go when the step is done."""

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
    """The forecast of the rest of a run.

    Attributes:
        measured: whether a rehearsal measured it; else the figures are lower bounds.
        steps: the steps to do, in their order, and `bench` as the last, where there are targets.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    compress_version: str
    host: dict[str, Any]
    bench: str
    measured: bool
    steps: tuple[StepForecast, ...]

    @property
    def seconds(self) -> float:
        """The time of all steps."""
        return sum(step.seconds or 0.0 for step in self.steps)

    @property
    def disk_bytes(self) -> int:
        """The most disk space that is taken at any time, beyond what is taken now."""
        artifact_bytes = most = 0
        for step in self.steps:
            most = max(most, artifact_bytes + step.artifact_bytes + step.scratch_bytes)
            artifact_bytes += step.artifact_bytes
        return most

    @property
    def peak_memory_step(self) -> StepForecast | None:
        """The step that needs the most memory."""
        return max(self.steps, key=lambda step: step.memory_bytes, default=None)


def measured_forecast(plan: Plan, rehearsed: Rehearsed, host: Mapping[str, Any]) -> Forecast:
    """The forecast that follows from a rehearsal's costs."""
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
    """Write the forecast into the run's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / FORECAST, forecast.model_dump_json(indent=1) + "\n")


def forecast_for(plan: Plan, done: Collection[str], folder: Path, host: Mapping[str, Any]) -> Forecast:
    """The forecast that `compress plan` kept, if it is of these steps on this machine; else the lower bound.

    Args:
        done: names of the steps that need no work.
        folder: the run's folder.
    """
    return kept_forecast(plan, done, folder, host) or lower_bound(plan, done, host)


def kept_forecast(plan: Plan, done: Collection[str], folder: Path, host: Mapping[str, Any]) -> Forecast | None:
    """The forecast that `compress plan` kept, if it is of these steps on this machine."""
    keys_to_do = {step.identity.key for step in plan.steps if step.name not in done}
    try:
        forecast = Forecast.model_validate(read_json(folder / FORECAST))
    except (OSError, ValueError):
        return None
    forecast_keys = {step.key for step in forecast.steps}
    fits = (
        keys_to_do <= forecast_keys and forecast.bench == _bench_key(plan) and forecast.compress_version == __version__
    )
    if not fits or not same_machine(forecast.host, host):
        return None
    return forecast.model_copy(
        update={"steps": tuple(step for step in forecast.steps if step.key in {*keys_to_do, ""})}
    )


def lower_bound(plan: Plan, done: Collection[str], host: Mapping[str, Any]) -> Forecast:
    """The least that the steps need; it says nothing of time and does not count activations."""
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


def check_fits(forecast: Forecast, plan: Plan, runs_dir: Path) -> None:
    """Refuse a run whose forecast needs more memory or disk than is free now.

    Raises:
        CompressError: it needs more; the error has both figures.
    """
    about = "about" if forecast.measured else "at least"
    step, free = forecast.peak_memory_step, free_memory()
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


def _parameters(step: PlannedStep, plan: Plan, counts: Mapping[str, int | None]) -> int | None:
    """The number of parameters of a step's model: that of the model it reads, less those cut off; None if unknown."""
    source = step.model
    if isinstance(source, Artifact):
        count: int | None = find(source.format).parameters(source.path)
        before = read_shape(read_config(source.path))
    else:
        count, before = counts[source], plan.step(source).shape
    if count is None or before == step.shape:
        return count
    if before is None or step.shape is None:
        return None
    return count - _in_layers(before) + _in_layers(step.shape)


def _in_layers(shape: Shape) -> int:
    """Weights of an encoder's matrices: query, key, value and output, and those of the feed-forward part."""
    architecture = ARCHITECTURES[shape.model_type]
    layers = 1 if architecture.repeats else shape.layers
    attention = sum(4 * shape.hidden * shape.head_size * heads for heads in shape.heads[:layers])
    parts = len(architecture.neuron_parts)
    widths = [width for neurons in shape.neurons[:layers] for width in (parts * neurons, neurons)]
    return attention + sum(_in_factors(shape, width) for width in widths)


def _in_factors(shape: Shape, neurons: int) -> int:
    """Weights of one feed-forward matrix, or of its two factors."""
    return shape.hidden * neurons if shape.ffn_rank is None else shape.ffn_rank * (shape.hidden + neurons)


def _bench_key(plan: Plan) -> str:
    """A key of everything but the artifacts that measuring depends on."""
    targets = {name: target.model_dump() for name, target in plan.recipe.targets.items()}
    return fingerprint({"targets": targets, "bench": plan.recipe.bench.model_dump(), "rows": len(plan.task.test)})


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"
