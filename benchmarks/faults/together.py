"""Two runs of one recipe on one store at the same time."""

import random
import shutil
from functools import partial

from benchmarks.faults.small_run import command
from benchmarks.faults.trials import Kept, Record, Workplace, run_trials
from benchmarks.faults.verdict import RIGHT, finish, judge
from benchmarks.faults.watched import Watched


def together_trials(count: int, place: Workplace, kept: Kept, seed: int = 4) -> list[Record]:
    """Pairs of runs: half of them started at once, half a random moment apart; of every third pair, one is killed."""
    draw = random.Random(seed)
    trials = []
    for number in range(count):
        apart = 0.0 if number % 2 == 0 else draw.random() * place.seconds
        killed = draw.random() * place.seconds if number % 3 == 2 else None
        trials.append(partial(_trial, number, apart, killed, place))
    return run_trials("together", trials, kept)


def _trial(number: int, apart: float, killed: float | None, place: Workplace) -> Record:
    """Run two.

    Args:
        apart: seconds between their starts.
        killed: seconds after the second's start at which the first is killed.
    """
    folder = place.folder / f"together-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    runs = folder / "runs"
    first = Watched(command(place.recipe, runs), folder / "first", f"together-{number}-first")
    first.ends_within(apart)
    second = Watched(command(place.recipe, runs), folder / "second", f"together-{number}-second")
    was_killed = killed is not None and not first.ends_within(killed)
    if was_killed:
        first.kill()
    ended = [first.end(), second.end()]
    judged = [judge(one, runs, place) for one in (ended[1:] if was_killed else ended)]
    worse = max(range(len(judged)), key=lambda one: (judged[one].startswith("bad"), judged[one] != RIGHT))
    record: Record = {"apart_s": round(apart, 2), "killed_s": round(killed or 0.0, 2) if was_killed else None}
    record["each"] = judged
    record = finish(record, (ended[1:] if was_killed else ended)[worse], runs, place)
    if not record["bad"]:
        shutil.rmtree(folder)
    return record
