"""Which settings of 4 bits are the best at a seventh of the size, by rows held back from train."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import log_softmax, rel_entr

from benchmarks.quantization.making import SUBJECTS, Step, float_model, quantized, task_of
from compress.bench.worker import run_all
from compress.files import folder_bytes
from compress.models.tokenizer import load_tokenizer
from compress.recipe import Target
from compress.runtimes import load
from compress.store import Artifact
from compress.tasks import Task

MIN_SIZE_RATIO = 7.0
CHOOSE_ON = ("r8", "r52")
RULE = (
    f"of those at least {MIN_SIZE_RATIO:g} times smaller on both data sets, the one with the smallest Kullback-Leibler "
    "divergence from the float model's probabilities, averaged over the validation rows and then over the data sets"
)
BATCH = 8


def candidates() -> dict[str, Step]:
    """Settings that are tried, by a name; embeddings are in 4 bits in all."""
    found: dict[str, Step] = {}
    for block_size in (64, 128, 256):
        size = {"stage": "quantize_onnx_4bit", "block_size": block_size}
        found[f"hqq_{block_size}"] = {**size, "method": "hqq"}
        for symmetric, word in ((True, "symmetric"), (False, "asymmetric")):
            found[f"gptq_{block_size}_{word}"] = {**size, "method": "gptq", "symmetric": symmetric}
    return found


def choose(tried: Mapping[str, Step], runs_dir: Path, rows: int | None) -> dict[str, Any]:
    """Make every candidate of every data set, and compare it with the float model.

    Args:
        rows: look at so many validation rows only.

    Returns:
        `chosen`: the settings; `candidates`: what was found of each.
    """
    found: dict[str, Any] = {name: {"settings": settings} for name, settings in tried.items()}
    for data in CHOOSE_ON:
        subject = SUBJECTS[data]
        task = task_of(subject.recipe)
        base = float_model(subject, runs_dir)
        expected = _log_probabilities(base, task, rows)
        for name, artifact in quantized(data, tried, runs_dir).items():
            found[name][data] = _against(base, expected, artifact, task, rows)
            print(f"  {data} {name}: {found[name][data]}", flush=True)
    small = [
        name for name, item in found.items() if min(item[data]["size_ratio"] for data in CHOOSE_ON) >= MIN_SIZE_RATIO
    ]
    best = min(small, key=lambda name: np.mean([found[name][data]["divergence"] for data in CHOOSE_ON]))
    return {"rule": RULE, "chosen": best, "settings": tried[best], "candidates": found}


def _against(
    base: Artifact, expected: np.ndarray[Any, Any], artifact: Artifact, task: Task, rows: int | None
) -> dict[str, float]:
    actual = _log_probabilities(artifact, task, rows)
    divergences = rel_entr(np.exp(expected), np.exp(actual)).sum(-1)  # (rows,) nats
    truth = task.truth(task.validation[:rows])
    scores = [task.score(outputs.argmax(-1).tolist(), truth) for outputs in (expected, actual)]
    return {
        "size_ratio": round(folder_bytes(base.path) / folder_bytes(artifact.path), 3),
        "divergence": round(float(divergences.mean()), 6),
        "drop_pp": round(100 * (scores[0] - scores[1]), 3),
    }


def _log_probabilities(artifact: Artifact, task: Task, rows: int | None) -> np.ndarray[Any, Any]:
    """What a model says of the validation rows: (rows, classes)."""
    tokenizer = load_tokenizer(artifact.path)
    encoded: Sequence[dict[str, Any]] = task.encode(task.validation[:rows], tokenizer)
    logits = run_all(load(artifact.path, Target(), task.hub_task), encoded, tokenizer, BATCH)
    found: np.ndarray[Any, Any] = log_softmax(logits.astype(np.float64), axis=-1)
    return found
