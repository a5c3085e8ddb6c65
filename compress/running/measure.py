"""The measuring for a plan's report; measurements that the run's folder keeps are used again.

A figure of one pair of artifact and target (its quality, size, memory) is used as it was measured before. A comparison
of two latencies needs both in one session of measuring, where their rounds were interleaved: a new artifact is measured
together with those that it is compared with, and nothing else is measured again.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from compress import runtimes
from compress.benching.measure import Bench, measure
from compress.context import Progress
from compress.files.whole import fingerprint
from compress.machine.facts import same_machine
from compress.measurement import Conditions, Measured
from compress.planning.plan import Plan, artifact_of
from compress.recipe.schema import Target
from compress.running.sessions import Session, read_sessions, write_sessions
from compress.store.artifacts import Artifact

_log = logging.getLogger(__name__)

BENCH_VERSION = 3
"""The version of measuring, raised when it changes, so that old measurements are not used again."""


PairName = tuple[str, str]
"""The name of a pair in measurements: its artifact's key, and its target."""


@dataclass(frozen=True)
class Pair:
    """An artifact on a target."""

    artifact: Artifact
    target: str

    @property
    def name(self) -> PairName:
        """The pair's name in measurements."""
        return self.artifact.key, self.target


Compared = tuple[Pair, Pair]
"""Two pairs whose latencies are compared."""


def measure_plan(
    plan: Plan,
    artifacts: Mapping[str, Artifact],
    folder: Path,
    host: Mapping[str, Any],
    progress: Progress,
    beside: Sequence[Compared] = (),
) -> Measured:
    """Measure all that the plan's report needs, except for measurements that `folder` keeps.

    An artifact that was made again counts as the same only if its files are the same: a step that times models may make
    another one.

    Args:
        artifacts: the artifacts by the name of the planned step.
        folder: the run's folder, which keeps the sessions of measuring.
        beside: further comparisons, with artifacts of other plans.
    """
    recipe = plan.recipe
    bench = Bench(plan.task, recipe.bench, recipe.seed, recipe.trust_remote_code, progress)
    pairs, compared = rows_of(plan, artifacts)
    compared = [*compared, *beside]
    needed = {pair.name: pair for pair in (*pairs, *(pair for both in compared for pair in both))}
    keys = {name: pair_key(pair, recipe.targets[pair.target], bench) for name, pair in needed.items()}
    sessions = read_sessions(folder)
    usable = [session for session in sessions if same_machine(session.host, host)]
    missing = to_measure(needed, compared, keys, usable)
    if not missing:
        return gather(keys, compared, usable)
    _log.info("%d pairs of artifact and target are measured, %d are kept", len(missing), len(needed) - len(missing))
    number = 1 + max((session.number for session in sessions), default=0)
    new = _new_session(number, missing, keys, usable, recipe.targets, bench, host)
    measured = {key: measurement for key, measurement in new.measurements.items() if measurement.status != "failed"}
    if measured:
        write_sessions([*sessions, replace(new, measurements=measured)], folder)
    return replace(gather(keys, compared, [*usable, new]), is_new=True)


def _new_session(
    number: int,
    pairs: Sequence[Pair],
    keys: Mapping[PairName, str],
    sessions: Sequence[Session],
    targets: Mapping[str, Target],
    bench: Bench,
    host: Mapping[str, Any],
) -> Session:
    """A new session, in which pairs are measured in turns; earlier sessions give all but the latencies, if they can."""
    only = {pair.name for pair in pairs}
    artifacts = {pair.artifact.key: pair.artifact for pair in pairs}
    earlier_measurements = {
        name: earlier
        for session in sessions
        for name in only
        if (earlier := session.measurements.get(keys[name])) is not None and earlier.status == "measured"
    }
    targets = {name: target for name, target in targets.items() if name in {pair.target for pair in pairs}}
    measurements, conditions = measure(
        list(artifacts.values()), targets, bench, only=only, earlier=earlier_measurements
    )
    created = datetime.now(UTC).isoformat(timespec="seconds")
    measured = {
        keys[measurement.artifact, measurement.target]: measurement.model_copy(update={"session": number})
        for measurement in measurements
    }
    return Session(number, created, host, measured, conditions)


