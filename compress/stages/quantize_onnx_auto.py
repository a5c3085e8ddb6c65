"""Try the ways of quantizing an ONNX model, measure each on the target, and take the best; or the float model.

Use it where the best way is not known, which is nearly always: whether int8 is faster, and what it costs in quality,
depends on the model and on the processor. int8 with dynamic and with static ranges and 4 bits are made; int8 that
loses more than `max_drop_pp` is made again with SmoothQuant, and what still does with the layers that need it in float.
All that keep within the budget are timed beside the float model, each in a process of its own, in turns. The choice is
made on one half of the rows that are held back from training; what is chosen loses, is told of the other half, measured
as it will be on the target. If nothing pays, the float model is taken, and the step says so. Costs two to five minutes
for a MiniLM-L6.

```yaml
- {name: small, stage: quantize_onnx_auto, max_drop_pp: 0.5, prefer: latency}
```

On a CUDA device the ways are fp16 and 4 bits. The methods are those of the stages `quantize_onnx_dynamic`,
`quantize_onnx_static`, `quantize_onnx_4bit` and `quantize_onnx_fp16`.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field

from compress import stages
from compress.context import Context
from compress.errors import CompressError, InputError
from compress.facts import Candidate, Choice, ChoiceGoal, Quantization
from compress.ops.choice import FLOAT, choose, verdict
from compress.recipe.schema import BenchSpec, Target
from compress.stages import Input, Stage, StageConfig, settle_range
from compress.store.artifacts import Artifact


class Config(StageConfig):
    """What is good enough, and what is better."""

    max_drop_pp: float = Field(0.5, ge=0, le=100)
    """Largest loss, in percentage points, on training rows that are held back."""
    prefer: Literal["latency", "size"] = "latency"
    """latency: the fastest that keeps within the loss, if it is faster than float. size: the smallest."""
    target: Target = Target()
    """Where the model will run: it is timed there."""
    reduce_range: bool | None = None
    """Use 7 of the 8 bits for weights, so that AVX2 cannot saturate. Left out: as this processor needs it."""
    calibration_rows: int = Field(256, ge=1)
    """Training rows that static ranges, GPTQ and SmoothQuant look at."""
    rounds: int = Field(10, ge=1)
    """Turns of each model while they are timed."""


class Way(NamedTuple):
    """A way of quantizing: a stage with settings, and the ways to try in its place if it loses too much, in order."""

    name: str
    stage: str
    settings: dict[str, Any]
    instead: tuple["Way", ...] = ()


class MadeGraph(NamedTuple):
    """A candidate's folder and the facts of its stage."""

    path: Path
    facts: Quantization


def ways(config: Config) -> list[Way]:
    """The ways of quantizing that are tried for the target."""
    ungated = {"min_agreement": 0.0}
    rows = ungated | {"calibration_rows": config.calibration_rows}
    budget = {"max_drop_pp": config.max_drop_pp}
    options = []
    if config.target.device == "cuda":
        options.append(Way("fp16", "quantize_onnx_fp16", rows))
    else:
        form = {"form": "operators" if config.target.runtime == "onnxruntime" else "qdq"}
        for name, stage, own in (
            ("int8 dynamic", "quantize_onnx_dynamic", ungated),
            ("int8 static", "quantize_onnx_static", rows | form),
        ):
            settings = own | {"reduce_range": config.reduce_range}
            smoothed = settings | rows | {"smooth": 0.5}
            alternatives = (
                Way(f"{name}, smoothed", stage, smoothed),
                Way(f"{name}, mixed", stage, smoothed | budget),
            )
            options.append(Way(name, stage, settings, alternatives))
    four = rows | {"method": "gptq", "symmetric": False}
    mixed = Way("4 bits, mixed", "quantize_onnx_4bit", four | budget)
    return [*options, Way("4 bits", "quantize_onnx_4bit", four, (mixed,))]


def run(*, model: Artifact, config: Config, context: Context, out: Path) -> Quantization:
    """Make all candidates, refuse those that lose too much, time the rest, and copy the best."""
    from compress.comparing.held_back import held_back_rows, split_held_back
    from compress.comparing.parity import refuse_constant

    _check_target(config.target, model)
    to_choose, others = split_held_back(context.task)
    making = replace(context, task=to_choose)
    scratch = context.work / "candidates"
    shutil.rmtree(scratch, ignore_errors=True)
    graphs: dict[str, MadeGraph] = {FLOAT: MadeGraph(_float_copy(model, scratch / FLOAT), Quantization())}
    refuse_constant(graphs[FLOAT].path, Target(), making)
    refused: list[Candidate] = []
    for way in ways(config):
        for attempt in (way, *way.instead):
            candidate, graph = _make(attempt, model, graphs[FLOAT].path, scratch, config, making)
            if graph is not None:
                graphs[attempt.name] = graph
                break
            refused.append(candidate)
            if candidate.drop_pp is None:
                break  # the other ways would fail too
    rows = held_back_rows(others)
    measured = _measure(graphs, held_back_rows(to_choose), rows, config, context)
    best = choose(measured, config.max_drop_pp, config.prefer)
    shutil.copytree(graphs[best.name].path, out, dirs_exist_ok=True)
    candidates = sorted([*measured, *refused], key=lambda item: item.name != FLOAT)
    choice = Choice(
        rows=len(rows),
        choice_rows=len(held_back_rows(to_choose)),
        target=config.target.model_dump(mode="json"),
        goal=ChoiceGoal(max_drop_pp=config.max_drop_pp, prefer=config.prefer),
        candidates=candidates,
        verdict=verdict(best, candidates, config.max_drop_pp, config.prefer, len(rows)),
    )
    return graphs[best.name].facts.model_copy(update={"choice": choice})


