"""Artifact + target -> predictor. One file = one runtime; the file's name is the target's `runtime`.

A runtime module says which artifact formats it runs (FORMATS), why a target cannot be had here
(`unavailable`), and loads a folder (`load`). Where a process is given to one target alone, `claim_process` sets
what holds for the whole of it; `load` changes nothing outside of its predictor.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from compress.recipe import Target


class Predictor(Protocol):
    """A loaded model."""

    def __call__(self, batch: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
        """Outputs of a padded batch.

        Args:
            batch: input_ids, attention_mask, token_type_ids, each (batch, tokens) of int64; inputs that the
                model does not know are left out.

        Returns:
            logits, (batch, classes) of float32, on the host.
        """
        ...


def find(name: str) -> ModuleType:
    """The runtime's module."""
    return import_module(f"{__name__}.{name}")


def why_not(artifact_format: str, target: Target) -> str | None:
    """Why an artifact of that format cannot run on the target here, or None if it can."""
    runtime = find(target.runtime)
    if artifact_format not in runtime.FORMATS:
        return f"the runtime '{target.runtime}' does not run the format '{artifact_format}'"
    reason: str | None = runtime.unavailable(target)
    return reason


def claim_process(target: Target) -> None:
    """Give this process to one target."""
    find(target.runtime).claim_process(target)


def load(folder: Path, target: Target, hub_task: str, *, trust_remote_code: bool = False) -> Predictor:
    """Load a folder for a target."""
    predictor: Predictor = find(target.runtime).load(folder, target, hub_task, trust_remote_code)
    return predictor
