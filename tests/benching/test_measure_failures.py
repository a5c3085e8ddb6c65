"""What breaks while it is measured fails its own row with a reason, and the others go on."""

import json
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from onnx import numpy_helper

from compress.benching import measure as measuring
from compress.benching.measure import Bench, measure
from compress.benching.process import WorkerProcess
from compress.measurement import Conditions, Measurement
from compress.recipe.schema import BenchSpec, Target
from compress.store.artifacts import Artifact
from tests.benching.test_measure import SPEC, bench_of
from tests.chain import Chain
from tests.fresh import fork_children

DYING, DYING_LATER = "tests.benching.dying_worker", "tests.benching.worker_dying_later"
WORKERS = {DYING: "graphs", DYING_LATER: "graphs"}
TARGETS = {"cpu": Target(threads=1, sequence_length=16)}


def made_up_peaks(kinds: Iterable[str], threads: int, device: str) -> dict[str, float]:
    return dict.fromkeys(kinds, 1.0)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "peak_gflops", made_up_peaks)
    fork_children(monkeypatch, WORKERS)


@pytest.fixture
def copy(chain: Chain, tmp_path: Path) -> Callable[[str], Artifact]:
    """A copy of the onnx artifact, to be broken."""

    def make(name: str) -> Artifact:
        shutil.copytree(chain.artifacts["onnx"].path, tmp_path / name, copy_function=shutil.copyfile)
        return Artifact(tmp_path / name, f"{name:f<64}", "onnx")

    return make


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """Tells which of the measuring processes that this test has started are there."""
    started: list[WorkerProcess] = []
    real = WorkerProcess.__init__

    def begin(self: WorkerProcess, *arguments: Any) -> None:
        real(self, *arguments)
        started.append(self)

    monkeypatch.setattr(WorkerProcess, "__init__", begin)
    return lambda: [worker.pid for worker in started if psutil.pid_exists(worker.pid)]


def bench_that_may_die(chain: Chain, **changes: Any) -> Bench:
    """One whose workers die as `ENDS` says; they serve all others as they are."""
    return bench_of(chain, worker=[sys.executable, "-P", "-m", DYING, json.dumps(ENDS)], **changes)


def assert_measured_whole(found: Measurement, conditions: dict[str, Conditions]) -> None:
    assert (found.status, found.reason) == ("measured", None)
    assert [len(turn) for turn in found.samples_ms] == [SPEC.samples] * SPEC.rounds
    assert [len(turn) for turn in found.real_samples_ms] == [SPEC.samples] * SPEC.rounds
    assert len(found.predictions) == 16
    assert set() < found.flops.keys() <= conditions["cpu"].peak_gflops.keys()


def assert_failed_without_numbers(found: Measurement) -> None:
    assert found.status == "failed"
    assert (found.predictions, found.samples_ms, found.flops) == ([], [], {})
    assert found.size_bytes >= 0


