"""Processes that have nothing of this one's, without the seconds that imports take; see tests/forking.py.

What a process of ours imports by itself, and how it starts, lives and ends, is shown where it is started for real: in
tests/processes, bench, doctor, machine, trials and data.
"""

import os
import pickle
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

import pytest

from compress.processes import child
from tests import peaks
from tests.forking import Forked

P = ParamSpec("P")
R = TypeVar("R")

PROGRAMS = {
    "compress.benching.worker": "graphs",
    "compress.machine.kernels": "graphs",
    "compress.running.baseline_process": "fitting",
    "compress.running.rehearsal_process": "torch",
    "compress.trials.trial": "graphs",
}
"""Modules that are processes of our own, and are forked where a test asks for it; the kind of server for each."""
NOWHERE = (subprocess.DEVNULL, subprocess.DEVNULL)


def in_a_fresh_process(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    reads, writes = os.pipe()
    process = Forked((_tell, (function, args, kwargs)), [*NOWHERE, sys.__stderr__], [writes])
    os.close(writes)
    with os.fdopen(reads, "rb") as told:
        said = told.read()
    assert process.wait() == 0
    found: R = pickle.loads(said)  # noqa: S301  of this session
    return found


def _tell(function: Callable[..., Any], args: Any, kwargs: Any, passed: list[int]) -> None:
    with os.fdopen(passed[0], "wb") as told:
        pickle.dump(function(*args, **kwargs), told)


def fork_children(monkeypatch: pytest.MonkeyPatch, asked: Mapping[str, str] = MappingProxyType({})) -> None:
    """`PROGRAMS` run in such processes, and not in those that import all anew; other kinds of server may be `asked`."""
    fork = _forking({**PROGRAMS, **asked})
    monkeypatch.setattr(child, "start", fork)
    monkeypatch.setattr("compress.running.rehearsal.start", fork)


def _forking(kinds: Mapping[str, str]) -> Callable[..., Any]:
    """What stands for `compress.processes.child.start`."""
    start = child.start

    def fork(command: Sequence[str], *, pass_fds: Sequence[int] = (), **options: Any) -> Any:
        _, _, *rest = command
        if rest[0] != "-m" or rest[1] not in kinds:
            return start(command, pass_fds=pass_fds, **options)
        files = [options[name] for name in ("stdin", "stdout", "stderr")]
        call = (_become, (rest[1], rest[2:], [str(number) for number in pass_fds]))
        return Forked(call, files, pass_fds, kinds[rest[1]])

    return fork


def _become(module: str, arguments: list[str], numbers: list[str], passed: list[int]) -> None:
    """What such a process does: it is that program, and forks those that it starts.

    Args:
        numbers: of the files that are passed, as `arguments` say them.
        passed: their numbers here.
    """
    child.start = _forking(PROGRAMS)
    if PROGRAMS.get(module) == "torch" and peaks.FILE in os.environ:
        from compress.benching import measure

        vars(measure)["peak_gflops"] = peaks.known_peaks
    here = dict(zip(numbers, map(str, passed), strict=True))
    sys.argv = [module, *(here.get(text, text) for text in arguments)]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def command_line(arguments: Sequence[str], *_: Any) -> None:
    """In such a process: `compress` as a terminal starts it, which ends the process."""
    from compress.cli import main

    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
    main(arguments)


def fresh_logits(folder: Path, ids: Any, mask: Any) -> list[float]:
    """What `compress.load` of a model folder computes in such a process, one row after the other."""
    return in_a_fresh_process(_logits, folder, ids.tolist(), mask.tolist())


def _logits(folder: Path, ids: list[list[int]], mask: list[list[int]]) -> list[float]:
    import torch

    import compress

    model = compress.load(folder)
    with torch.no_grad():
        found: list[float] = (
            model(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask)).logits.flatten().tolist()
        )
    return found
