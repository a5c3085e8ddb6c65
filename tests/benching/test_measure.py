"""Measuring pairs of artifact and target in real processes."""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compress.benching import measure as measuring
from compress.benching.measure import Bench, measure
from compress.files.whole import folder_bytes
from compress.machine.facts import host_facts, same_machine
from compress.measurement import Conditions, Measured, Measurement
from compress.recipe.schema import BenchSpec, Target
from compress.report.build import build_rows
from compress.report.entries import Entry
from compress.report.model import HeldOut
from compress.store.artifacts import Artifact
from tests.chain import Chain
from tests.fresh import fork_children

pytestmark = pytest.mark.int8

SPEC = BenchSpec(warmup=1, rounds=3, samples=4, processes=1)
SPIED = "tests.benching.spied_worker"
KINDS = ("samples_ms", "real_samples_ms", "tokenize_samples_ms")


def bench_of(chain: Chain, **changes: Any) -> Bench:
    task = replace(chain.plan.task, test=chain.plan.task.validation)  # type: ignore[type-var]
    return replace(Bench(task, SPEC, 0, False, lambda *_: None), **changes)


def score_of(found: Measurement, chain: Chain) -> float:
    """The share of rows that it has right."""
    task = chain.plan.task
    truth = task.truth(task.validation)
    return truth.with_content(found.predictions).outcome(truth, "accuracy").value


@dataclass(frozen=True)
class Finished:
    """What measuring gave, what each worker was told, and how far measuring said to be."""

    measurements: Mapping[tuple[str, str], Measurement]
    conditions: Mapping[str, Conditions]
    commands: Sequence[tuple[str, str, int, str, int | None]]
    progress: Sequence[tuple[str, int, int]]
    keys: Sequence[tuple[str, str]]


