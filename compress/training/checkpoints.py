"""Checkpoints of a training, from which a killed run goes on to the very weights that it would have had.

A checkpoint is a folder `checkpoint-STEP` of the Trainer: weights, optimizer, schedule, random states, and what was
logged. It counts once it is whole, which the file `whole` in it says; that file is written last.
"""

import json
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState

from compress.errors import Stopped
from compress.files import sync, write_text

_log = logging.getLogger(__name__)

WHOLE = "whole"
EVERY_SECONDS = 60.0
"""Work that a kill may cost, at most; saving takes less than a second for a small encoder."""
KEPT = 3
"""The best, the newest, and the one before, for a kill in the middle of saving."""


class KeepCheckpoints(TrainerCallback):
    """Saves each minute and when the person asks to stop, and says when a checkpoint is whole.

    What is logged is a mean since the last log; checkpoints are made only just after one, so that a run that goes on
    logs the same.

    Args:
        stopping: whether the person has asked to stop.
    """

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self.last = time.monotonic()
        self.stopping = stopping

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Ask for a checkpoint if the last is old, or is to be the last."""
        old = time.monotonic() - self.last > EVERY_SECONDS
        if state.global_step % args.logging_steps == 0 and (old or self.stopping()):
            control.should_save = True

    def on_epoch_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Log before the checkpoint of an epoch's end."""
        del args, state
        control.should_log = True

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Everything of the checkpoint is written: put it on the disk, say so, and stop where that was asked.

        Raises:
            Stopped: the person has asked to stop, and the training is not at its end.
        """
        del control
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        for path in folder.iterdir():
            sync(path)
        write_text(folder / WHOLE, "")
        sync(folder)
        self.last = time.monotonic()
        _log.info("checkpoint after step %d of %d", state.global_step, state.max_steps)
        if self.stopping() and state.global_step < state.max_steps:
            raise Stopped


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint below `folder`; those that are not whole are removed."""
    whole: list[Path] = []
    for path in folder.glob("checkpoint-*"):
        if (path / WHOLE).is_file():
            whole.append(path)
        else:
            shutil.rmtree(path)
    newest = max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
    if newest is not None:
        _point_home(newest)
    return newest


def _point_home(checkpoint: Path) -> None:
    """The state names the best checkpoint by its path, which is another one if the store was moved."""
    file = checkpoint / "trainer_state.json"
    state = json.loads(file.read_text(encoding="utf-8"))
    best = state.get("best_model_checkpoint")
    if best is not None:
        state["best_model_checkpoint"] = str(checkpoint.parent / Path(best).name)
        write_text(file, json.dumps(state, indent=2, sort_keys=True))
