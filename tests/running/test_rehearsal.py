"""A rehearsal in a real process, against the chain that it rehearses."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from compress.errors import CompressError
from compress.files.whole import folder_bytes
from compress.machine.facts import host_facts
from compress.machine.settling import SETTLE_SECONDS
from compress.planning.plan import Plan
from compress.planning.planner import make_plan
from compress.recipe.validation import Origin
from compress.running.rehearsal import Rehearsed, _Piece, _representative_rows, rehearse
from compress.store.store import Store
from tests.chain import Chain, Silent, chain_recipe
from tests.fresh import fork_children

TRAININGS = ("teacher", "student", "pruned", "factorized", "adapted")


class Told(Silent):
    """Keeps the last progress of each piece of work."""

    def __init__(self) -> None:
        super().__init__()
        self.last: dict[str, tuple[int, int]] = {}

    def progress(self, what: str, done: int, total: int) -> None:
        self.last[what] = (done, total)


@pytest.fixture(scope="module")
def planned(make_model: Callable[..., Path], reviews: Path) -> Plan:
    recipe = chain_recipe(make_model(), reviews)
    test = {"test": str(reviews / "test.csv")}
    recipe = recipe.model_validate(
        recipe.model_dump()
        | {"task": recipe.task.model_dump() | test, "targets": {"cpu": {"threads": 1, "sequence_length": 16}}}
    )
    return make_plan(recipe, Origin())


@pytest.fixture(scope="module")
def rehearsed(
    planned: Plan, chain: Chain, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Rehearsed, Told, Path, float]:
    """It comes after the chain, so that another process that wants the chain does not wait for both."""
    del chain
    place = tmp_path_factory.mktemp("rehearsed")
    (place / "scratch").mkdir()
    told = Told()
    start = time.monotonic()
    with pytest.MonkeyPatch.context() as monkeypatch:
        fork_children(monkeypatch)
        found = rehearse(planned, told, host_facts(), Store(place), batches=3, done={})
    return found, told, place, time.monotonic() - start


def test_every_step_is_rehearsed_and_nothing_is_kept(
    rehearsed: tuple[Rehearsed, Told, Path, float], planned: Plan
) -> None:
    found, told, place, seconds = rehearsed
    assert list(found.steps) == [step.name for step in planned.steps]
    assert told.made == [*found.steps, "bench"]
    assert [str(path.relative_to(place)) for path in place.rglob("*")] == ["scratch"]
    assert 0 < found.seconds <= seconds


def test_few_steps_are_taken_and_the_whole_run_is_forecast(
    rehearsed: tuple[Rehearsed, Told, Path, float], planned: Plan
) -> None:
    found, told, _, _ = rehearsed
    rows = len(planned.task.train)
    assert told.last["fine-tuning"] == (3, 16 * rows // 8)
    assert told.last["distilling"] == (3, 2 * rows // 8), "of the elastic student, which comes last"
    assert told.last["asking the teacher"] == (24, rows)
    assert told.last["scoring heads and neurons"] == (24, rows)
    assert found.measuring is not None
    assert found.measuring.seconds > 20 * SETTLE_SECONDS * 5  # five artifacts run on that target, in twenty rounds


def test_what_is_written_is_known_to_the_byte(rehearsed: tuple[Rehearsed, Told, Path, float], chain: Chain) -> None:
    found = rehearsed[0].steps
    for name in ("teacher", "onnx", "int4"):
        assert found[name].artifact_bytes == folder_bytes(chain.artifacts[name].path), name
    logits = 48 * 2 * 4  # rows, classes, bytes of a float; beside them numpy's header
    more = found["student"].artifact_bytes - folder_bytes(chain.artifacts["student"].path)
    assert logits < more < logits + 300
    large = {name for name in found if found[name].scratch_bytes > 3 * found[name].artifact_bytes}
    assert large == {*TRAININGS, "ngrams", "convolution", "trained"}, "their checkpoints"


def test_memory_is_that_of_a_process_with_torch(rehearsed: tuple[Rehearsed, Told, Path, float]) -> None:
    found = rehearsed[0]
    assert all(2e8 < cost.memory_bytes < 4e9 for cost in found.steps.values())
    assert found.measuring is not None
    assert 5 * 5e7 < found.measuring.memory_bytes < 5 * 4e8  # five workers on ONNX Runtime


@pytest.mark.int8
def test_steps_that_are_done_are_taken(
    planned: Plan, chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork_children(monkeypatch)
    done = {name: artifact for name, artifact in chain.artifacts.items() if name not in {"int8", "int4"}}
    short = replace(planned, steps=tuple(step for step in planned.steps if step.name in chain.artifacts))
    short = replace(short, recipe=short.recipe.model_copy(update={"targets": {}}))
    found = rehearse(short, Silent(), host_facts(), Store(tmp_path), batches=1, done=done)
    assert set(found.steps) == {"int8", "int4"}
    assert found.measuring is None


def test_what_would_fail_fails_with_its_reason(
    planned: Plan, chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork_children(monkeypatch)
    step = planned.step("onnx")
    strict = replace(step, config=step.config.model_copy(update={"tolerance": 1e-30}))
    short = replace(planned, steps=(strict,))
    done = {name: chain.artifacts[name] for name in TRAININGS}
    with pytest.raises(CompressError, match="step 'onnx' failed: the exported model differs from torch by") as caught:
        rehearse(replace(short, steps=(strict,)), Silent(), host_facts(), Store(tmp_path), batches=1, done=done)
    assert caught.value.fix is not None
    assert caught.value.fix.startswith("set fuse: never")


def test_a_rehearsal_that_is_killed_says_in_which_step(planned: Plan, tmp_path: Path) -> None:
    class Killer(Silent):
        def step_started(self, name: str, stage: str) -> None:
            if name == "teacher":
                (child,) = [
                    child for child in psutil.Process().children() if "compress.processes.lifeline" in child.cmdline()
                ]
                child.kill()

    message = r"the rehearsal of 'teacher' died \(killed by signal 9: often for want of memory\)"
    with pytest.raises(CompressError, match=message):
        rehearse(planned, Killer(), host_facts(), Store(tmp_path), batches=1, done={})


def test_the_units_that_are_left_cost_what_those_after_the_first_did() -> None:
    assert _Piece([(1, 100, 5.0), (2, 100, 6.0), (3, 100, 7.0)]).remaining_seconds(0.0) == pytest.approx(97.0)
    assert _Piece([(32, 320, 5.0)]).remaining_seconds(1.0) == pytest.approx(288 * 4.0 / 32)
    assert _Piece([(0, 3, 0.0), (3, 3, 9.0)]).remaining_seconds(0.0) == 0.0


@pytest.mark.parametrize(("size", "groups"), [(8, 1), (4, 5), (16, 3)])
def test_rows_are_taken_at_even_places_of_their_lengths(planned: Plan, size: int, groups: int) -> None:
    task = planned.task
    taken = _representative_rows(task, task.train, size, groups)
    lengths = sorted((len(row.text) for row in task.train), reverse=True)
    assert len(taken) == size * groups or len(taken) == len(task.train)
    assert sorted((len(row.text) for row in taken), reverse=True)[:size] == lengths[:size]
    mean = sum(len(row.text) for row in taken) / len(taken)
    assert groups == 1 or mean == pytest.approx(sum(lengths) / len(lengths), rel=0.15)


def test_few_rows_are_all_taken(planned: Plan) -> None:
    assert _representative_rows(planned.task, planned.task.train[:5], 4, 2) == list(planned.task.train[:5])
