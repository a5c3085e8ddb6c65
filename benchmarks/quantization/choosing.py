"""Which settings of 4 bits are the best at a seventh of the size, by rows held back from train."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quantization.making import SUBJECTS, Step, float_model, quantized, task_of
from compress.comparing.held_back import flat, held_back
from compress.errors import CompressError
from compress.files.whole import folder_bytes
from compress.models.tokenizer import load_tokenizer
from compress.ops.divergence import divergence, logit_error
from compress.recipe.schema import Target
from compress.runtimes import load

MIN_RATIO = 7.0
CHOOSE_ON = ("r8", "r52")
RULE = (
    f"of those at least {MIN_RATIO:g} times smaller on both data sets, the one whose logits are nearest to the float "
    "model's on the validation rows: root mean square, as a share of the float model's, averaged over the data sets"
)


def candidates() -> dict[str, Step]:
    """Settings that are tried, by a name; embeddings are in 4 bits in all."""
    four = {"stage": "quantize_onnx_4bit", "block_size": 128}
    return {
        "rtn_128": {**four, "method": "rtn"},
        "gptq_128_symmetric": {**four, "method": "gptq"},
        "gptq_128_asymmetric": {**four, "method": "gptq", "symmetric": False},
        "hqq_128": {**four, "method": "hqq"},
        "gptq_256_symmetric": {**four, "method": "gptq", "block_size": 256},
    }


def choose(tried: Mapping[str, Step], runs_dir: Path, rows: int | None) -> dict[str, Any]:
    """Make every candidate of every data set, and compare it with the float model.

    Args:
        rows: look at so many validation rows only.

    Returns:
        `chosen`: the name, and `settings` of it; `candidates`: what was found of each.
    """
    found: dict[str, Any] = {name: {"settings": settings} for name, settings in tried.items()}
    for data in CHOOSE_ON:
        subject = SUBJECTS[data]
        task = task_of(subject.recipe)
        base = float_model(subject, runs_dir)
        held = held_back(task, load_tokenizer(base.path), rows or len(task.validation))
        expected = held.outputs(load(base.path, Target(), task.hub_task))
        for name, artifact in quantized(data, tried, runs_dir).items():
            drop = held.drop(expected, actual := held.outputs(load(artifact.path, Target(), task.hub_task)))
            assert drop is not None
            found[name][data] = {
                "size_ratio": round(folder_bytes(base.path) / folder_bytes(artifact.path), 3),
                "logit_error": round(logit_error(flat(expected), flat(actual)), 6),
                "divergence": round(divergence(flat(expected), flat(actual)), 6),
                "drop_pp": round(100 * drop.value, 3),
                "rows": len(held.rows),
            }
            print(f"  {data} {name}: {found[name][data]}", flush=True)
    small = [name for name, item in found.items() if min(item[data]["size_ratio"] for data in CHOOSE_ON) >= MIN_RATIO]
    if not small:
        raise CompressError(f"no candidate is {MIN_RATIO:g} times smaller on all data sets")
    best = min(small, key=lambda name: np.mean([found[name][data]["logit_error"] for data in CHOOSE_ON]))
    return {"rule": RULE, "chosen": best, "settings": tried[best], "candidates": found}
