"""Which pairs of artifact and target a run measures, and which it takes as they were measured."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from compress.measurement import Measured
from compress.planning.plan import Plan
from compress.recipe.schema import BenchSpec, Target
from compress.running import measure as measuring
from compress.running.make import make_steps
from compress.running.measure import Pair, measure_plan, pair_key, rows_of
from compress.running.sessions import MEASUREMENTS, read_sessions
from compress.store.artifacts import Artifact
from compress.store.store import Store
from tests.chain import Silent
from tests.running.toys import HOST, TARGETS, ToyBench, ToyStage, toy_plan

CHAIN = {"base": 1, "small": 2, "smaller": 3}  # 101, 103 and 106
LONGER = {**CHAIN, "smallest": 4}  # 110
ALL = {("101", "cpu"), ("103", "cpu"), ("106", "cpu")}
Run = Callable[..., Measured]
RUNTIME = "INTERFACE = 1\nFORMATS = ('torch',)\nunavailable = load = refuse = lambda *_, **__: None\n"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ToyBench:
    bench = ToyBench()
    monkeypatch.setattr(measuring, "measure", bench)
    return bench


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Makes and measures a chain in one folder of runs."""
    (tmp_path / "run").mkdir()

    def run_chain(
        numbers: Mapping[str, int] = CHAIN, host: Mapping[str, Any] = HOST, beside: Sequence[str] = (), **changes: Any
    ) -> Measured:
        plan, artifacts = made(numbers, **changes)
        rows, _ = rows_of(plan, artifacts)
        pairs = {pair.artifact.key: pair for pair in rows}
        compared = [(pairs[artifacts[name].key], rows[-1]) for name in beside]
        return measure_plan(plan, artifacts, tmp_path / "run", host, lambda *_: None, compared)

    def made(numbers: Mapping[str, int], **changes: Any) -> tuple[Plan, dict[str, Artifact]]:
        plan = toy_plan(ToyStage(), tmp_path / "model", numbers, **changes)
        return plan, make_steps(plan, Store(tmp_path / "store"), HOST, Silent())[0]

    return run_chain


def sessions_of(measured: Measured) -> list[int]:
    return [found.session for found in measured.measurements]


def test_what_was_measured_is_there_for_the_next_run(run: Run, bench: ToyBench) -> None:
    first = run()
    assert bench.asked == [ALL]
    assert (first.is_new, sessions_of(first), first.in_other_sessions) == (True, [1, 1, 1], [])
    again = run()
    assert len(bench.asked) == 1
    assert not again.is_new
    assert (again.measurements, again.conditions) == (first.measurements, first.conditions)
    assert (again.key, again.created, again.host) == (first.key, first.created, HOST)


def test_a_new_artifact_is_measured_beside_its_baseline_and_its_parent_alone(run: Run, bench: ToyBench) -> None:
    run()
    more = run(LONGER)
    assert bench.asked[1:] == [{("110", "cpu"), ("101", "cpu"), ("106", "cpu")}]
    assert bench.earlier == [set(), {("101", "cpu"), ("106", "cpu")}]  # those two are timed anew, and not scored
    assert sessions_of(more) == [2, 1, 2, 2]
    base, small, smaller, smallest = ((found.artifact, found.target) for found in more.measurements)
    for one, other, session in ((base, smallest, 2), (smaller, smallest, 2), (base, small, 1), (small, smaller, 1)):
        both = more.together(one, other)
        assert both is not None
        assert [found.session for found in both] == [session] * 2
    assert more.together(small, smallest) is None
    assert [found.session for found in more.in_other_sessions] == [1, 1]  # of the baseline and the parent
    assert not run(LONGER).is_new
    assert not run().is_new
    assert len(bench.asked) == 2


def test_conditions_are_the_worst_of_the_sessions_that_are_used(run: Run, bench: ToyBench) -> None:
    run()
    assert run(LONGER).conditions["cpu"].competing_cores == 1.0  # in the second it was half a core
    assert len(bench.asked) == 2


