"""Disks that run full and stores that cannot be written, by small file systems in memory, or else by other means."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from benchmarks.faults.refused_writes import OPENED
from benchmarks.faults.small_run import NAME, Ended, command, run
from benchmarks.faults.trials import Kept, Record, Workplace, run_trials
from benchmarks.faults.verdict import RIGHT, finish, judge
from benchmarks.faults.watched import PHASES, Watched
from compress.files.whole import MANIFEST

PHASE_NAMES = tuple(PHASES)
LARGE = "64m"


@cache
def can_mount() -> bool:
    """Whether this process may mount a file system."""
    with TemporaryDirectory() as folder:
        mounted = mount(Path(folder), "1m") == 0
        if mounted:
            unmount(Path(folder))
    return mounted


def mount(folder: Path, size: str) -> int:
    """Put a file system in memory there; 0 if it is."""
    return _quietly("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))


def _remount(folder: Path, options: str) -> None:
    if _quietly("mount", "-o", f"remount,{options}", str(folder)) != 0:
        raise RuntimeError(f"cannot remount {folder} with {options}")


def unmount(folder: Path) -> None:
    """Take it away."""
    _quietly("umount", "-l", str(folder))


def _quietly(*command: str) -> int:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode
    except FileNotFoundError:
        return 127


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of its own at `folder`, for as long as the context lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    if mount(folder, size) != 0:
        raise RuntimeError(f"cannot mount a file system at {folder}")
    try:
        yield
    finally:
        unmount(folder)


def full_disk_trials(count: int, place: Workplace, kept: Kept, seed: int = 1) -> list[Record]:
    """Runs whose disk is too small, and runs whose disk is filled by somebody else while they are at work.

    Of those on small disks, every second one has its temporary files there too, and every fifth looks before it begins
    whether all fits; the others are told not to.
    """
    draw = random.Random(seed)
    openings = 0 if can_mount() else _openings(place)
    trials = []
    for number in range(count):
        share = (number + draw.random()) / count
        if can_mount() and number % 2 == 1:
            phase = PHASE_NAMES[number // 2 % len(PHASE_NAMES)]
            trials.append(partial(_filled, number, phase, draw.random(), draw.choice((0, 16, 128, 512)), place))
        elif can_mount():
            trials.append(
                partial(_full, number, share, place, number % 4 == 2, [] if number % 10 == 8 else ["--force"])
            )
        else:
            trials.append(partial(_refused, number, 1 + int(share * openings), place))
    return run_trials("full disk", trials, kept)


def _full(number: int, share: float, place: Workplace, temporary: bool, options: list[str]) -> Record:
    size = 8 + int(share * place.bytes_at_peak / 1024)
    folder = place.folder / f"full-{number}"
    runs = folder / "runs"
    with small_disk(folder, f"{size}k"):
        while True:
            ended = run([*command(place.recipe, runs), *options], TMPDIR=str(folder) if temporary else gettempdir())
            if ended.code != 0 or size < 16:
                break
            size = size * 4 // 5  # all fitted
            shutil.rmtree(runs)
            _remount(folder, f"size={size}k")
        disturbed = judge(ended, runs, place)
        _remount(folder, f"size={LARGE}")
        record = {"size_kb": size, "temporary_files_too": temporary, "options": options, "how": "small file system"}
        return finish(record, ended, runs, place, names="" if disturbed == RIGHT else "disk")


def _filled(number: int, phase: str, share: float, free_kb: int, place: Workplace) -> Record:
    """Somebody else takes all of the disk but `free_kb`, at some moment of one of the run's phases."""
    folder = place.folder / f"full-{number}"
    runs, filler = folder / "runs", folder / "somebody-else"
    seconds = share * place.spans[phase]
    with small_disk(folder, LARGE):
        while True:
            shutil.rmtree(runs, ignore_errors=True)
            process = Watched(command(place.recipe, runs), place.folder / f"watch-{number}", f"full-{number}")
            if process.reaches(phase) and not process.ends_within(seconds):
                break
            process.end()
            seconds *= 0.8
        at = process.at_work
        with suppress(OSError), filler.open("wb") as file:
            while True:  # until the disk is full
                file.write(bytes(4096))
                file.flush()
        os.truncate(filler, max(0, filler.stat().st_size - 1024 * free_kb))
        ended = process.end()
        disturbed = judge(ended, runs, place)
        filler.unlink()
        record = {"free_kb": free_kb, "at_work": at, "how": "filled by somebody else"}
        return finish(record, ended, runs, place, names="" if disturbed == RIGHT else "disk")


