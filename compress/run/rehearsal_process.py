"""The process that rehearses a plan, and tells its parent what each step took.

`python -P -m compress.run.rehearsal_process N`, where N is the number of an open connection. The first message is the
job.
"""

import logging
import sys
import time
import traceback
import warnings
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from compress.context import Rehearsal
from compress.errors import CompressError, InputError
from compress.files.whole import folder_bytes
from compress.plan.plan import Plan
from compress.run.make import make_steps
from compress.run.measure import measure_plan
from compress.store.artifacts import Artifact, Identity
from compress.store.store import Store
from compress.training.config import KEPT
from compress.unexpected import explained

SAID = "said.txt"
"""What the process and its libraries print, in its scratch folder."""


class _Store(Store):
    """Knows how large the checkpoints were that the last artifact left behind: of each training, one."""

    checkpoint_bytes = 0

    def _commit(self, identity: Identity, output_format: str, out: Path, *more: Any) -> Artifact:
        kept = (out.parent / "work").glob("*/checkpoint-*")
        self.checkpoint_bytes = sum(folder_bytes(checkpoint) for checkpoint in kept)
        return super()._commit(identity, output_format, out, *more)


class _Teller:
    """An observer that tells its parent."""

    def __init__(self, messages: "Connection[Any, Any]", store: "_Store") -> None:
        self.messages, self.store = messages, store
        self._known: set[str] = set()

    def progress(self, what: str, done: int, total: int) -> None:
        self.messages.send(("progress", what, done, total, time.monotonic()))

    def step_started(self, name: str, stage: str) -> None:
        self.messages.send(("started", name, stage, time.monotonic()))

    def step_done(self, name: str, stage: str, seconds: float, made: bool) -> None:
        del seconds, made
        at = time.monotonic()
        new = {path for path in self.store.root.glob("*-*") if path.name not in self._known}
        self._known |= {path.name for path in new}
        own = sum(folder_bytes(path) for path in new if path.name.startswith(f"{stage}-"))
        facts = {
            "artifact_bytes": own,
            "byproduct_bytes": sum(folder_bytes(path) for path in new) - own,
            "scratch_bytes": (KEPT + 1) * self.store.checkpoint_bytes,
            "gpu_memory_bytes": _gpu_peak(),
        }
        self.messages.send(("done", name, stage, facts, at))

    def warned(self, message: str) -> None:
        pass  # of a store that is thrown away

    def stopping(self) -> bool:
        return False


def rehearse_here(
    messages: "Connection[Any, Any]",
    plan: Plan,
    scratch: Path,
    done: Mapping[str, Artifact],
    rehearsal: Rehearsal,
    host: Mapping[str, Any],
) -> None:
    """Rehearse, and tell the parent; runs in a process of its own."""
    logging.getLogger().setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    store = _Store(scratch / "store")
    teller = _Teller(messages, store)
    try:
        artifacts, _ = make_steps(plan, store, host, teller, done=done, rehearsal=rehearsal)
        if plan.recipe.targets:
            teller.step_started("bench", "bench")
            measured = measure_plan(plan, artifacts, scratch, host, teller.progress)
            failed = next((item for item in measured.measurements if item.status == "failed"), None)
            if failed is not None:
                raise CompressError(f"measuring fails: {failed.reason}", where=f"target '{failed.target}'")
            messages.send(("done", "bench", "bench", {}, time.monotonic()))
            messages.send(("measured", measured.measurements))
        messages.send(("ended",))
    except CompressError as error:
        trace = traceback.format_exc()
        messages.send(("failed", isinstance(error, InputError), error.what, error.where, error.fix, trace))
    except Exception as error:  # noqa: BLE001  its parent tells it
        told = explained(error)
        messages.send(("failed", False, told.what, told.where, told.fix, traceback.format_exc()))


def _gpu_peak() -> int | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    peak = int(torch.cuda.max_memory_reserved())
    torch.cuda.reset_peak_memory_stats()
    return peak


def main() -> None:
    """Rehearse what the parent asks for."""
    with Connection(int(sys.argv[1])) as messages:
        rehearse_here(messages, *messages.recv())


if __name__ == "__main__":
    main()