@pytest.fixture(scope="module")
def done(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The onnx and int8 artifacts, a copy and a torch model, on two lengths of onnxruntime and on OpenVINO."""
    folder = tmp_path_factory.mktemp("measured")
    shutil.copytree(chain.artifacts["onnx"].path, folder / "copy")
    made = {name: chain.artifacts[name] for name in ("onnx", "int8", "pruned")}
    made["copy"] = Artifact(folder / "copy", "f" * 64, "onnx")
    names = {artifact.key: name for name, artifact in made.items()}
    targets = {"cpu": Target(threads=1, sequence_length=16), "short": Target(threads=1, sequence_length=8)}
    if find_spec("openvino"):
        targets["intel"] = Target(runtime="openvino", threads=1, sequence_length=16)
    progress: list[tuple[str, int, int]] = []
    bench = bench_of(
        chain,
        seed=1,
        progress=lambda *told: progress.append(told),
        worker=[sys.executable, "-P", "-m", SPIED, str(folder / "log")],
    )
    with pytest.MonkeyPatch.context() as patch:
        fork_children(patch, {SPIED: "graphs"})
        measurements, conditions = measure(list(made.values()), targets, bench)
    folders = {str(artifact.path.resolve()): name for name, artifact in made.items()}
    commands = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    keys = [(names[found.artifact], found.target) for found in measurements]
    return Finished(
        dict(zip(keys, measurements, strict=True)),
        conditions,
        [(folders[path], *rest) for path, *rest, _ in commands],
        progress,
        keys,
    )


def test_each_pair_has_one_measurement_by_artifact_and_then_by_target(done: Finished) -> None:
    assert done.keys == [(name, target) for name in ("onnx", "int8", "pruned", "copy") for target in done.conditions]
    assert {found.target for found in done.measurements.values()} == set(done.conditions)


def test_a_pair_is_measured_in_rounds(done: Finished, chain: Chain) -> None:
    found = done.measurements["onnx", "cpu"]
    assert (found.status, found.reason, found.batch_size) == ("measured", None, 1)
    for kind in KINDS:
        rounds = getattr(found, kind)
        assert [len(turn) for turn in rounds] == [4, 4, 4]
        assert all(0 < sample < 1000 for turn in rounds for sample in turn)
    assert found.size_bytes == folder_bytes(chain.artifacts["onnx"].path)
    assert found.parameters == done.measurements["copy", "cpu"].parameters
    assert found.load_ms is not None
    assert found.first_call_ms is not None
    assert min(found.load_ms, found.first_call_ms) > 0
    assert found.start_memory_bytes is not None
    assert found.peak_memory_bytes is not None
    assert 20e6 < found.start_memory_bytes <= found.peak_memory_bytes < 1e9
    assert found.gpu_memory_bytes is None


def test_predictions_are_kept_with_their_confidences(done: Finished, chain: Chain) -> None:
    found = done.measurements["onnx", "cpu"]
    task = chain.plan.task
    truth = task.truth(task.validation)
    assert len(found.predictions) == len(found.confidences) == len(found.row_tokens) == len(truth) == 16
    assert score_of(found, chain) >= 0.8
    assert all(0.5 <= confidence <= 1 for confidence in found.confidences)  # the better of two classes
    words = [len(row.text.split()) for row in task.validation]
    assert found.row_tokens == [count + 2 for count in words]


def test_the_same_file_gives_the_same_predictions(done: Finished) -> None:
    one, other = (done.measurements[name, "cpu"] for name in ("onnx", "copy"))
    assert (one.predictions, one.confidences, one.flops) == (other.predictions, other.confidences, other.flops)


def test_what_cannot_run_is_skipped_and_says_why(done: Finished, chain: Chain) -> None:
    found = done.measurements["pruned", "cpu"]
    assert (found.status, found.samples_ms, found.predictions) == ("skipped", [], [])
    assert found.reason == "the runtime 'onnxruntime' does not run the format 'torch'"
    assert found.size_bytes == folder_bytes(chain.artifacts["pruned"].path)


def test_rounds_are_interleaved_over_all_targets_in_an_order_of_each_rounds_own(done: Finished) -> None:
    rounds = [(pair, turn) for *pair, do, turn in done.commands if do == "round"]
    orders = [[tuple(pair) for pair, turn in rounds if turn == number] for number in range(SPEC.rounds)]
    assert [turn for _, turn in rounds] == [number for number, order in enumerate(orders) for _ in order]
    alive = {(found.artifact, found.target) for found in done.measurements.values() if found.status == "measured"}
    assert [len(set(order)) for order in orders] == [len(alive)] * SPEC.rounds
    assert len(set(map(tuple, orders))) == SPEC.rounds


def test_rounds_are_spread_over_fresh_processes_that_live_side_by_side(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork_children(monkeypatch, {SPIED: "graphs"})
    monkeypatch.setattr(measuring, "peak_gflops", lambda kinds, threads, device: dict.fromkeys(kinds, 1.0))
    artifacts = [chain.artifacts[name] for name in ("onnx", "int8")]
    told: list[tuple[str, int, int]] = []
    bench = bench_of(
        chain,
        spec=BenchSpec(warmup=1, rounds=5, samples=2, processes=3),
        worker=[sys.executable, "-P", "-m", SPIED, str(tmp_path / "log")],
        progress=lambda *progress: told.append(progress),
    )
    found, _ = measure(artifacts, {"cpu": Target(threads=1, sequence_length=16)}, bench)
    for item in found:
        assert item.process_of_round == [0, 0, 1, 1, 2]
        assert [np.shape(getattr(item, kind)) for kind in KINDS] == [(5, 2)] * 3
        assert (item.timings.processes, item.ready_ms is not None) == (3, True)
    commands = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    by_process: dict[int, list[str]] = {}
    for _, _, _, do, turn, pid in commands:
        by_process.setdefault(pid, []).append(do if turn is None else f"{do} {turn}")
    first = ["quality", "round 0", "round 1", "memory", "flops"]  # what is needed once, the first process gives
    later = [["round 2", "round 3"], ["round 4"]]
    assert list(by_process.values()) == [first] * 2 + [later[0]] * 2 + [later[1]] * 2
    assert [count for _, count, _ in told] == sorted(count for _, count, _ in told)
    assert (told[0][1], told[-1]) == (0, ("measuring", 16, 16))  # three starts and five rounds of two


def test_what_was_measured_before_is_timed_anew_and_asked_for_nothing_else(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork_children(monkeypatch, {SPIED: "graphs"})
    monkeypatch.setattr(measuring, "peak_gflops", lambda kinds, threads, device: dict.fromkeys(kinds, 1.0))
    onnx, int8 = chain.artifacts["onnx"], chain.artifacts["int8"]
    before = Measurement(
        artifact=onnx.key, target="cpu", status="measured", predictions=[1] * 16, size_bytes=7, flops={"fp32": 5.0}
    )
    bench = bench_of(chain, worker=[sys.executable, "-P", "-m", SPIED, str(tmp_path / "log")])
    known = {(onnx.key, "cpu"): before}
    (first, second), conditions = measure(
        [onnx, int8], {"cpu": Target(threads=1, sequence_length=16)}, bench, earlier=known
    )
    assert [np.shape(getattr(first, kind)) for kind in KINDS] == [(3, 4)] * 3
    assert first.model_copy(update={name: [] for name in (*KINDS, "process_of_round")}) == before
    assert (second.status, len(second.predictions)) == ("measured", 16)
    assert set(conditions["cpu"].peak_gflops) == {"fp32", "int8"}
    commands = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    asked = {(folder, do) for folder, _, _, do, *_ in commands}
    assert asked == {(str(onnx.path.resolve()), "round")} | {
        (str(int8.path.resolve()), do) for do in ("quality", "round", "memory", "flops")
    }


def test_only_some_pairs_are_measured(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a worker that starts as it does for anybody."""
    monkeypatch.setattr(measuring, "peak_gflops", lambda kinds, threads, device: dict.fromkeys(kinds, 1.0))
    onnx, teacher = chain.artifacts["onnx"], chain.artifacts["teacher"]
    targets = {"cpu": Target(threads=1, sequence_length=16), "short": Target(threads=1, sequence_length=8)}
    only = {(teacher.key, "cpu"), (onnx.key, "short")}
    found, _ = measure([onnx, teacher], targets, bench_of(chain), only=only)
    told = [(item.artifact, item.target, item.status) for item in found]
    assert told == [(onnx.key, "short", "measured"), (teacher.key, "cpu", "skipped")]


@pytest.mark.parametrize(
    ("rounds", "processes", "process_of_round"),
    [
        (1, 5, [0]),
        (2, 5, [0, 0]),
        (3, 5, [0, 1, 2]),
        (4, 5, [0, 1, 2, 3]),
        (7, 5, [0, 0, 1, 2, 2, 3, 4]),
        (10, 5, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]),
        (6, 1, [0] * 6),
        (5, 2, [0, 0, 0, 1, 1]),
    ],
)
def test_no_more_processes_are_started_than_there_are_rounds(
    rounds: int, processes: int, process_of_round: list[int]
) -> None:
    assert BenchSpec(rounds=rounds, processes=processes).process_of_round == process_of_round


