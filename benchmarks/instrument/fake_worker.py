"""A worker whose model is a known sleep and a known allocation, read from `fake.json` in its folder."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from compress.benching import worker
from compress.recipe.schema import Target
from compress.runtimes import Predictor

WAKING_SECONDS = 1e-3
"""The system wakes a sleeper some tenths of a millisecond late; this last part of a sleep is spun away."""


def load(folder: Path, target: Target, hub_task: str, *, trust_remote_code: bool, exclusive: bool) -> Predictor:
    """A predictor that sleeps `sleep_ms` a call and holds `allocate_mb` million bytes."""
    del target, hub_task, trust_remote_code, exclusive
    known = json.loads((folder / "fake.json").read_text())
    classes = len(json.loads((folder / "config.json").read_text())["id2label"])
    held = np.ones(1 + int(known["allocate_mb"] * 1e6), np.uint8)  # written, so that it is resident

    def predict(batch: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
        end = time.perf_counter() + known["sleep_ms"] / 1e3
        time.sleep(max(0.0, known["sleep_ms"] / 1e3 - WAKING_SECONDS))
        while time.perf_counter() < end:
            pass
        return np.full((len(batch["input_ids"]), classes), held[0], np.float32)

    return predict


if __name__ == "__main__":
    worker.load = load  # type: ignore[attr-defined, assignment]  # the worker loads models by this name
    worker.main()
