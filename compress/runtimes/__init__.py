"""The runtimes: each loads an artifact for a target. One file = one runtime; its name is the target's `runtime`.

A runtime module says which artifact formats it runs (`FORMATS`), which settings of a target it refuses anywhere
(`refuse`), why a target cannot be had here (`unavailable`), and loads a folder (`load`). One whose first call may take
as long as loading says so (`COMPILES = True`). It is light to import: what it loads models with is imported where that
is used.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from compress.errors import CompressError
from compress.registry import Registry

if TYPE_CHECKING:
    import numpy as np

    from compress.recipe.schema import Target


TOKEN_TASKS = frozenset({"token-classification"})
"""Tasks of the hub whose models give an output for each token."""


class CannotRunError(CompressError):
    """The runtime is installed, but cannot run the operators or weights of this artifact."""


class Predictor(Protocol):
    """A loaded model."""

    def __call__(self, batch: "Mapping[str, np.ndarray[Any, Any]]") -> "np.ndarray[Any, Any]":
        """Outputs of a padded batch.

        Args:
            batch: input_ids, attention_mask, token_type_ids, each (batch, tokens) of int64; inputs that the
                model does not know are ignored.

        Returns:
            logits, (batch, classes) or (batch, tokens, classes) of float32, on the host.
        """
        ...


REGISTRY = Registry("runtime", __name__, needs=("FORMATS", "refuse", "unavailable", "load"))


def names() -> list[str]:
    """All runtimes: the files of this folder, and those of plug-ins."""
    return REGISTRY.names()


def find(name: str, where: str | None = None) -> ModuleType:
    """The runtime's module.

    Raises:
        InputError: there is none, or the plug-in that has it cannot be used.
    """
    return REGISTRY.module(name, where)


def refuse(target: "Target") -> str | None:
    """Why the runtime takes no target of these settings, on any machine, or None."""
    reason: str | None = find(target.runtime).refuse(target)
    return reason


def compiles_on_first_call(target: "Target") -> bool:
    """Whether the first call on the target compiles the model, and so may take as long as loading it."""
    return getattr(find(target.runtime), "COMPILES", False)


def unavailable(target: "Target") -> str | None:
    """Why the target cannot be had here, whatever is to run on it."""
    reason: str | None = find(target.runtime).unavailable(target)
    return reason


def load(
    folder: Path, target: "Target", hub_task: str, *, trust_remote_code: bool = False, exclusive: bool = False
) -> Predictor:
    """Load the model in a folder for a target.

    Args:
        exclusive: the calling thread, and all that torch does in the process, serve this predictor alone, so threads
            may be set and pinned to cores. Otherwise nothing changes outside of the predictor.
    """
    predictor: Predictor = find(target.runtime).load(
        folder, target, hub_task, trust_remote_code=trust_remote_code, exclusive=exclusive
    )
    return predictor


def cores_for(target: "Target") -> list[int]:
    """The cores to pin a target's threads to, one each; empty where there are too few, or pinning is impossible."""
    if target.device != "cpu" or not hasattr(os, "sched_getaffinity"):
        return []
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[: target.threads] if target.threads <= len(allowed) else []
