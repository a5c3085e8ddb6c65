"""PyTorch eager, on CPU and CUDA; also models with bitsandbytes weights."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.runtimes import CannotRunError, Predictor, cores_for

if TYPE_CHECKING:
    import numpy as np

    from compress.recipe.schema import Target

FORMATS = ("torch", "torch_bnb")
OWN_PRECISION = "bitsandbytes weights bring their own precision"


def refuse(target: "Target") -> str | None:
    """Why it takes no target of these settings, or None."""
    del target  # it takes all
    return None


def unavailable(target: "Target") -> str | None:
    """Why this target cannot be had here, or None."""
    if target.device == "cpu":
        return None
    import torch

    if not torch.cuda.is_available():
        return "this machine has no CUDA device that torch can use"
    if target.precision == "bf16" and not torch.cuda.is_bf16_supported():
        return f"{torch.cuda.get_device_name()} does not compute in bf16"
    return None


def load(folder: Path, target: "Target", hub_task: str, *, trust_remote_code: bool, exclusive: bool) -> Predictor:
    """The model in eager mode, in the target's precision; bitsandbytes weights stay as they were saved.

    Raises:
        CannotRunError: another precision is asked of bitsandbytes weights.
    """
    return load_through(lambda model: model, folder, target, hub_task, trust_remote_code, exclusive)


def load_through(
    prepare: Callable[[Any], Any],
    folder: Path,
    target: "Target",
    hub_task: str,
    trust_remote_code: bool,
    exclusive: bool,
) -> Predictor:
    """A predictor that calls what `prepare` returns for the loaded model."""
    import torch

    from compress.models.config_file import read_config
    from compress.models.load import load_model

    if exclusive:
        torch.set_num_threads(target.threads)
        if cores := cores_for(target):
            os.sched_setaffinity(0, cores)
    if target.precision != "fp32" and "quantization_config" in read_config(folder):
        raise CannotRunError(OWN_PRECISION, where=str(folder))
    kind = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[target.precision]
    model = load_model(folder, hub_task, trust_remote_code=trust_remote_code, device_map=target.device, dtype=kind)
    return predictor(model, prepare(model), target.device)


def predictor(model: Any, call: Callable[..., Any], device: str = "cpu") -> Predictor:
    """A predictor that calls a loaded model, or a compiled form of it, with the inputs that the model knows."""
    import torch

    from compress.models.inputs import input_names

    accepted = input_names(model)

    def predict(batch: "Mapping[str, np.ndarray[Any, Any]]") -> "np.ndarray[Any, Any]":
        with torch.inference_mode():
            inputs = {name: torch.from_numpy(array).to(device) for name, array in batch.items() if name in accepted}
            logits: np.ndarray[Any, Any] = call(**inputs).logits.float().cpu().numpy()
            return logits

    return predict
