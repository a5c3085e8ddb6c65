"""What a store holds, who names it, and what can go: of a run of toy steps."""

from pathlib import Path

import pytest
from filelock import FileLock

from compress.errors import CompressError, InputError
from compress.running.folder import claim, link_steps, needs_of
from compress.running.make import make_steps
from compress.store.artifacts import NEEDS, Artifact
from compress.store.inventory import Item, find, remove, take_inventory, unnamed, verify
from compress.store.store import Store
from tests.chain import Silent
from tests.running.toys import HOST, ToyStage, toy_plan

LINKED, NEEDED = {"base": 1, "small": 2}, {"base": 1, "large": 7}


class Kept:
    """A store with three artifacts: two that one run links to, one of which another run needs, and one of its own."""

    def __init__(self, runs: Path) -> None:
        self.runs, self.store = runs, Store(runs / "store")
        runs.mkdir()
        self.artifacts: dict[str, Artifact] = {}
        for run, numbers in (("done", LINKED), ("begun", NEEDED)):
            plan = toy_plan(ToyStage(), runs.parent / "model", numbers)
            made, _ = make_steps(plan, self.store, HOST, Silent())
            self.artifacts |= made
            if run == "done":
                (runs / run).mkdir()
                link_steps(runs / run, plan, made)
            else:
                claim(runs / run, needs_of([plan], self.store))

    def items(self) -> list[Item]:
        return take_inventory(self.store, self.runs)

    def item(self, step: str) -> Item:
        return next(item for item in self.items() if item.path == self.artifacts[step].path)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "runs")


def test_each_artifact_is_listed_with_its_size_and_the_runs_that_name_it(kept: Kept) -> None:
    items = kept.items()
    assert [item.path for item in items] == sorted(artifact.path for artifact in kept.artifacts.values())
    assert [item.damage for item in items] == [None] * 3
    named = {step: kept.item(step).named_by for step in kept.artifacts}
    assert named == {"base": ("begun", "done"), "small": ("done",), "large": ("begun",)}
    item = kept.item("small")
    assert item.artifact == kept.artifacts["small"]
    assert item.size_bytes == sum(file.stat().st_size for file in item.path.iterdir())


def test_an_empty_place_holds_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs" / "store")
    assert take_inventory(store, tmp_path / "runs") == []
    assert unnamed(store, [], tmp_path / "runs") == []


def test_a_file_that_was_changed_shows_when_it_is_read(kept: Kept) -> None:
    assert verify(kept.item("small")) is None
    (kept.artifacts["small"].path / "number").write_text("7")
    assert kept.item("small").damage is None
    assert verify(kept.item("small")) == "'number' is missing or changed"
    (kept.artifacts["base"].path / "manifest.json").write_text("{")
    item = kept.item("base")
    assert (item.artifact, item.damage) == (None, "its manifest is missing or unreadable")
    assert verify(item) == item.damage


def test_an_artifact_is_found_by_the_beginning_of_its_key(kept: Kept) -> None:
    artifact = kept.artifacts["large"]
    for said in (artifact.key, artifact.key[:16], artifact.path.name):
        assert find(kept.items(), said).artifact == artifact
    with pytest.raises(InputError, match="3 artifacts begin with 'toy-'"):
        find(kept.items(), "toy-")
    with pytest.raises(InputError, match="no artifacts begin with 'zz'"):
        find(kept.items(), "zz")


def test_what_no_run_names_can_go_with_what_was_set_aside_and_what_was_never_finished(kept: Kept) -> None:
    assert unnamed(kept.store, kept.items(), kept.runs) == []
    (kept.runs / "begun" / NEEDS).unlink()
    (kept.store.root / "damaged" / "toy-1").mkdir(parents=True)
    for name in ("toy-2", kept.artifacts["small"].path.name):  # the second is that of a run's step
        (kept.store.root / "scratch" / name).mkdir(parents=True)
    loose = unnamed(kept.store, kept.items(), kept.runs)
    assert [item.path.name for item in loose] == [kept.artifacts["large"].path.name, "toy-1", "toy-2"]
    assert remove(kept.store, loose) == (loose, [])
    assert {item.path for item in kept.items()} == {kept.artifacts[step].path for step in ("base", "small")}
    assert unnamed(kept.store, kept.items(), kept.runs) == []


def test_what_another_run_holds_is_left(kept: Kept) -> None:
    item = kept.item("large")
    with FileLock(kept.store.root / "locks" / f"{kept.artifacts['large'].key[:16]}.lock"):
        assert remove(kept.store, [item]) == ([], [item])
    assert item.path.is_dir()


@pytest.mark.parametrize("content", ["{", "[]"])
def test_needs_that_cannot_be_read_stop_the_cleaning(kept: Kept, content: str) -> None:
    (kept.runs / "begun" / NEEDS).write_text(content)
    with pytest.raises(CompressError, match="what the run needs cannot be read, so nothing is removed"):
        kept.items()
