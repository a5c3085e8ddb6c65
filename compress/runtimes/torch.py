"""PyTorch eager, on CPU and CUDA; also models with bitsandbytes weights."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from compress.recipe import Target
from compress.runtimes import Predictor

FORMATS = ("torch", "torch_bnb")


def unavailable(target: Target) -> str | None:
    """Why this target cannot be had here, or None."""
    if target.device == "cpu":
        return None
    import torch

    return None if torch.cuda.is_available() else "this machine has no CUDA device that torch can use"


def load(folder: Path, target: Target, hub_task: str, *, trust_remote_code: bool, exclusive: bool) -> Predictor:
    """The model in eager mode, in the precision that it was saved in."""
    import torch

    from compress.models.load import load_model

    if exclusive:
        torch.set_num_threads(target.threads)
    model = load_model(folder, hub_task, trust_remote_code=trust_remote_code, device_map=target.device)
    accepted = set(inspect.signature(model.forward).parameters)

    def predict(batch: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
        with torch.inference_mode():
            inputs = {
                name: torch.from_numpy(array).to(target.device) for name, array in batch.items() if name in accepted
            }
            logits: np.ndarray[Any, Any] = model(**inputs).logits.float().cpu().numpy()
            return logits

    return predict