def test_by_default_five_processes_have_four_rounds_each() -> None:
    assert BenchSpec().process_of_round == [process for process in range(5) for _ in range(4)]


def test_targets_that_differ_in_length_alone_share_their_predictions(done: Finished) -> None:
    scored = [
        (name, length) for name, runtime, length, do, _ in done.commands if (runtime, do) == ("onnxruntime", "quality")
    ]
    assert sorted(scored) == [("copy", 16), ("int8", 16), ("onnx", 16)]
    for name in ("onnx", "int8"):
        long, short = done.measurements[name, "cpu"], done.measurements[name, "short"]
        assert len(long.predictions) == 16
        assert long.predictions == short.predictions
        assert sum(short.flops.values()) < 0.55 * sum(long.flops.values())


def test_conditions_say_who_used_the_machine(done: Finished) -> None:
    found = done.conditions["cpu"]
    assert found.harness_cpu_pct is not None
    assert 0 <= found.harness_cpu_pct < 20
    assert found.competing_cores is not None
    assert found.competing_cores >= 0
    assert set(found.peak_gflops) == {"fp32", "int8"}
    assert all(0.1 < peak < 1e5 for peak in found.peak_gflops.values())


def test_no_model_beats_the_machines_peak(done: Finished, chain: Chain) -> None:
    measurements = list(done.measurements.values())
    test = HeldOut(metric="accuracy", labels=["bad", "good"], truth=[0, 1] * 8, key="")
    entries = [
        Entry(name, "stage", target, done.measurements[name, target].artifact, "onnx")
        for name, target in done.keys
        if name in ("onnx", "int8")
    ]
    rows = build_rows(entries, Measured(measurements, done.conditions, "", {}), {}, test, [""] * 16, 1.0)
    shares = [row.peak_share for row in rows if row.status == "measured"]
    assert len(shares) >= 4
    assert all(share is not None and 0 < share < 1 for share in shares)
    assert done.measurements["onnx", "cpu"].flops.keys() == {"fp32"}
    assert done.measurements["int8", "cpu"].flops.keys() == {"fp32", "int8"}


