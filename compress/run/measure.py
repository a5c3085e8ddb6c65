"""What a plan's report needs is measured, as far as the run's folder does not keep it.

A figure of one pair of artifact and target (its quality, size, memory) is taken as it was measured before. A comparison
of two latencies needs both in one session of measuring, where their rounds were interleaved: a new artifact is measured
beside those that it is compared with, once more, and nothing else is.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from compress import runtimes
from compress.bench.measure import Bench, measure
from compress.context import Progress
from compress.files.whole import fingerprint
from compress.machine.facts import same_machine
from compress.measurement import Conditions, Measured
from compress.plan.plan import Plan, artifact_of
from compress.recipe.schema import Target
from compress.run.sessions import Session, read_sessions, write_sessions
from compress.store.artifacts import Artifact

_log = logging.getLogger(__name__)

BENCH_VERSION = 3
"""Raised when measuring changes, so that old measurements are not taken for new ones."""


PairName = tuple[str, str]
"""How measurements call a pair: its artifact's key, and its target."""


@dataclass(frozen=True)
class Pair:
    """An artifact on a target."""

    artifact: Artifact
    target: str

    @property
    def name(self) -> PairName:
        """How its measurements call it."""
        return self.artifact.key, self.target


Compared = tuple[Pair, Pair]
"""Two pairs whose latencies are to be held against each other."""


def measure_plan(
    plan: Plan,
    artifacts: Mapping[str, Artifact],
    folder: Path,
    host: Mapping[str, Any],
    progress: Progress,
    beside: Sequence[Compared] = (),
) -> Measured:
    """Measure all that the plan's report needs; what `folder` keeps is used as far as it goes.

    An artifact that was made again counts as the same only if its files are: a step that times things may differ.

    Args:
        artifacts: by the name of the planned step.
        folder: of the run; keeps the sessions of measuring.
        beside: what else is to be compared, with artifacts of other plans.
    """
    recipe = plan.recipe
    bench = Bench(plan.task, recipe.bench, recipe.seed, recipe.trust_remote_code, progress)
    pairs, compared = rows_of(plan, artifacts)
    compared = [*compared, *beside]
    wanted = {pair.name: pair for pair in (*pairs, *(pair for both in compared for pair in both))}
    keys = {name: pair_key(pair, recipe.targets[pair.target], bench) for name, pair in wanted.items()}
    sessions = read_sessions(folder)
    usable = [session for session in sessions if same_machine(session.host, host)]
    missing = to_measure(wanted, compared, keys, usable)
    if not missing:
        return gathered(keys, compared, usable)
    _log.info("%d pairs of artifact and target are measured, %d are kept", len(missing), len(wanted) - len(missing))
    number = 1 + max((session.number for session in sessions), default=0)
    new = _new_session(number, missing, keys, usable, recipe.targets, bench, host)
    whole = {key: found for key, found in new.measurements.items() if found.status != "failed"}
    if whole:
        write_sessions([*sessions, replace(new, measurements=whole)], folder)
    return replace(gathered(keys, compared, [*usable, new]), is_new=True)


def _new_session(
    number: int,
    pairs: Sequence[Pair],
    keys: Mapping[PairName, str],
    sessions: Sequence[Session],
    targets: Mapping[str, Target],
    bench: Bench,
    host: Mapping[str, Any],
) -> Session:
    """Pairs measured in turns; what an earlier session has of one is taken, but for its latencies."""
    only = {pair.name for pair in pairs}
    artifacts = {pair.artifact.key: pair.artifact for pair in pairs}
    known = {
        name: earlier
        for session in sessions
        for name in only
        if (earlier := session.measurements.get(keys[name])) is not None and earlier.status == "measured"
    }
    targets = {name: target for name, target in targets.items() if name in {pair.target for pair in pairs}}
    taken, conditions = measure(list(artifacts.values()), targets, bench, only=only, earlier=known)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    measured = {keys[found.artifact, found.target]: found.model_copy(update={"session": number}) for found in taken}
    return Session(number, created, host, measured, conditions)


def rows_of(plan: Plan, artifacts: Mapping[str, Artifact]) -> tuple[list[Pair], list[Compared]]:
    """The pairs that a plan's report has rows of, and which of them it compares."""
    rows = {
        (subject.step, subject.target): Pair(artifact_of(subject.measured, artifacts), subject.target)
        for subject in plan.subjects
    }
    baselines = {name: Pair(artifact_of(value, artifacts), name) for name, value in plan.baselines.items()}
    compared: list[Compared] = []
    for (step, target), pair in rows.items():
        compared += [(baselines[other], pair) for other in _stand_ins(target, plan.recipe.targets)]
        parent = rows.get((plan.parent(step) or "", target))
        if parent is not None:
            compared.append((parent, pair))
    return [*baselines.values(), *rows.values()], compared


