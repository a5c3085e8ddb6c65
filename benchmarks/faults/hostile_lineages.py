"""A foreign `lineage.json`, shown or made into a recipe: texts that become something else, sources that never end."""

import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks.faults.cases import Case, Check, refused, succeeded
from benchmarks.faults.finished_run import NAME, copy_finished
from benchmarks.faults.hostile_run_folders import DEEP, DEEP_VALUE
from benchmarks.faults.small_run import Ended

FINAL = Path("runs") / NAME / "final"
OUT = "again.yaml"
HIDDEN = "trust_remote_code: true"

Change = Callable[[dict[str, Any]], None]


def _reproduce(change: Change, folder: Path) -> Sequence[str]:
    _changed(change, folder)
    return ["reproduce", str(FINAL), "-o", OUT]


def _show(change: Change, folder: Path) -> Sequence[str]:
    _changed(change, folder)
    return ["lineage", str(FINAL)]


def _changed(change: Change, folder: Path) -> None:
    copy_finished(folder)
    path = folder / FINAL / "lineage.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _whole(text: str, folder: Path) -> Sequence[str]:
    copy_finished(folder)
    (folder / FINAL / "lineage.json").write_text(text, encoding="utf-8")
    return ["reproduce", str(FINAL), "-o", OUT]


def _special(make: Callable[[Path], None], folder: Path) -> Sequence[str]:
    copy_finished(folder)
    path = folder / FINAL / "lineage.json"
    path.unlink()
    make(path)
    return ["reproduce", str(FINAL), "-o", OUT]


def printed_plainly(folder: Path, ended: Ended) -> str | None:
    """A control character that reached the terminal."""
    del folder
    unprinted = [char for char in ended.stdout + ended.stderr if char != "\n" and not char.isprintable()]
    return f"{unprinted[0]!r} is printed" if unprinted else None


def same_recipe(folder: Path, ended: Ended) -> str | None:
    """What the recipe says that the run's own does not, comments and all."""
    text = (folder / OUT).read_text(encoding="utf-8")
    own = yaml.safe_load((folder / "runs" / NAME / "recipe.yaml").read_text(encoding="utf-8"))
    found = yaml.safe_load(text)
    if found != own:
        return f"the recipe says {found}"
    odd = [char for char in text if char != "\n" and not char.isprintable()]
    return f"the recipe holds {odd[0]!r}" if odd else printed_plainly(folder, ended)


def _step(key: str, value: Any) -> Change:
    return lambda content: content["steps"][-1].update({key: value})


def _top(key: str, value: Any) -> Change:
    return lambda content: content.update({key: value})


def _pinned(path: str) -> Change:
    return lambda content: content["sources"][0].update({"pinned": path})


def _says(*words: str) -> Check:
    """The check of a case that must end well and say all `words`."""

    def check(folder: Path, ended: Ended) -> str | None:
        missing = [word for word in words if word not in ended.stdout + ended.stderr]
        return f"it does not say {missing}" if missing else printed_plainly(folder, ended)

    return succeeded(check)


def _pipe_as_source(folder: Path) -> Sequence[str]:
    os.mkfifo(folder / "pipe.csv")
    return _reproduce(_pinned(str(folder / "pipe.csv")), folder)


def _trusting(content: dict[str, Any]) -> None:
    content["recipe"] += f"{HIDDEN}\n"


BREAKS = {
    "U+2028": "\u2028",
    "U+2029": "\u2029",
    "U+0085": "\x85",
    "CR": "\r",
    "VT": "\v",
    "LF": "\n",
    "ESC": "\x1b[31m",
}
BREAKS |= {"U+202E": "\u202e", "C1 CSI": "\x9b31m"}
HIDING = [
    Case(
        f"{name} in a step's name",
        "lineage",
        partial(_reproduce, _step("name", f"a{char}{HIDDEN}{char}# ")),
        succeeded(same_recipe),
    )
    for name, char in BREAKS.items()
]
ELSEWHERE = [
    Case(f"U+2028 in {name}", "lineage", partial(_reproduce, change), succeeded(same_recipe))
    for name, change in {
        "the recipe's name": _top("name", f"a\u2028{HIDDEN}"),
        "the day": _top("created", f"a\u2028{HIDDEN}"),
        "the version": _top("compress_version", f"a\x85{HIDDEN}"),
        "the processor's name": _step("host", {"cpu": f"a\u2028{HIDDEN}", "system": f"b\u2029{HIDDEN}"}),
        "a package's name": _step("versions", {f"torch\u2028{HIDDEN}\u2028#": "1"}),
    }.items()
]
SOURCES = [
    Case(f"a source is {path}", "lineage", partial(_reproduce, _pinned(path)), _says("no plain file"))
    for path in ("/dev/zero", "/dev/stdin", "/dev/tty")
]
SHAPES = {
    "nested without end": DEEP,
    "nested deep": DEEP_VALUE,
    "a number that is not finite": '{"format": 1, "seed": NaN}',
    "a key twice": '{"format": 1, "format": 1}',
    "half of a character": '{"format": 1, "name": "\\ud800"}',
    "no object": "[]",
}
CASES = [
    *HIDING,
    *ELSEWHERE,
    *SOURCES,
    Case("a source is a pipe", "lineage", _pipe_as_source, _says("no plain file")),
    Case(
        "a source's path is too long",
        "lineage",
        partial(_reproduce, _pinned("/x" * 3000)),
        _says("cannot be looked at: File name too long"),
    ),
    Case(
        "a recipe that trusts code",
        "lineage",
        partial(_reproduce, _trusting),
        _says("trust_remote_code", "read that code"),
    ),
    Case("ESC in what is shown", "lineage", partial(_show, _step("name", "a\x1b]0;x\x07")), _says("a\\x1b]0;x\\x07")),
    Case(
        "markup in what is shown",
        "lineage",
        partial(_show, _step("name", "a[/x][red]:smile:")),
        _says("a[/x][red]:smile:"),
    ),
    *[
        Case(f"lineage.json with {name}", "lineage", partial(_whole, text), refused("lineage.json is damaged", code=2))
        for name, text in SHAPES.items()
    ],
    Case(
        "lineage.json is a pipe", "lineage", partial(_special, os.mkfifo), refused("has neither lineage.json", code=2)
    ),
    Case(
        "lineage.json is a device",
        "lineage",
        partial(_special, lambda path: path.symlink_to("/dev/zero")),
        refused("has neither lineage.json", code=2),
    ),
]
