"""Making the steps of a plan: in order, each once, with what it reads, and what a failure says."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compress.context import Rehearsal
from compress.errors import CompressError, InputError, Stopped
from compress.running.make import make_steps, stored_artifact
from compress.store.artifacts import Artifact
from compress.store.store import Store
from tests.chain import Silent
from tests.running.toys import HOST, ToyStage, toy_plan

CHAIN = {"base": 1, "small": 2, "smaller": 3}


@pytest.fixture
def toy() -> ToyStage:
    return ToyStage()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def totals(artifacts: Mapping[str, Artifact]) -> dict[str, int]:
    return {name: artifact.facts["total"] for name, artifact in artifacts.items()}


def test_steps_are_made_in_order_out_of_what_they_read(toy: ToyStage, store: Store, tmp_path: Path) -> None:
    observer = Silent()
    plan = toy_plan(toy, tmp_path / "model", CHAIN, others={"smaller": ["base", "small"]})
    artifacts, made = make_steps(plan, store, HOST, observer)
    assert (made, toy.made, observer.made) == (True, [1, 2, 3], list(CHAIN))
    assert totals(artifacts) == {"base": 101, "small": 103, "smaller": 103 + 101 + 103 + 3}
    assert artifacts["small"].path == store.path(plan.step("small").identity)
    assert artifacts["small"].manifest is not None
    assert artifacts["small"].manifest.host == {name: value for name, value in HOST.items() if name != "versions"}


def test_what_is_in_the_store_is_taken(toy: ToyStage, store: Store, tmp_path: Path) -> None:
    first, _ = make_steps(toy_plan(toy, tmp_path / "model", CHAIN), store, HOST, Silent())
    observer = Silent()
    again, made = make_steps(toy_plan(toy, tmp_path / "model", CHAIN), store, HOST, observer)
    assert (made, observer.made, again) == (False, [], first)
    _, made = make_steps(toy_plan(toy, tmp_path / "model", {**CHAIN, "small": 5}), store, HOST, observer)
    assert (made, observer.made) == (True, ["small", "smaller"])  # what reads the changed one is another one too
    assert toy.made == [1, 2, 3, 5, 3]


def test_what_is_done_elsewhere_is_taken_as_it_is(toy: ToyStage, store: Store, tmp_path: Path) -> None:
    elsewhere, _ = make_steps(toy_plan(toy, tmp_path / "model", {"base": 1}), Store(tmp_path / "other"), HOST, Silent())
    artifacts, _ = make_steps(toy_plan(toy, tmp_path / "model", CHAIN), store, HOST, Silent(), done=elsewhere)
    assert artifacts["base"] is elsewhere["base"]
    assert toy.made == [1, 2, 3]


def test_a_damaged_artifact_counts_as_none_and_is_made_again(toy: ToyStage, store: Store, tmp_path: Path) -> None:
    plan = toy_plan(toy, tmp_path / "model", CHAIN)
    artifacts, _ = make_steps(plan, store, HOST, Silent())
    assert stored_artifact(plan.step("small"), store) == artifacts["small"]
    (artifacts["small"].path / "number").write_text("7")
    assert stored_artifact(plan.step("small"), store) is None
    observer = Silent()
    again, made = make_steps(plan, store, HOST, observer)
    assert (made, observer.made, totals(again)["small"]) == (True, ["small"], 103)
    assert observer.warnings[0].startswith("'number' is missing or changed; the damaged artifact was set aside in ")


@pytest.mark.parametrize(
    ("error", "kind", "what", "fix"),
    [
        (
            CompressError("it does not fit", fix="cut it"),
            CompressError,
            "step 'base' failed: it does not fit",
            "cut it",
        ),
        (InputError("no such row", where="rows.csv:3"), InputError, "step 'base' failed: no such row", None),
        (MemoryError(), CompressError, "step 'base' ran out of memory", "lower batch_size"),
        (RuntimeError("CUDA out of memory"), CompressError, "step 'base' ran out of memory", "lower batch_size"),
        (RuntimeError("[enforce fail] can't allocate memory"), CompressError, "step 'base' ran out of memory", "lower"),
    ],
)
def test_a_failure_says_which_step_and_where(
    toy: ToyStage, store: Store, tmp_path: Path, error: Exception, kind: type[CompressError], what: str, fix: str | None
) -> None:
    toy.fails_at = error
    with pytest.raises(CompressError) as raised:
        make_steps(toy_plan(toy, tmp_path / "model", CHAIN), store, HOST, Silent())
    assert (type(raised.value), raised.value.what) == (kind, what)
    assert (raised.value.fix or "").startswith(fix or "")
    assert raised.value.where == ("rows.csv:3" if kind is InputError else "recipe.yaml:0")


def test_an_error_of_the_program_is_none_of_the_step(toy: ToyStage, store: Store, tmp_path: Path) -> None:
    toy.fails_at = RuntimeError("a bug")
    with pytest.raises(RuntimeError, match="a bug"):
        make_steps(toy_plan(toy, tmp_path / "model", CHAIN), store, HOST, Silent())


def test_an_error_of_a_package_names_the_package(toy: ToyStage, store: Store, tmp_path: Path) -> None:
    toy.fails_at = ValueError("no such layer\nmore of it")
    plan = toy_plan(toy, tmp_path / "model", {"base": 1})
    (step,) = plan.steps
    foreign = replace(step, identity=replace(step.identity, package="shrinker"))
    with pytest.raises(CompressError) as raised:
        make_steps(replace(plan, steps=(foreign,)), store, HOST, Silent())
    assert raised.value.what == "step 'base' failed in the package shrinker: ValueError: no such layer"
    assert (raised.value.where, raised.value.exit_code) == ("recipe.yaml:0", 1)
    assert raised.value.fix == "run again with --debug, and report it to those who make shrinker"


def test_a_stop_comes_before_the_next_step_and_keeps_those_before(toy: ToyStage, store: Store, tmp_path: Path) -> None:
    class Impatient(Silent):
        def stopping(self) -> bool:
            return len(self.made) == 2

    plan = toy_plan(toy, tmp_path / "model", CHAIN)
    with pytest.raises(Stopped):
        make_steps(plan, store, HOST, Impatient())
    assert toy.made == [1, 2]
    make_steps(plan, store, HOST, Silent())
    assert toy.made == [1, 2, 3]


def test_by_products_are_made_once_for_all_steps(store: Store, tmp_path: Path) -> None:
    made: list[Path] = []

    class Asking(ToyStage):
        def run(self, *, context: Any, **more: Any) -> Mapping[str, Any]:
            def make(out: Path) -> None:
                made.append(out)
                (out / "answers").write_text("7")

            found = context.cached("answers", {"temperature": 2}, {"teacher": "t"}, make)
            facts = super().run(context=context, **more)
            return {**facts, "by_product": found.key, "rehearsal": context.rehearsal is not None}

    toy = Asking()
    artifacts, _ = make_steps(toy_plan(toy, tmp_path / "model", CHAIN), store, HOST, Silent())
    assert len(made) == 1
    assert len({artifact.facts["by_product"] for artifact in artifacts.values()}) == 1
    assert [artifact.facts["rehearsal"] for artifact in artifacts.values()] == [False] * 3


def test_a_rehearsal_is_told_to_the_stage(store: Store, tmp_path: Path) -> None:
    told = []

    class Rehearsing(ToyStage):
        def run(self, *, context: Any, **more: Any) -> Mapping[str, Any]:
            told.append((context.rehearsal, context.train_rows, context.seed, context.device))
            return super().run(context=context, **more)

    rehearsal = Rehearsal(640, 64, 0, 1)
    plan = toy_plan(Rehearsing(), tmp_path / "model", {"base": 1}, seed=3)
    make_steps(plan, store, HOST, Silent(), rehearsal=rehearsal)
    assert told == [(rehearsal, 640, 3, "cpu")]


def test_an_export_that_measuring_needs_is_a_step_like_others(toy: ToyStage, store: Store, tmp_path: Path) -> None:
    plan = toy_plan(toy, tmp_path / "model", CHAIN)
    hidden = replace(plan.steps[2], only_measured=True)
    artifacts, _ = make_steps(replace(plan, steps=(*plan.steps[:2], hidden)), store, HOST, Silent())
    assert list(artifacts) == list(CHAIN)
