"""The process that rehearses a plan and sends its parent the costs of each step.

`python -P -m compress.running.rehearsal_process N`, where N is the number of an open connection. Its first
message is the job.
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
from compress.planning.plan import Plan
from compress.running.make import make_steps
from compress.running.measure import measure_plan
from compress.store.artifacts import Artifact, Identity
from compress.store.store import Store
from compress.training.config import KEPT
from compress.unexpected import error_to_show

OUTPUT = "output.txt"
"""The file in its scratch folder with the output of the process and its libraries."""


class _Store(Store):
    """A store that knows the size of the checkpoints behind its last artifact, one of each training."""

    checkpoint_bytes = 0

    def _commit(self, identity: Identity, output_format: str, out: Path, *more: Any) -> Artifact:
        checkpoints = (out.parent / "work").glob("*/checkpoint-*")
        self.checkpoint_bytes = sum(folder_bytes(checkpoint) for checkpoint in checkpoints)
        return super()._commit(identity, output_format, out, *more)


class _ParentObserver:
    """An observer that sends each event to the parent process."""

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
        artifact_bytes = sum(folder_bytes(path) for path in new if path.name.startswith(f"{stage}-"))
        facts = {
            "artifact_bytes": artifact_bytes,
            "byproduct_bytes": sum(folder_bytes(path) for path in new) - artifact_bytes,
            "scratch_bytes": (KEPT + 1) * self.store.checkpoint_bytes,
            "gpu_memory_bytes": _gpu_peak(),
        }
        self.messages.send(("done", name, stage, facts, at))

    def warned(self, message: str) -> None:
        pass  # warnings are of a store that is thrown away

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
    """Rehearse a plan in this process, and send messages to the parent."""
    logging.getLogger().setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    store = _Store(scratch / "store")
    observer = _ParentObserver(messages, store)
    try:
        artifacts, _ = make_steps(plan, store, host, observer, done=done, rehearsal=rehearsal)
        if plan.recipe.targets:
            observer.step_started("bench", "bench")
            measured = measure_plan(plan, artifacts, scratch, host, observer.progress)
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
        shown_error = error_to_show(error)
        messages.send(("failed", False, shown_error.what, shown_error.where, shown_error.fix, traceback.format_exc()))


def _gpu_peak() -> int | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    peak = int(torch.cuda.max_memory_reserved())
    torch.cuda.reset_peak_memory_stats()
    return peak


def main() -> None:
    """Receive a job from the parent, and rehearse its plan."""
    with Connection(int(sys.argv[1])) as messages:
        rehearse_here(messages, *messages.recv())


if __name__ == "__main__":
    main()