def test_what_is_compared_beside_the_plans_own_rows_gets_a_session_in_common(run: Run, bench: ToyBench) -> None:
    run(LONGER)
    run(LONGER, beside=["small"])
    assert len(bench.asked) == 1  # both were timed in one session
    run()
    run({**LONGER, "last": 5}, beside=["small"])
    assert bench.asked[1:] == [{("115", "cpu"), ("101", "cpu"), ("110", "cpu"), ("103", "cpu")}]


def test_a_new_target_is_measured_alone(run: Run, bench: ToyBench) -> None:
    run()
    both = run(targets={**TARGETS, "long": {"threads": 1, "sequence_length": 256}})
    assert bench.asked[1:] == [{(number, "long") for number, _ in ALL}]
    assert {(found.target, found.session) for found in both.measurements} == {("cpu", 1), ("long", 2)}
    assert len(both.measurements) == 6
    assert set(both.conditions) == {"cpu", "long"}


def test_a_row_may_stand_beside_the_baseline_of_a_target_that_differs_by_its_runtime(run: Run, bench: ToyBench) -> None:
    targets = {**TARGETS, "intel": {"threads": 1, "runtime": "openvino"}}
    run(targets=targets)
    run(LONGER, targets=targets)
    beside = {(number, target) for number in ("110", "101", "106") for target in targets}
    assert bench.asked[1:] == [beside]


@pytest.mark.parametrize(
    "changes",
    [
        {"targets": {"cpu": {"threads": 2}}},
        {"targets": {"other": {"threads": 1}}},
        {"bench": {"rounds": 7}},
        {"test": "other rows"},
        {"host": {**HOST, "cpu": "another"}},
        {"host": {**HOST, "versions": {"onnxruntime": "9"}}},
    ],
)
def test_a_measurement_counts_for_what_it_depends_on(run: Run, bench: ToyBench, changes: Any) -> None:
    run()
    target = next(iter(changes.get("targets", TARGETS)))
    assert run(**changes).is_new
    assert bench.asked[1:] == [{(number, target) for number, _ in ALL}]
    assert not run().is_new  # the first ones are kept


@pytest.mark.parametrize("changes", [{"seed": 7}, {"goal": {"max_size_mb": 1}}, {"host": {**HOST, "memory_bytes": 1}}])
def test_a_measurement_counts_whatever_else_is_changed(run: Run, bench: ToyBench, changes: Any) -> None:
    run()
    assert not run(**changes).is_new