def rows_of(plan: Plan, artifacts: Mapping[str, Artifact]) -> tuple[list[Pair], list[Compared]]:
    """The pairs of a plan's report, and the comparisons among them."""
    rows = {
        (subject.step, subject.target): Pair(artifact_of(subject.measured, artifacts), subject.target)
        for subject in plan.subjects
    }
    baselines = {name: Pair(artifact_of(value, artifacts), name) for name, value in plan.baselines.items()}
    compared: list[Compared] = []
    for (step, target), pair in rows.items():
        compared += [(baselines[other], pair) for other in _comparable_targets(target, plan.recipe.targets)]
        parent = rows.get((plan.parent(step) or "", target))
        if parent is not None:
            compared.append((parent, pair))
    return [*baselines.values(), *rows.values()], compared


def _comparable_targets(target: str, targets: Mapping[str, Target]) -> list[str]:
    """The targets whose baseline a row may be compared with: its own, then those with only another runtime."""

    def work(name: str) -> dict[str, Any]:
        return targets[name].model_dump(exclude={"runtime"})

    return [target, *(name for name in targets if name != target and work(name) == work(target))]


def pair_key(pair: Pair, target: Target, bench: Bench) -> str:
    """A key of all that a measurement of a pair depends on, except the machine."""
    artifact, plugin = pair.artifact, runtimes.REGISTRY.plugin(target.runtime)
    return fingerprint(
        {
            "version": BENCH_VERSION,
            "artifact": [artifact.key, artifact.manifest.files if artifact.manifest else {}],
            "target": [pair.target, target.model_dump()],
            "bench": bench.spec.model_dump(),
            "test": bench.task.test_key,
            **({"runtime": str(plugin)} if plugin else {}),  # the machine's facts do not have its version
        }
    )


def to_measure(
    needed: Mapping[PairName, Pair],
    compared: Sequence[Compared],
    keys: Mapping[PairName, str],
    sessions: Sequence[Session],
) -> list[Pair]:
    """The pairs to measure: those that no session has, and compared pairs that no session has together."""
    measurements = {key: measurement for session in sessions for key, measurement in session.measurements.items()}
    missing = {name for name in needed if keys[name] not in measurements}
    for both in compared:
        pair_keys = {keys[pair.name] for pair in both}
        never_timed = any(key in measurements and measurements[key].status == "skipped" for key in pair_keys)
        if not never_timed and not any(pair_keys <= session.measurements.keys() for session in sessions):
            missing |= {pair.name for pair in both}
    return [pair for name, pair in needed.items() if name in missing]


def gather(keys: Mapping[PairName, str], compared: Sequence[Compared], sessions: Sequence[Session]) -> Measured:
    """The measurements of the needed pairs out of sessions, with those of other sessions that comparisons need.

    Args:
        keys: the keys of the needed pairs; each is in one of the sessions.
    """
    by_number = {session.number: session for session in sessions}
    session_numbers = {
        name: {number for number, session in by_number.items() if key in session.measurements}
        for name, key in keys.items()
    }
    row_sessions, needed = _choose_sessions(session_numbers, compared)
    used = [by_number[number] for number in sorted(needed, reverse=True)]
    return Measured(
        measurements=[by_number[row_sessions[name]].measurements[key] for name, key in keys.items()],
        conditions=_worst_conditions([session.conditions for session in used]),
        created=used[0].created,
        host=used[0].host,
        key=fingerprint([sorted(keys.values()), [[session.number, session.created] for session in used]]),
        is_new=False,
        in_other_sessions=[
            by_number[number].measurements[keys[name]]
            for name, numbers in session_numbers.items()
            for number in sorted((numbers & needed) - {row_sessions[name]})
        ],
    )


def _choose_sessions(
    session_numbers: Mapping[PairName, set[int]], compared: Sequence[Compared]
) -> tuple[dict[PairName, int], set[int]]:
    """The session whose measurement each pair's row shows, and all sessions that rows or comparisons need.

    A row shows the session of its pair's first comparison, which is the one with its baseline.

    Args:
        session_numbers: the numbers of the sessions that have a pair.
    """
    row_sessions: dict[PairName, int] = {}
    last_resort: dict[PairName, int] = {name: max(numbers) for name, numbers in session_numbers.items()}
    needed: set[int] = set()
    for one, other in compared:
        common = session_numbers[one.name] & session_numbers[other.name]
        if common:
            needed.add(max(common))
            row_sessions.setdefault(other.name, max(common))
    sessions = {**last_resort, **row_sessions}
    return sessions, needed | set(sessions.values())


def _worst_conditions(by_session: Sequence[Mapping[str, Conditions]]) -> dict[str, Conditions]:
    """The worst conditions of several sessions, the newest first, by target; of each peak, the newest value."""
    worst: dict[str, Conditions] = {}
    for conditions in by_session:
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
