"""What a function gives in a process that has nothing of this one's, without the seconds that imports take.

The process is forked off a server that has imported the libraries and done nothing else.
"""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["compress.models.load", "compress.runtimes", "transformers.modeling_utils"])


def in_a_fresh_process(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    with ProcessPoolExecutor(1, mp_context=_SERVER) as process:
        return process.submit(function, *args, **kwargs).result()


def fresh_logits(folder: Path, ids: torch.Tensor, mask: torch.Tensor) -> list[float]:
    """What `compress.load` of a model folder computes in such a process, one row after the other."""
    return in_a_fresh_process(_logits, folder, ids.tolist(), mask.tolist())


def _logits(folder: Path, ids: list[list[int]], mask: list[list[int]]) -> list[float]:
    import compress

    model = compress.load(folder)
    with torch.no_grad():
        found: list[float] = (
            model(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask)).logits.flatten().tolist()
        )
    return found
