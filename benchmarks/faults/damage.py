"""Stored files with a flipped bit, or cut off."""

import random
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.faults.small_run import TRAINED, command, run
from benchmarks.faults.trials import Kept, Record, Workplace, run_trials
from benchmarks.faults.verdict import RIGHT, judge, told
from benchmarks.faults.watched import Watched

Harm = Callable[[bytes, random.Random], tuple[bytes, str]]
CHECKPOINTS = 3
"""Whole checkpoints of each training that is then killed, for their files to be damaged."""


def flip(content: bytes, draw: random.Random) -> tuple[bytes, str]:
    """The content with one bit flipped, and where."""
    if not content:
        return b"\0", "a byte where there was none"
    position, bit = draw.randrange(len(content)), draw.randrange(8)
    changed = bytearray(content)
    changed[position] ^= 1 << bit
    return bytes(changed), f"bit {bit} of byte {position}"


def cut(content: bytes, draw: random.Random) -> tuple[bytes, str]:
    """The content cut off at a random length, every third time at 0."""
    length = 0 if draw.random() < 1 / 3 else draw.randrange(max(1, len(content)))
    return content[:length], f"{length} of {len(content)} bytes left"


HARMS: dict[str, Harm] = {"flipped bit": flip, "truncated": cut}


def damage_trials(kind: str, count: int, place: Workplace, kept: Kept, seed: int = 3) -> list[Record]:
    """Damage one stored file after the other, each in a copy of its own; half of them files of checkpoints."""
    draw = random.Random(f"{seed} {kind}")
    finished = [(place.finished, path) for path in _files(place.finished, "store/*-*/*")]
    halfway = [kill_in_training(place, step) for step in TRAINED[: count // 2]]
    kept_by_training = [
        (runs, path) for runs in halfway for path in _files(runs, "store/scratch/*/work/*/checkpoint-*/*")
    ]
    trials = []
    stored, checkpoints = _each_name_first(finished, draw), _each_name_first(kept_by_training, draw)
    for number in range(count):
        of = (stored, checkpoints)[number % 2]
        runs, file = of[number // 2 % len(of)]
        trials.append(partial(_trial, kind, number, runs, file, f"{seed} {number}", place))
    return run_trials(kind, trials, kept)


def _files(runs: Path, pattern: str) -> list[Path]:
    return sorted(path.relative_to(runs) for path in runs.glob(pattern) if path.is_file())


def _each_name_first(files: list[tuple[Path, Path]], draw: random.Random) -> list[tuple[Path, Path]]:
    """In random order, but a file of each name before a second one of any."""
    draw.shuffle(files)
    seen: dict[str, int] = {}
    place = []
    for runs, file in files:
        seen[file.name] = seen.get(file.name, 0) + 1
        place.append((seen[file.name], runs, file))
    return [(runs, file) for _, runs, file in sorted(place, key=lambda item: item[0])]


def kill_in_training(place: Workplace, step: str) -> Path:
    """A runs folder of a run that was killed in a step's training, after some checkpoints; made once."""
    folder = place.folder / f"halfway-{step}"
    runs = folder / "runs"
    if runs.exists():
        return runs
    process = Watched(command(place.recipe, runs), folder, f"halfway-{step}")
    while process.at_work != step or len(list(runs.glob("store/scratch/*/work/*/checkpoint-*/whole"))) < CHECKPOINTS:
        if process.process.poll() is not None:
            raise RuntimeError(f"the run ended before '{step}' had {CHECKPOINTS} checkpoints")
        time.sleep(0.005)
    process.kill()
    process.end()
    return runs


def _trial(kind: str, number: int, template: Path, file: Path, seed: str, place: Workplace) -> Record:
    runs = place.folder / f"{kind.replace(' ', '-')}-{number}" / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    shutil.copytree(template, runs, symlinks=True)
    victim = runs / file
    original = victim.read_bytes()
    changed, how = HARMS[kind](original, random.Random(seed))
    victim.chmod(0o644)
    victim.write_bytes(changed)
    ended = run(command(place.recipe, runs))
    record: Record = {"file": str(file), "how": how}
    disturbed, after, again = judge(ended, runs, place), RIGHT, None
    if disturbed != RIGHT:
        if victim.parent.is_dir():  # the cause is gone, if the file is still where it was
            victim.write_bytes(original)
        again = run(command(place.recipe, runs))
        after = judge(again, runs, place)
    record = told(record, disturbed, after, ended, again)
    if not record["bad"]:
        shutil.rmtree(runs)
    record["outcome"] = f"{record['outcome']} ({file.name}: {how})"
    return record