def _stand_ins(target: str, targets: Mapping[str, Target]) -> list[str]:
    """The targets whose baseline a row may be held against: its own first, and those that differ by runtime alone."""

    def work(name: str) -> dict[str, Any]:
        return targets[name].model_dump(exclude={"runtime"})

    return [target, *(name for name in targets if name != target and work(name) == work(target))]


def pair_key(pair: Pair, target: Target, bench: Bench) -> str:
    """Names all that a measurement of a pair depends on, but for the machine."""
    artifact, plugin = pair.artifact, runtimes.REGISTRY.plugin(target.runtime)
    return fingerprint(
        {
            "version": BENCH_VERSION,
            "artifact": [artifact.key, artifact.manifest.files if artifact.manifest else {}],
            "target": [pair.target, target.model_dump()],
            "bench": bench.spec.model_dump(),
            "test": bench.task.test_key,
            **({"runtime": str(plugin)} if plugin else {}),  # its version is none of the machine's
        }
    )


def to_measure(
    wanted: Mapping[PairName, Pair],
    compared: Sequence[Compared],
    keys: Mapping[PairName, str],
    sessions: Sequence[Session],
) -> list[Pair]:
    """The pairs that no session has, and both of those that are to be compared and have no session in common."""
    known = {key: found for session in sessions for key, found in session.measurements.items()}
    missing = {name for name in wanted if keys[name] not in known}
    for both in compared:
        pair_keys = {keys[pair.name] for pair in both}
        never_timed = any(key in known and known[key].status == "skipped" for key in pair_keys)
        if not never_timed and not any(pair_keys <= session.measurements.keys() for session in sessions):
            missing |= {pair.name for pair in both}
    return [pair for name, pair in wanted.items() if name in missing]


def gathered(keys: Mapping[PairName, str], compared: Sequence[Compared], sessions: Sequence[Session]) -> Measured:
    """What sessions have of the wanted pairs, and of them again what their comparisons need beside that.

    Args:
        keys: of the wanted pairs; each is in one of the sessions.
    """
    by_number = {session.number: session for session in sessions}
    having = {
        name: {number for number, session in by_number.items() if key in session.measurements}
        for name, key in keys.items()
    }
    shown, needed = _chosen(having, compared)
    used = [by_number[number] for number in sorted(needed, reverse=True)]
    return Measured(
        measurements=[by_number[shown[name]].measurements[key] for name, key in keys.items()],
        conditions=_worst([session.conditions for session in used]),
        created=used[0].created,
        host=used[0].host,
        key=fingerprint([sorted(keys.values()), [[session.number, session.created] for session in used]]),
        is_new=False,
        in_other_sessions=[
            by_number[number].measurements[keys[name]]
            for name, numbers in having.items()
            for number in sorted((numbers & needed) - {shown[name]})
        ],
    )


def _chosen(having: Mapping[PairName, set[int]], compared: Sequence[Compared]) -> tuple[dict[PairName, int], set[int]]:
    """The session that each pair is shown by, and all sessions that pairs or comparisons need.

    A pair is shown by the session of its first comparison: for a row of the report, that with its baseline.

    Args:
        having: the numbers of the sessions that have a pair.
    """
    shown: dict[PairName, int] = {}
    last_resort: dict[PairName, int] = {name: max(numbers) for name, numbers in having.items()}
    needed: set[int] = set()
    for one, other in compared:
        common = having[one.name] & having[other.name]
        if common:
            needed.add(max(common))
            shown.setdefault(other.name, max(common))
    chosen = {**last_resort, **shown}
    return chosen, needed | set(chosen.values())


def _worst(found: Sequence[Mapping[str, Conditions]]) -> dict[str, Conditions]:
    """By target, the worst of what went on in several sessions, the newest first; each peak as it was told last."""
    worst: dict[str, Conditions] = {}
    for conditions in found:
        for target, one in conditions.items():
            other = worst.get(target)
            worst[target] = one if other is None else _worse(other, one)
    return worst


def _worse(newer: Conditions, older: Conditions) -> Conditions:
    def most(one: float | None, other: float | None) -> float | None:
        return max((value for value in (one, other) if value is not None), default=None)

    return Conditions(
        harness_cpu_pct=most(newer.harness_cpu_pct, older.harness_cpu_pct),
        competing_cores=most(newer.competing_cores, older.competing_cores),
        steal_pct=most(newer.steal_pct, older.steal_pct),
        clock_mhz=newer.clock_mhz or older.clock_mhz,
        peak_gflops={**older.peak_gflops, **newer.peak_gflops},
    )