def test_another_way_of_measuring_makes_all_measured_anew(
    run: Run, bench: ToyBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    monkeypatch.setattr(measuring, "BENCH_VERSION", measuring.BENCH_VERSION + 1)
    assert run().is_new
    assert bench.asked == [ALL, ALL]


def test_an_artifact_of_the_same_key_and_other_files_is_measured_beside_its_relatives(
    tmp_path: Path, bench: ToyBench
) -> None:
    store, folder = Store(tmp_path / "store"), tmp_path / "run"
    folder.mkdir()
    plan = toy_plan(ToyStage(), tmp_path / "model", CHAIN)
    artifacts, _ = make_steps(plan, store, HOST, Silent())
    measure_plan(plan, artifacts, folder, HOST, lambda *_: None)
    old = artifacts["smaller"]
    assert old.manifest is not None
    files = {**old.manifest.files, "number": "0" * 64}
    changed = Artifact(old.path, old.key, old.format, old.manifest.model_copy(update={"files": files}))
    assert measure_plan(plan, {**artifacts, "smaller": changed}, folder, HOST, lambda *_: None).is_new
    assert bench.asked[1:] == [ALL]  # 103 is its parent, 101 the baseline


def test_what_failed_is_not_kept_and_is_tried_again_beside_what_it_is_compared_with(run: Run, bench: ToyBench) -> None:
    bench.statuses["110"] = "failed"
    failed = run(LONGER)
    assert [found.status for found in failed.measurements] == ["measured"] * 3 + ["failed"]
    bench.statuses.clear()
    assert [found.status for found in run(LONGER).measurements] == ["measured"] * 4
    assert bench.asked[1:] == [{("110", "cpu"), ("101", "cpu"), ("106", "cpu")}]


def test_what_cannot_run_is_kept_and_compared_with_nothing(run: Run, bench: ToyBench) -> None:
    bench.statuses["106"] = "skipped"
    run()
    assert not run().is_new
    run(LONGER)
    assert bench.asked[1:] == [{("110", "cpu"), ("101", "cpu")}]


def test_a_session_that_is_not_as_it_was_written_is_measured_anew_and_the_others_are_taken(
    run: Run, bench: ToyBench, tmp_path: Path
) -> None:
    run()
    run(LONGER)
    path = tmp_path / "run" / MEASUREMENTS
    content = json.loads(path.read_text())
    next(iter(content["sessions"][1]["measurements"].values()))["samples_ms"][0][0] /= 2
    path.write_text(json.dumps(content))
    assert [session.number for session in read_sessions(tmp_path / "run")] == [1]
    assert not run().is_new
    assert run(LONGER).is_new
    assert bench.asked[2:] == bench.asked[1:2]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"sessions": 3}',
        '{"sessions": [3, null, {}]}',
        '{"measurements": [], "conditions": {}, "created": "", "host": {}, "key": "", "digest": ""}',  # of 0.1.0
    ],
)
def test_a_file_of_another_form_is_as_none(run: Run, bench: ToyBench, tmp_path: Path, content: str) -> None:
    (tmp_path / "run" / MEASUREMENTS).write_text(content)
    assert sessions_of(run()) == [1, 1, 1]
    assert not run().is_new


def test_sessions_of_another_machine_stay(run: Run, bench: ToyBench, tmp_path: Path) -> None:
    run()
    other = {**HOST, "cpu": "another"}
    assert sessions_of(run(host=other)) == [2, 2, 2]
    assert (run().is_new, run(host=other).is_new) == (False, False)
    assert [session.host["cpu"] for session in read_sessions(tmp_path / "run")] == ["toy", "another"]


def test_old_sessions_are_forgotten_where_they_are_too_large(
    run: Run, bench: ToyBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(test="one")
    size = (tmp_path / "run" / MEASUREMENTS).stat().st_size
    monkeypatch.setattr("compress.running.sessions.KEPT_BYTES", 2.5 * size)
    for test in ("two", "three"):
        run(test=test)
    assert [session.number for session in read_sessions(tmp_path / "run")] == [2, 3]
    assert (run(test="three").is_new, run(test="one").is_new) == (False, True)
    monkeypatch.setattr("compress.running.sessions.KEPT_BYTES", 1)
    run(test="four")
    assert [session.number for session in read_sessions(tmp_path / "run")] == [5]
    assert not run(test="four").is_new


def test_an_end_in_the_middle_of_measuring_keeps_what_was_measured_before(
    run: Run, bench: ToyBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()

    def killed(*_: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(measuring, "measure", killed)
        with pytest.raises(KeyboardInterrupt):
            run(LONGER)
    assert not run().is_new
    assert run(LONGER).is_new
    assert bench.asked[1:] == [{("110", "cpu"), ("101", "cpu"), ("106", "cpu")}]


def test_another_version_of_the_package_that_adds_a_runtime_is_another_measurement(
    install: Callable[..., Path],
) -> None:
    def key(version: str) -> str:
        install("fast", {"compress.runtimes": {"fast": "fast_runtime"}}, version, fast_runtime=RUNTIME)
        return pair_key(Pair(Artifact(Path(), "101", "torch"), "cpu"), Target(runtime="fast"), bench)

    bench: Any = SimpleNamespace(spec=BenchSpec(), task=SimpleNamespace(test_key="rows"))
    first = key("1.0")
    assert pair_key(Pair(Artifact(Path(), "101", "torch"), "cpu"), Target(runtime="fast"), bench) == first
    assert key("1.1") != first
