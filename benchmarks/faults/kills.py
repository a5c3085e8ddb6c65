"""SIGKILL at random moments of the small run, and the same command again."""

import json
import random
import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.faults.small_run import NAME, TRAINED, Ended, command, run, step_hashes
from benchmarks.faults.trials import Kept, Record, Workplace, run_trials
from benchmarks.faults.watched import PHASES, Watched, first_progress
from compress.files.whole import MANIFEST, file_sha256

KILLS = 60
ORPHANS_SECONDS = 20.0
"""How long children may live on: until the one thing that they are at is done."""
TRAINING = ("fine-tuning", "distilling", "recovering")
"""What a training step's progress is called."""


def kill_trials(count: int, place: Workplace, kept: Kept, seed: int = 0) -> list[Record]:
    """Kill so many runs: a third anywhere, a third while training, a third in phases that are short."""
    draw = random.Random(seed)
    trials = []
    for number in range(count):
        phase: str | None = None
        seconds = (number + 3 * draw.random()) / (count + 3) * place.seconds  # spread over the whole
        if number % 3:
            phases = TRAINING if number % 3 == 1 else [name for name in PHASES if name not in TRAINING]
            phase = phases[number // 3 % len(phases)]
            seconds = draw.random() * place.spans[phase]
        trials.append(partial(_trial, number, phase, seconds, place))
    return run_trials("kill", trials, kept)


def _trial(number: int, phase: str | None, seconds: float, place: Workplace) -> Record:
    """Kill a run so many seconds after it has begun, or has begun a phase."""
    folder = place.folder / f"kill-{number}"
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        process = Watched(command(place.recipe, folder / "runs"), folder, f"kill-{number}")
        if (phase is None or process.reaches(phase)) and not process.ends_within(seconds):
            break
        process.end()
        seconds *= 0.8  # it was faster than the undisturbed one, and is done
    at, lines = process.at_work, [line for _, line in process.lines]
    killed_at = time.monotonic() - process.start
    process.kill()
    orphans = process.orphans_after(ORPHANS_SECONDS)
    process.end()
    store = folder / "runs" / "store"
    before = committed(store)
    events = read_events(folder / "runs")
    half = [*half_written(folder / "runs"), *damaged(store)]
    checkpoint = last_whole_checkpoint(store)
    resumed = run(command(place.recipe, folder / "runs"))
    hashes = step_hashes(folder / "runs")
    lost = [f"a process lived on: {orphan}" for orphan in orphans]
    lost += [f"half written: {path}" for path in half]
    lost += made_again(before, committed(store))
    lost += not_gone_on(resumed, at, checkpoint, read_events(folder / "runs")[len(events) :])
    lost += not_whole(folder / "runs", resumed)
    differing = [step for step, files in place.expected.items() if hashes.get(step) != files]
    outcome = f"lost: {lost[0]}" if lost else f"differing: {', '.join(differing)}" if differing else "went on"
    record: dict[str, Any] = {
        "outcome": f"{outcome} (killed at {killed_at:.1f} s, {at})",
        "moment_s": round(killed_at, 3),
        "at_work": at,
        "in_training": at in TRAINED and first_progress(lines, at, TRAINING) is not None,
        "committed": sorted(before),
        "checkpoint": checkpoint,
        "resumed_s": round(resumed.seconds, 2),
        "resumed_code": resumed.code,
        "hashes_equal": not differing,
        "differing": differing,
        "lost": lost,
        "litter": litter(folder / "runs"),
    }
    if lost or differing:
        record |= {"stdout": resumed.stdout, "stderr": resumed.stderr}
    else:
        shutil.rmtree(folder)
    return record


def committed(store: Path) -> dict[str, str]:
    """The store's artifacts by folder, each with what tells whether it was made again: its manifest as a file."""
    found = {}
    for manifest in sorted(store.glob(f"*-*/{MANIFEST}")):
        state = manifest.stat()
        found[manifest.parent.name] = f"{state.st_ino} {state.st_mtime_ns} {file_sha256(manifest)}"
    return found


def made_again(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Steps that were committed before a kill and are not there any more, or are others."""
    return [f"made again: {name}" for name, state in before.items() if after.get(name) != state]


def damaged(store: Path) -> list[str]:
    """Committed folders whose files are not those of their manifest; a folder in the store's root is committed."""
    wrong = []
    for folder in store.glob("*-*"):
        try:
            files = json.loads((folder / MANIFEST).read_text())["files"]
            whole = all(file_sha256(folder / name) == told for name, told in files.items())
        except (OSError, ValueError, KeyError):
            whole = False
        if not whole:
            wrong.append(str(folder.name))
    return wrong


def half_written(runs: Path) -> list[str]:
    """Files of the run's folder under their own names that cannot be read whole."""
    wrong = []
    for path in (runs / NAME).glob("[!.]*.json"):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            wrong.append(path.name)
    page = runs / NAME / "report.html"
    if page.exists() and not page.read_text(encoding="utf-8").rstrip().endswith("</html>"):
        wrong.append(page.name)
    return wrong


def last_whole_checkpoint(store: Path) -> int | None:
    """Number of the newest checkpoint, of the training that was at work, that says that it is whole."""
    numbers = [int(path.parent.name.rpartition("-")[2]) for path in store.glob("scratch/*/work/*/checkpoint-*/whole")]
    return max(numbers, default=None)


def read_events(runs: Path) -> list[dict[str, Any]]:
    """What the run has written down of itself; a line that a kill cut off is left out."""
    path = runs / NAME / "events.jsonl"
    told = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            told.append(json.loads(line))
        except ValueError:
            told.append({"cut off": line})
    return told


def not_gone_on(resumed: Ended, at: str, checkpoint: int | None, events: list[dict[str, Any]]) -> list[str]:
    """Why the resumed run did not go on from the checkpoint that was there, by its events or else by its progress."""
    if checkpoint is None or at not in TRAINED:
        return []
    if any(event.get("message", "").endswith(f" goes on from checkpoint-{checkpoint}") for event in events):
        return []
    begun = first_progress(resumed.stderr.splitlines(), at, TRAINING)
    if not events and begun is not None and (begun[0] > checkpoint or begun[0] == begun[1]):
        return []
    return [f"{at}: did not go on from the checkpoint at step {checkpoint} (first progress: {begun})"]


def not_whole(runs: Path, ended: Ended) -> list[str]:
    """What a run that should have ended well lacks."""
    if ended.code != 0:
        return [f"the resumed run ended with exit code {ended.code}"]
    try:
        report = json.loads((runs / NAME / "report.json").read_text(encoding="utf-8"))
        statuses = [row["status"] for row in report["rows"]]
    except (OSError, ValueError, KeyError) as error:
        return [f"the report cannot be read: {error}"]
    wrong = [] if statuses == ["measured"] * 5 else [f"the report's rows are {statuses}"]
    scratch = [path.name for path in (runs / "store").glob("scratch/*")]
    return wrong + [f"scratch left: {name}" for name in scratch] + damaged(runs / "store")


def litter(runs: Path) -> list[str]:
    """Files that a kill left behind and nobody takes for anything: temporary neighbours, and what was set aside."""
    found = [path for path in runs.rglob(".*") if path.is_file()] + list((runs / "store").glob("damaged/*"))
    return sorted(str(path.relative_to(runs)) for path in found)
