"""Checkpoints of a training, from which a killed run goes on to the very weights that it would have had.

A checkpoint is a folder `checkpoint-STEP` of the Trainer: weights, optimizer, schedule, random states, and what was
logged. It counts once it is whole, which the file `whole` in it says: that file is written last, and holds the hash of
every other one, so that a damaged checkpoint is not taken for a whole one.
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
"""Work that a kill may cost, at most; saving takes less than a second for a small encoder."""
STATE = "trainer_state.json"
BEST = "best_model_checkpoint"


class KeepCheckpoints(TrainerCallback):
    """Saves each minute and when the person asks to stop, and says when a checkpoint is whole.

    What is logged is a mean since the last log; checkpoints are made only just after one, so that a run that goes on
    logs the same.

    Args:
        stopping: whether the person has asked to stop.
        meter: counts what the step costs.
    """

    def __init__(self, stopping: Callable[[], bool], meter: Meter) -> None:
        self.last = time.monotonic()
        self.stopping, self.meter = stopping, meter

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
        mark_whole(folder)
        self.meter.note()
        _remove_old(folder, state.best_model_checkpoint)
        self.last = time.monotonic()
        _log.info("checkpoint after step %d of %d", state.global_step, state.max_steps)
        if self.stopping() and state.global_step < state.max_steps:
            raise Stopped


def mark_whole(checkpoint: Path) -> None:
    """Put a checkpoint on the disk, and say in it that all is there."""
    paths = sorted(path for path in checkpoint.iterdir() if path.name != WHOLE)
    for path in paths:
        sync(path)
    write_text(checkpoint / WHOLE, json.dumps({path.name: _hash(path) for path in paths}, indent=1))
    sync(checkpoint)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint below `folder` that is whole, and whose best one is; those that are newer are removed."""
    for path in sorted(_checkpoints(folder), key=_step, reverse=True):
        harm = _harm(path)
        if harm is None and (best := _best(path)) is not None:
            harm = _harm(best)
        if harm is None:
            _point_home(path)
            return path
        _log.warning("%s is left: %s", path.name, harm)
        _remove(path)
    return None


def _remove_old(newest: Path, best: str | None) -> None:
    """Remove all checkpoints but the newest, the one before, and the best; by now, the newest is whole.

    The Trainer would do so earlier, and a kill in between would leave a checkpoint without its best one.
    """
    before = sorted((path for path in _checkpoints(newest.parent) if path != newest), key=_step)
    for path in before[:-1]:
        if best is None or path.name != Path(best).name:
            _remove(path)


def _remove(checkpoint: Path) -> None:
    """Remove a checkpoint so that it is no whole one at any time on the way."""
    (checkpoint / WHOLE).unlink(missing_ok=True)
    remove_tree(checkpoint)


def _checkpoints(folder: Path) -> list[Path]:
    """Folders that a Trainer has named by their step."""
    return [path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d{1,18}", path.name)]


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _harm(checkpoint: Path) -> str | None:
    """Why a checkpoint is not whole, or None if it is."""
    try:
        hashes = read_json(checkpoint / WHOLE)
        changed = [name for name, told in hashes.items() if _hash(checkpoint / name) != told]
    except FileNotFoundError as error:
        return f"{checkpoint.name} has no {Path(error.filename).name}"
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return f"{checkpoint.name}/{WHOLE} cannot be read, or a file that it names"
    if STATE not in hashes or changed:
        return f"{checkpoint.name}/{(changed or [STATE])[0]} is not as it was written"
    return None


def _hash(path: Path) -> str:
    """SHA-256 of a file; in the state, the folder of the best checkpoint is left out: `_point_home` changes it."""
    if path.name != STATE:
        return file_sha256(path)
    state = json.loads(path.read_bytes())
    state[BEST] = Path(state[BEST]).name if state.get(BEST) else None
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def _best(checkpoint: Path) -> Path | None:
    """The best checkpoint so far, as a whole one says; in the folder where both stand now."""
    best = json.loads((checkpoint / STATE).read_bytes()).get(BEST)
    return checkpoint.parent / Path(best).name if best else None


def _point_home(checkpoint: Path) -> None:
    """The state names the best checkpoint by its path, which is another one if the store was moved."""
    file = checkpoint / STATE
    state = json.loads(file.read_bytes())
    best = _best(checkpoint)
    if best is not None and state[BEST] != str(best):
        write_text(file, json.dumps(state | {BEST: str(best)}, indent=2, sort_keys=True))
