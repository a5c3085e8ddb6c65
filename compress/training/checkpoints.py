"""Checkpoints of a training: a killed run continues from the last one, and ends with the same weights.

A checkpoint is a folder `checkpoint-STEP` of the Trainer: weights, optimizer, schedule, random states and the log. It
is used only if it is complete and undamaged: the file `whole` in it, which is written last, holds the hash of every
other file.
"""

import hashlib
import json
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState

from compress.errors import Stopped
from compress.files.strict_json import read_json
from compress.files.whole import file_sha256, remove_tree, sync, write_text
from compress.store.cost import Meter

_log = logging.getLogger(__name__)

WHOLE = "whole"
EVERY_SECONDS = 60.0
"""Time between two checkpoints, and so the most work that a kill may cost. Saving takes a small encoder < 1 s."""
STATE = "trainer_state.json"
BEST = "best_model_checkpoint"


class KeepCheckpoints(TrainerCallback):
    """Saves a checkpoint each minute and when the user asks to stop, and marks each one that is complete.

    The logged loss is a mean since the last log. Checkpoints are made only just after a log, so that a run that
    continues from one logs the same numbers.

    Args:
        stopping: tells whether the user has asked to stop.
        meter: measures what the step costs.
    """

    def __init__(self, stopping: Callable[[], bool], meter: Meter) -> None:
        self.last = time.monotonic()
        self.stopping, self.meter = stopping, meter

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Request a checkpoint if the last one is old, or if the training is to stop."""
        old = time.monotonic() - self.last > EVERY_SECONDS
        if state.global_step % args.logging_steps == 0 and (old or self.stopping()):
            control.should_save = True
        if control.should_save:  # or a validation is due, at whatever step
            control.should_log = True

    def on_epoch_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Log before the checkpoint of an epoch's end."""
        del args, state
        control.should_log = True

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Mark the checkpoint, whose files are all written, as complete; then stop if the user asked for it.

        Raises:
            Stopped: the user has asked to stop, and the training is not at its end.
        """
        del control
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        mark_whole(folder)
        self.meter.note()
        _remove_old(folder, state.best_model_checkpoint)
        self.last = time.monotonic()
        _log.info("checkpoint after step %d of %d", state.global_step, state.max_steps)
        if self.stopping() and state.global_step < state.max_steps:
            raise Stopped


def mark_whole(checkpoint: Path) -> None:
    """Flush a checkpoint to the disk, and mark it as complete."""
    paths = sorted(path for path in checkpoint.iterdir() if path.name != WHOLE)
    for path in paths:
        sync(path)
    write_text(checkpoint / WHOLE, json.dumps({path.name: _hash(path) for path in paths}, indent=1))
    sync(checkpoint)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint in `folder` whose best checkpoint is complete too; newer ones are removed."""
    for path in sorted(_checkpoints(folder), key=_step, reverse=True):
        damage = _damage(path)
        if damage is None and (best := _best(path)) is not None:
            damage = _damage(best)
        if damage is None:
            _update_best_path(path)
            return path
        _log.warning("%s is left: %s", path.name, damage)
        _remove(path)
    return None


def _remove_old(newest: Path, best: str | None) -> None:
    """Remove all checkpoints but the newest, the one before, and the best.

    This is done once the newest is complete. The Trainer would do it earlier, and a kill in between would leave a
    checkpoint without its best one.
    """
    older = sorted((path for path in _checkpoints(newest.parent) if path != newest), key=_step)
    for path in older[:-1]:
        if best is None or path.name != Path(best).name:
            _remove(path)


def _remove(checkpoint: Path) -> None:
    """Remove a checkpoint, its mark first: so it never looks complete while its files go."""
    (checkpoint / WHOLE).unlink(missing_ok=True)
    remove_tree(checkpoint)


def _checkpoints(folder: Path) -> list[Path]:
    """The folders of checkpoints, which the Trainer names by their step."""
    return [path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d{1,18}", path.name)]


def _step(checkpoint: Path) -> int:
    """The step after which a checkpoint was made."""
    return int(checkpoint.name.rpartition("-")[2])


def _damage(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint; None if it is complete."""
    try:
        hashes = read_json(checkpoint / WHOLE)
        changed = [name for name, recorded_hash in hashes.items() if _hash(checkpoint / name) != recorded_hash]
    except FileNotFoundError as error:
        return f"{checkpoint.name} has no {Path(error.filename).name}"
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return f"{checkpoint.name}/{WHOLE} cannot be read, or a file that it names"
    if STATE not in hashes or changed:
        return f"{checkpoint.name}/{(changed or [STATE])[0]} is not as it was written"
    return None


def _hash(path: Path) -> str:
    """The SHA-256 of a file; of the state, without the best checkpoint's folder, which `_update_best_path` changes."""
    if path.name != STATE:
        return file_sha256(path)
    state = json.loads(path.read_bytes())
    state[BEST] = Path(state[BEST]).name if state.get(BEST) else None
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def _best(checkpoint: Path) -> Path | None:
    """The best checkpoint so far that a complete one names, in the folder where both stand now."""
    best = json.loads((checkpoint / STATE).read_bytes()).get(BEST)
    return checkpoint.parent / Path(best).name if best else None


def _update_best_path(checkpoint: Path) -> None:
    """Correct the path of the best checkpoint in the state, which is wrong if the store was moved."""
    file = checkpoint / STATE
    state = json.loads(file.read_bytes())
    best = _best(checkpoint)
    if best is not None and state[BEST] != str(best):
        write_text(file, json.dumps(state | {BEST: str(best)}, indent=2, sort_keys=True))