def test_files_that_are_no_models_fail_with_what_onnxruntime_says(
    chain: Chain, copy: Callable[[str], Artifact]
) -> None:
    broken = [copy(name) for name in ("truncated", "random", "empty")]
    whole = (broken[0].path / "model.onnx").read_bytes()
    random = np.random.default_rng(0).bytes(len(whole))
    for artifact, content in zip(broken, (whole[: len(whole) // 2], random, b""), strict=True):
        (artifact.path / "model.onnx").write_bytes(content)
    found, conditions = measure([*broken, chain.artifacts["int8"]], TARGETS, bench_that_may_die(chain))
    for item in found[:3]:
        assert_failed_without_numbers(item)
        assert item.reason is not None
        assert item.reason.startswith("onnxruntime cannot load the model: ")
        assert len(item.reason.removeprefix("onnxruntime cannot load the model: ")) > 10
    assert_measured_whole(found[3], conditions)


def test_without_its_file_or_its_tokenizer_a_row_fails(chain: Chain, copy: Callable[[str], Artifact]) -> None:
    bare, mute, babbling = copy("bare"), copy("mute"), copy("babbling")
    (bare.path / "model.onnx").unlink()
    (mute.path / "tokenizer.json").unlink()
    (babbling.path / "tokenizer.json").write_text("{")
    found, conditions = measure([bare, mute, babbling, chain.artifacts["int8"]], TARGETS, bench_that_may_die(chain))
    for item in found[:3]:
        assert_failed_without_numbers(item)
    assert found[0].reason == "0 .onnx files, and none is called model.onnx"
    assert found[1].reason == "the model has no tokenizer.json"
    assert found[2].reason is not None
    assert found[2].reason.startswith("tokenizer.json cannot be read: ")
    assert_measured_whole(found[3], conditions)


def test_outputs_that_are_not_finite_fail_the_row(chain: Chain, copy: Callable[[str], Artifact]) -> None:
    artifact = copy("nan")
    model = onnx.load(str(artifact.path / "model.onnx"))
    (bias,) = [item for item in model.graph.initializer if item.name.endswith("classifier.bias")]
    bias.CopyFrom(numpy_helper.from_array(np.array([np.nan, 0], np.float32), bias.name))
    onnx.save(model, str(artifact.path / "model.onnx"))
    found, conditions = measure([artifact, chain.artifacts["int8"]], TARGETS, bench_that_may_die(chain))
    assert_failed_without_numbers(found[0])
    assert found[0].reason == "the model's outputs are not finite numbers"
    assert_measured_whole(found[1], conditions)


SECOND_ROUND = 1 + 2 + 16 + (3 + 4 + 4) + 5
"""A call in the middle of it: after the first, the warm-up, the 16 rows, and a round with its waking calls."""
ENDS = {
    "killed": (
        SECOND_ROUND,
        "os.kill(os.getpid(), signal.SIGKILL)",
        "killed by signal 9: often for want of memory",
    ),
    "fault": (SECOND_ROUND, "ctypes.string_at(0)", "killed by signal 11: segmentation fault"),
    "exit": (SECOND_ROUND, "print('no room left\\n', file=sys.stderr); sys.exit(3)", "exit code 3: no room left"),
    "silent": (SECOND_ROUND, "os._exit(4)", "exit code 4: no message"),
    "raises": (SECOND_ROUND, "raise ValueError('never seen')", "exit code 1: ValueError: never seen"),
    "broken-off": (SECOND_ROUND, "answers.write('{'); answers.flush(); os._exit(5)", "exit code 5: no message"),
    "first-call": (1, "os._exit(6)", "exit code 6: no message"),
    "warm-up": (2, "os._exit(7)", "exit code 7: no message"),
    "on-the-rows": (12, "os._exit(8)", "exit code 8: no message"),
}
"""Folder -> at which call its worker dies, how, and the reason that its row is to give."""


@pytest.fixture(scope="module")
def deaths(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One measuring of artifacts that die in all these ways, with two among them that do not."""
    folder = tmp_path_factory.mktemp("deaths")
    artifacts = [chain.artifacts["onnx"]]
    for name in ENDS:
        shutil.copytree(chain.artifacts["onnx"].path, folder / name, copy_function=shutil.copyfile)
        artifacts.append(Artifact(folder / name, f"{name:x<64}", "onnx"))
    artifacts.append(chain.artifacts["int8"])
    told: list[tuple[int, int]] = []
    bench = bench_that_may_die(chain, progress=lambda _, done, total: told.append((done, total)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "peak_gflops", made_up_peaks)
        fork_children(patch, WORKERS)
        found, conditions = measure(artifacts, TARGETS, bench)
    names = ["onnx", *ENDS, "int8"]
    return {**dict(zip(names, found, strict=True)), "conditions": conditions, "told": told}


@pytest.mark.parametrize("name", ENDS)
def test_a_worker_that_dies_fails_its_row_and_says_how(name: str, deaths: dict[str, Any]) -> None:
    assert_failed_without_numbers(deaths[name])
    assert deaths[name].reason == ENDS[name][2]


@pytest.mark.parametrize("name", ["onnx", "int8"])
def test_beside_dying_workers_the_others_are_measured_with_all_their_rounds(name: str, deaths: dict[str, Any]) -> None:
    assert_measured_whole(deaths[name], deaths["conditions"])


def test_progress_rises_to_its_end_though_workers_die(deaths: dict[str, Any]) -> None:
    told = deaths["told"]
    assert told == sorted(told)
    assert told[-1] == (44, 44)  # eleven workers' starts and three rounds


class InterruptionError(Exception):
    """What comes in the middle of measuring, as Ctrl-C does."""


@pytest.mark.parametrize("asked", ["folder", "quality", "round", "memory"])
def test_an_interruption_while_a_worker_is_asked_leaves_none_behind(
    asked: str, chain: Chain, alive: Callable[[], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`folder` stands in the first thing that a worker is asked: to load."""

    def ask(self: WorkerProcess, command: dict[str, Any], real: Any = WorkerProcess.ask) -> dict[str, Any] | None:
        if asked in command or command.get("do") == asked:
            assert len(alive()) >= 1
            raise InterruptionError
        answer: dict[str, Any] | None = real(self, command)
        return answer

    monkeypatch.setattr(WorkerProcess, "ask", ask)
    with pytest.raises(InterruptionError):
        measure([chain.artifacts["int8"]], TARGETS, bench_that_may_die(chain))
    assert alive() == []


def test_a_worker_that_dies_in_a_later_process_fails_its_row(chain: Chain, tmp_path: Path) -> None:
    """The others go on, and no other process is started for it."""
    shutil.copytree(chain.artifacts["onnx"].path, tmp_path / "dies", copy_function=shutil.copyfile)
    artifacts = [Artifact(tmp_path / "dies", "d" * 64, "onnx"), chain.artifacts["int8"]]
    told: list[tuple[int, int]] = []
    spec = BenchSpec(warmup=1, rounds=3, samples=2, processes=3)
    bench = bench_of(
        chain,
        spec=spec,
        worker=[sys.executable, "-P", "-m", DYING_LATER, str(tmp_path / "started")],
        progress=lambda _, done, total: told.append((done, total)),
    )
    found, _ = measure(artifacts, TARGETS, bench)
    assert_failed_without_numbers(found[0])
    assert found[0].reason == "exit code 9: no message"
    assert (found[1].status, found[1].process_of_round) == ("measured", [0, 1, 2])
    assert (tmp_path / "started").read_text() == "dies" * 2
    assert told == sorted(told)
    assert told[-1] == (12, 12)  # three starts and three rounds of both


def test_what_measuring_itself_cannot_bear_leaves_no_worker_behind(
    chain: Chain, alive: Callable[[], list[int]]
) -> None:
    def interrupt(_: str, done: int, total: int) -> None:
        if done == 3:  # in the first round
            assert len(alive()) == 2
            raise InterruptionError

    with pytest.raises(InterruptionError):
        measure(
            [chain.artifacts["onnx"], chain.artifacts["int8"]], TARGETS, bench_that_may_die(chain, progress=interrupt)
        )
    assert alive() == []
