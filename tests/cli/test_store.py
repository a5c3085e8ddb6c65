"""`compress store`: what is kept, what is damaged, and what may go."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from compress.store.artifacts import Artifact, Identity
from compress.store.store import Store

IDENTITY = Identity("distill", 1, {"layers": 2}, {"model": "abc"}, "rows", 0)


def make(out: Path, work: Path) -> None:
    (out / "config.json").write_text("{}")
    (out / "weights.bin").write_bytes(bytes(1000))


@pytest.fixture
def kept(tmp_path: Path) -> dict[str, Artifact]:
    """Four artifacts: one that a run links to, one that it said it needs, and two that nobody names."""
    store = Store(tmp_path / "runs" / "store")
    found = {}
    for number, name in enumerate(("linked", "told", "loose", "other")):
        found[name] = store.obtain(replace(IDENTITY, seed=number), "torch", make, host={})[0]
    run = tmp_path / "runs" / "r8"
    (run / "steps").mkdir(parents=True)
    (run / "steps" / "student").symlink_to(Path("..") / ".." / "store" / found["linked"].path.name)
    (run / "needs.json").write_text(json.dumps({"export": found["told"].path.name}))
    return found


def test_list_says_who_names_what(cli, kept):
    said = cli("store", "list")
    assert said.code == 0
    lines = {line.split()[0]: line for line in said.out.splitlines()}
    assert lines[kept["linked"].path.name].endswith(" r8")
    assert lines[kept["told"].path.name].endswith(" r8")
    assert lines[kept["loose"].path.name].endswith(" -")
    assert said.out.splitlines()[-1].startswith("4 artifacts, ")
    assert said.out.splitlines()[-1].endswith("; 2 named by no run")
    items = {item["key"]: item for item in json.loads(cli("store", "list", "--json").out)}
    assert items[kept["told"].key]["named_by"] == ["r8"]
    assert items[kept["loose"].key]["size_bytes"] > 1000


def test_show_prints_the_manifest_of_a_key(cli, kept):
    found = json.loads(cli("store", "show", kept["loose"].key[:12]).out)
    assert (found["key"], found["named_by"]) == (kept["loose"].key, [])
    assert found["manifest"]["config"] == {"layers": 2}


@pytest.mark.parametrize(
    ("key", "what"), [("distill", "4 artifacts begin with 'distill'"), ("zz", "no artifacts begin")]
)
def test_a_key_must_be_one_artifacts(refused, kept, key, what):
    assert refused("store", "show", key).what.startswith(what)


def test_verify_names_what_is_damaged(cli, kept):
    assert cli("store", "verify").out == "4 artifacts checked, 0 damaged\n"
    (kept["told"].path / "weights.bin").write_bytes(bytes(999) + b"x")
    said = cli("store", "verify")
    assert (said.code, said.out) == (1, "4 artifacts checked, 1 damaged\n")
    assert said.err.startswith(f"error: {kept['told'].path.name}: 'weights.bin' is missing or changed")
    (kept["told"].path / "manifest.json").unlink()
    found = json.loads(cli("store", "verify", "--json").out)
    assert found["damaged"] == {kept["told"].path.name: "its manifest is missing or unreadable"}


def test_gc_removes_what_no_run_names_and_nothing_else(cli, kept, tmp_path):
    scratch = tmp_path / "runs" / "store" / "scratch" / "finetune-0123456789abcdef" / "work"
    scratch.mkdir(parents=True)
    looked = cli("store", "gc", "--dry-run")
    assert looked.out.splitlines()[-1].startswith("3 folders that no run names, ")
    assert kept["loose"].path.is_dir()
    said = cli("store", "gc", "--yes")
    assert (said.code, said.out.splitlines()[-1]) == (0, "removed 3")
    assert [kept[name].path.is_dir() for name in ("linked", "told", "loose", "other")] == [True, True, False, False]
    assert not scratch.exists()
    assert cli("store", "verify").out == "2 artifacts checked, 0 damaged\n"


def test_gc_asks_and_does_nothing_where_nobody_can_answer(refused, kept):
    assert refused("store", "gc", "--json").fix == "add --yes, or look first: --dry-run"
    assert kept["loose"].path.is_dir()


def test_gc_leaves_what_another_run_holds(cli, kept, tmp_path):
    with FileLock(tmp_path / "runs" / "store" / "locks" / f"{kept['loose'].key[:16]}.lock"):
        said = cli("store", "gc", "--yes")
    assert said.out.splitlines()[-1] == "removed 1; 1 are in use by another run"
    assert kept["loose"].path.is_dir()


def test_gc_stops_at_a_run_whose_needs_it_cannot_read(refused, kept, tmp_path):
    (tmp_path / "runs" / "r8" / "needs.json").write_text("{")
    error = refused("store", "gc", "--yes", code=1)
    assert error.what == "what the run needs cannot be read, so nothing is removed"
    assert kept["told"].path.is_dir()


def test_no_store_is_said_so(refused, tmp_path):
    assert refused("store", "list").what == "there is no store in 'runs'"


def test_store_alone_says_what_it_can_do(refused):
    error = refused("store")
    assert error.what == "missing command"
    assert error.fix == "`compress store --help` lists what is accepted"


def test_gc_leaves_the_checkpoints_of_a_run_that_was_killed(cli, kept, tmp_path):
    scratch = tmp_path / "runs" / "store" / "scratch" / "finetune-0123456789abcdef" / "work"
    scratch.mkdir(parents=True)
    needs = tmp_path / "runs" / "killed" / "needs.json"
    needs.parent.mkdir()
    needs.write_text(json.dumps({"teacher": "finetune-0123456789abcdef"}))
    assert cli("store", "gc", "--yes").code == 0
    assert scratch.is_dir()


@pytest.fixture
def treasure(tmp_path):
    """A folder outside of the store, and its one file."""
    file = tmp_path / "outside" / "finetune-0123456789abcdef" / "thesis.txt"
    file.parent.mkdir(parents=True)
    file.write_text("four years")
    return file


def test_gc_takes_links_in_the_store_for_links(cli, kept, treasure, tmp_path):
    store = tmp_path / "runs" / "store"
    places = [store / "finetune-0123456789abcdef", *(store / part / "x-1" for part in ("scratch", "damaged"))]
    for place in places:
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(treasure.parent)
    (kept["loose"].path / "link").symlink_to(treasure.parent)
    (store / "scratch" / f"{kept['other'].path.name}-removed").symlink_to(treasure.parent)
    (store / "scratch" / "note.txt").write_text("a file, no folder")
    assert cli("store", "verify").err.count("it is a link, not a folder") == 1
    said = cli("store", "gc", "--yes")
    assert (said.code, said.out.splitlines()[-1]) == (0, "removed 7")
    assert treasure.read_text() == "four years"
    assert [place for place in places if place.is_symlink()] == []
    assert cli("store", "verify").out == "2 artifacts checked, 0 damaged\n"


@pytest.mark.parametrize("part", ["scratch", "damaged", "locks"])
def test_a_store_whose_own_folder_is_a_link_is_not_touched(refused, kept, treasure, tmp_path, part):
    place = tmp_path / "runs" / "store" / part
    if place.is_dir():
        place.rename(tmp_path / "before")
    place.symlink_to(treasure.parents[1])
    error = refused("store", "gc", "--yes", code=1)
    assert error.what == f"the store's folder '{part}' is a link, so nothing in the store is touched"
    assert kept["loose"].path.is_dir()
    assert [path.name for path in treasure.parents[1].rglob("*")] == [treasure.parent.name, "thesis.txt"]


def test_what_a_run_says_that_it_needs_is_a_name_and_never_a_path(cli, kept, treasure, tmp_path):
    run = tmp_path / "runs" / "r8"
    (run / "steps" / "out").symlink_to(treasure.parent)
    (run / "steps" / "loop").symlink_to("loop")
    (run / "needs.json").write_text(
        json.dumps({"a": "../../outside", "b": str(treasure.parent), "c": 3, "told": kept["told"].path.name})
    )
    assert cli("store", "gc", "--yes").out.splitlines()[-1] == "removed 2"
    assert treasure.read_text() == "four years"
    assert kept["told"].path.is_dir()


def test_needs_nested_without_end_stop_the_cleaning(refused, kept, tmp_path):
    (tmp_path / "runs" / "r8" / "needs.json").write_text("[" * 100_000)
    assert refused("store", "gc", "--yes", code=1).what.startswith("what the run needs cannot be read")


def test_a_manifest_whose_key_is_a_path_locks_nothing_outside(cli, kept, tmp_path):
    path = kept["loose"].path / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "key": "../../../evil"}))
    assert cli("store", "gc", "--yes").out.splitlines()[-1] == "removed 2"
    assert list(tmp_path.rglob("*evil*")) == []


def test_names_in_the_store_reach_the_terminal_written_out(cli, kept, tmp_path):
    (tmp_path / "runs" / "store" / "x\x1b[2J\n-1").mkdir()
    said = cli("store", "list")
    assert "x\\x1b[2J\\n-1 " in said.out
    assert cli("store", "verify").err.startswith("error: x\\x1b[2J\\n-1: its manifest is missing")


def test_a_link_in_the_place_of_a_lock_leaves_its_target_as_it_is(cli, kept, treasure, tmp_path):
    lock = tmp_path / "runs" / "store" / "locks" / f"{kept['loose'].key[:16]}.lock"
    lock.unlink(missing_ok=True)
    lock.symlink_to(treasure)
    said = cli("store", "gc", "--yes")
    assert "Traceback" not in said.err
    assert treasure.read_text() == "four years"