def _check_target(target: Target, model: Artifact) -> None:
    """Refuse, before any work, a target on which nothing can be timed.

    Raises:
        InputError: it is not available here, or asks for more tokens than the model has positions for.
    """
    from compress.formats import why_not
    from compress.models.architectures import positions_of
    from compress.models.config_file import read_config

    reason = why_not(model.format, target)
    if reason is not None:
        raise InputError(f"nothing can be timed on the target: {reason}", fix="give a target of this machine")
    positions = positions_of(read_config(model.path))
    if positions is not None and target.sequence_length > positions:
        raise InputError(
            f"target.sequence_length is {target.sequence_length}, but the model has positions for {positions} tokens",
            fix=f"set target.sequence_length to at most {positions}",
        )


def _float_copy(model: Artifact, folder: Path) -> Path:
    """A copy of the float model alone, without other files of its folder."""
    from compress.graphs.read import check_external_data
    from compress.models.files import MODEL_FILE, copy_config_and_tokenizer, model_path

    folder.mkdir(parents=True)
    source = model_path(model.path)
    for name in check_external_data(source):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.parent / name, folder / name)
    shutil.copyfile(source, folder / MODEL_FILE)
    copy_config_and_tokenizer(model.path, folder)
    return folder


def _make(
    way: Way, model: Artifact, reference: Path, scratch: Path, config: Config, context: Context
) -> tuple[Candidate, MadeGraph | None]:
    """A candidate, and its graph if it may be chosen."""
    from compress.files.whole import folder_bytes

    stage = stages.find(way.stage)
    folder = scratch / way.name.replace(" ", "-").replace(",", "")
    folder.mkdir(parents=True)
    candidate = Candidate(name=way.name)
    try:
        facts = stage.run(model=model, config=stage.config(**way.settings), context=context, out=folder)
    except CompressError as error:
        candidate.reason = error.what
        return candidate, None
    assert isinstance(facts, Quantization)
    parity = facts.parity
    assert parity is not None
    assert parity.drop_pp is not None  # the rows have labels
    candidate.size_bytes, candidate.agreement = folder_bytes(folder), parity.agreement
    candidate.smaller = folder_bytes(reference) / candidate.size_bytes
    candidate.drop_pp, candidate.drop_low_pp = parity.drop_pp, parity.drop_low_pp
    candidate.drop_high_pp, candidate.choice_drop_pp = parity.drop_high_pp, parity.drop_pp
    if context.rehearsal is None and parity.drop_pp > config.max_drop_pp:
        candidate.reason = f"loses {parity.drop_pp:.1f} points, {config.max_drop_pp:g} are allowed"
        return candidate, None
    return candidate, MadeGraph(folder, facts)


def _measure(
    graphs: dict[str, MadeGraph], choice_rows: list[Any], rows: list[Any], config: Config, context: Context
) -> list[Candidate]:
    """The graphs as candidates, the float model first: their quality on both kinds of rows, and their latency."""
    import numpy as np

    from compress.benching.measure import Bench, measure
    from compress.ops import statistics
    from compress.tasks import with_rows

    both = [*choice_rows, *rows]
    task = with_rows(context.task, test=both)
    spec = BenchSpec(rounds=1 if context.rehearsal else config.rounds)
    bench = Bench(task, spec, context.seed, context.trust_remote_code, context.progress)
    artifacts = [Artifact(item.path, f"{index:064x}", "onnx") for index, item in enumerate(graphs.values())]
    measurements, _ = measure(artifacts, {"target": config.target}, bench)
    float_one = measurements[0]
    if float_one.status != "measured":
        raise CompressError(
            f"the float model was not measured on the target: {float_one.reason}",
            fix="check the step's target",
        )
    halves = range(len(choice_rows)), range(len(choice_rows), len(both))
    truth = task.truth(both)
    (chosen_by, right), (base_chosen_by, base) = (
        [side.take(half) for half in halves] for side in (truth, truth.with_content(float_one.predictions))
    )
    candidates = []
    for name, one in zip(graphs, measurements, strict=True):
        candidate = Candidate(name=name, size_bytes=one.size_bytes, smaller=float_one.size_bytes / one.size_bytes)
        candidates.append(candidate)
        if one.status != "measured":
            candidate.reason = f"not measured: {one.reason}"
            continue
        own_chosen_by, own = (truth.with_content(one.predictions).take(half) for half in halves)
        drop = own.drop(base, right, task.spec.metric)
        speedup = statistics.speedup(float_one.timings, one.timings)
        candidate.agreement, candidate.latency_ms = base.agreement(own), float(np.median(one.samples_ms))
        candidate.drop_pp, candidate.speedup = 100 * drop.value, speedup.value
        candidate.choice_drop_pp = 100 * own_chosen_by.drop(base_chosen_by, chosen_by, task.spec.metric).value
        if name != FLOAT:
            candidate.speedup_low, candidate.speedup_high = speedup.low, speedup.high
            candidate.drop_low_pp, candidate.drop_high_pp = (end and 100 * end for end in (drop.low, drop.high))
    return candidates


def _times_on(config: Config) -> Target:
    """The target of the timing. It is no lambda, since a rehearsal sends the stage to another process."""
    return config.target


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("onnx")},
    output="onnx",
    version=2,
    tag="quantized",
    settle=settle_range,
    facts=Quantization,
    times_on=_times_on,
)