def test_progress_rises_to_its_end(done: Finished) -> None:
    total = 3 * len(done.conditions) * (1 + SPEC.rounds)  # the starts and rounds of three artifacts on each target
    told = [count for _, count, _ in done.progress]
    assert {whole for _, _, whole in done.progress} == {total}
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0, total)


@pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
def test_openvino_says_what_onnxruntime_says(done: Finished) -> None:
    here, there = done.measurements["onnx", "cpu"], done.measurements["onnx", "intel"]
    assert there.status == "measured"
    assert there.predictions == here.predictions
    assert there.confidences == pytest.approx(here.confidences, abs=1e-4)
    assert there.flops == here.flops
    skipped = done.measurements["int8", "intel"]
    assert skipped.status == "skipped"
    assert skipped.reason is not None
    assert skipped.reason.startswith("OpenVINO cannot run it: No conversion rule found for operations:")


@pytest.mark.parametrize("forked", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_torch_models_are_measured_with_bitsandbytes_too(
    forked: bool, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    if forked:
        fork_children(monkeypatch, {"compress.benching.worker": "torch"})
    monkeypatch.setattr(measuring, "peak_gflops", lambda kinds, threads, device: dict.fromkeys(kinds, 1.0))
    found, conditions = measure(
        [chain.artifacts["teacher"], chain.artifacts["nf4"]],
        {"eager": Target(runtime="torch", threads=1, sequence_length=16)},
        bench_of(chain),
    )
    assert [item.status for item in found] == ["measured", "measured"]
    assert found[0].parameters == found[1].parameters
    assert found[1].size_bytes < found[0].size_bytes
    assert min(score_of(item, chain) for item in found) >= 0.8
    assert found[0].flops == found[1].flops
    assert conditions["eager"].peak_gflops == {"fp32": 1.0}


def test_host_facts_name_the_machine() -> None:
    facts = host_facts()
    assert facts["cores"] >= 1
    assert facts["memory_bytes"] > 1e8
    assert facts["versions"]["onnxruntime"]
    assert same_machine(facts, host_facts())
    assert not same_machine(facts, {**facts, "cpu": "another"})


@pytest.mark.gpu
@pytest.mark.parametrize("runtime", ["torch", "torch_compile"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_cuda_targets_are_measured(runtime: str, precision: str, chain: Chain) -> None:
    target = Target.model_validate(
        {"runtime": runtime, "device": "cuda", "precision": precision, "sequence_length": 16, "batch_size": 4}
    )
    (found,), conditions = measure([chain.artifacts["teacher"]], {"gpu": target}, bench_of(chain))
    assert found.status == "measured"
    assert score_of(found, chain) >= 0.8
    assert found.gpu_memory_bytes is not None
    assert found.gpu_memory_bytes > 0
    assert found.flops.keys() == conditions["gpu"].peak_gflops.keys() == {precision}
