"""What a function gives in a process that has nothing of this one's, without the seconds that imports take.

The process is forked off a server that has imported the libraries and done nothing else.
"""

import multiprocessing
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ParamSpec, TypeVar

import pytest
import torch

from compress.cli import main
from compress.run import rehearsal
from compress.run.rehearsal_process import rehearse_here

P = ParamSpec("P")
R = TypeVar("R")

FORKED = multiprocessing.get_context("forkserver")
PRELOADED = (
    "compress.cli",
    "compress.models.load",
    "compress.run.rehearsal_process",
    "compress.runtimes",
    "compress.training.loop",
)
FORKED.set_forkserver_preload([*PRELOADED, "transformers.modeling_utils"])


def in_a_fresh_process(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    with ProcessPoolExecutor(1, mp_context=FORKED) as process:
        return process.submit(function, *args, **kwargs).result()


def fork_rehearsals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rehearsals run in such processes, and not in those that import all anew."""

    def start(_: object, *, pass_fds: Sequence[int], **__: object) -> SimpleNamespace:
        with Connection(os.dup(pass_fds[0])) as messages:
            process = FORKED.Process(target=_rehearse, args=(messages,))
            process.start()

        def wait(timeout: float | None = None) -> int | None:
            process.join(timeout)
            if process.exitcode is None:
                raise subprocess.TimeoutExpired("rehearsing", timeout or 0.0)
            return process.exitcode

        return SimpleNamespace(pid=process.pid, wait=wait, kill=process.kill)

    monkeypatch.setattr(rehearsal, "start", start)


def _rehearse(messages: "Connection[Any, Any]") -> None:
    rehearse_here(messages, *messages.recv())


def command_line(arguments: Sequence[str], folder: Path, stderr: Path) -> None:
    """In such a process: `compress` as a terminal starts it in that folder, which ends the process.

    Args:
        stderr: the file that gets what it says; what it prints is lost.
    """
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
    for number, path in ((1, Path(os.devnull)), (2, stderr)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    main(arguments)


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