def _injected(runs: Path, error: str, opening: int, place: Workplace, folder: Path | None = None) -> list[str]:
    arguments = command(place.recipe, runs)[3:]
    module = [sys.executable, "-m", "benchmarks.faults.refused_writes"]
    return [*module, error, str(opening), str(folder or runs), *arguments]


def _openings(place: Workplace) -> int:
    """How many files an undisturbed run opens for writing below its runs folder."""
    ended = run(_injected(place.folder / "openings" / "runs", "ENOSPC", 10**9, place))
    return int(ended.stdout.rpartition(OPENED)[2])


def _refused(number: int, opening: int, place: Workplace) -> Record:
    """Without the right to mount: the n-th opening of a file below the runs folder, and all later ones, are refused."""
    runs = place.folder / f"full-{number}" / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    ended = run(_injected(runs, "ENOSPC", opening, place))
    names = "" if ended.code == 0 else "disk"
    return finish({"opening": opening, "how": "refused opening"}, ended, runs, place, names=names)


def read_only_trials(count: int, place: Workplace, kept: Kept, seed: int = 2) -> list[Record]:
    """Runs on a store, or a whole runs folder, that cannot be written, with none, some or all of the steps done."""
    draw = random.Random(seed)
    made = sorted(
        (path.parent for path in place.finished.glob(f"store/*-*/{MANIFEST}")),
        key=lambda path: (path / MANIFEST).stat().st_mtime_ns,
    )
    trials = []
    for number in range(count):
        done = len(made) if number % 4 < 2 else draw.randrange(len(made))
        trials.append(partial(_read_only, number, [path.name for path in made[:done]], number % 2 == 0, place))
    return run_trials("read-only", trials, kept)


def _read_only(number: int, done: list[str], whole: bool, place: Workplace) -> Record:
    """Run where `done` stands in the store.

    Args:
        whole: the whole runs folder is read-only, and not the store alone.
    """
    runs = place.folder / f"read-only-{number}" / "runs"
    closed = runs if whole else runs / "store"
    record = {"done": done, "closed": "runs" if whole else "store"}

    def fill() -> None:
        all_done = len(done) == len(list(place.finished.glob(f"store/*-*/{MANIFEST}")))
        (runs / "store").mkdir(parents=True, exist_ok=True)
        if all_done:
            shutil.copytree(place.finished / NAME, runs / NAME, symlinks=True, dirs_exist_ok=True)
        for name in done:
            shutil.copytree(place.finished / "store" / name, runs / "store" / name)

    if can_mount():
        with small_disk(closed, LARGE):
            fill()
            _remount(closed, "ro")
            ended = run(command(place.recipe, runs))
            disturbed = judge(ended, runs, place)
            _remount(closed, "rw")
            return finish(record, ended, runs, place, names="" if disturbed == RIGHT else str(closed))
    fill()
    if os.geteuid() == 0:  # rights mean nothing to it
        ended = run(_injected(runs, "EROFS", 0, place, closed))
    else:
        ended = _without_rights(closed, command(place.recipe, runs))
    return finish(record, ended, runs, place, names="" if ended.code == 0 else str(closed))


def _without_rights(closed: Path, arguments: list[str]) -> Ended:
    """Run while nobody may write below `closed`."""
    folders = [closed, *(path for path in closed.rglob("*") if path.is_dir() and not path.is_symlink())]
    modes = {path: path.stat().st_mode for path in folders}
    for path in folders:
        path.chmod(0o555)
    try:
        return run(arguments)
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
