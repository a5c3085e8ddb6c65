"""Names of runs, steps, folders, columns and labels: another's folder, markup, control characters, too long."""

import csv
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.faults.cases import Case, Check, refused, small_run, succeeded
from benchmarks.faults.finished_run import copy_finished, write_recipe
from benchmarks.faults.hostile_lineages import printed_plainly
from benchmarks.faults.small_run import Ended

QUICK = ["--rounds", "2", "--samples", "2", "--warmup", "1", "--max-length", "32", "--sequence-length", "32"]
LONG = "n" * 300
DEEP = "/".join(["d" * 200] * 30)


def _named(changed: Mapping[str, object], folder: Path) -> Sequence[str]:
    write_recipe(folder, **changed)
    return ["plan", "r.yaml", "--no-forecast"]


def _arguments(arguments: Sequence[str], folder: Path) -> Sequence[str]:
    write_recipe(folder)
    return arguments


def _steps(*names: str) -> dict[str, object]:
    own = {"stage": "finetune", "model": "model", "epochs": 1}
    return {"steps": [{"name": name, **own} for name in names]}


def _bench(names: Sequence[str], folder: Path) -> Sequence[str]:
    """Two copies of a model under names of their own, measured with a report."""
    copy_finished(folder)
    graph = next((folder / "runs" / "store").glob("export_onnx-*"))  # made to measure the run
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(graph, folder / name)
    return ["bench", *names, "--data", "test.csv", *QUICK, "-o", "out"]


def _shows(*names: str) -> Check:
    """The check of a bench whose names are shown as they are, in tables and reports, and do nothing there."""

    def check(folder: Path, ended: Ended) -> str | None:
        shown = "".join(ended.stdout.split())
        lost = [name for name in names if "".join(name.split()) not in shown]
        if lost:
            return f"{lost} is not shown"
        rows = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))["rows"]
        if [row["status"] for row in rows] != ["measured"] * 2:
            return f"the report's rows are {[row['status'] for row in rows]}"
        text = (folder / "out" / "report.md").read_text(encoding="utf-8")
        outside = re.sub(r"`[^`\n]*`", "", text).replace("\\](", "").replace("\\[", "")  # code and escapes do nothing
        live = [part for part in ("<b", "](", "\x1b", "\u202e") if part in outside]
        return f"the Markdown holds {live}" if live else printed_plainly(folder, ended)

    return succeeded(check)


def _labels(good: str, bad: str, folder: Path) -> Sequence[str]:
    """A run on labels of these names; its model card is written."""
    write_recipe(folder)
    for name in ("train.csv", "test.csv"):
        rows = list(csv.reader((small_run() / name).open(encoding="utf-8")))
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([[text, {"good": good, "bad": bad}.get(label, label)] for text, label in rows])
    return ["run", "r.yaml"]


def _card(*live: str) -> Check:
    """The check of a run whose card and report hold none of these as they are."""

    def check(folder: Path, ended: Ended) -> str | None:
        for path in (folder / "runs" / "tiny").glob("**/*.md"):
            found = [part for part in live if part in path.read_text(encoding="utf-8")]
            if found:
                return f"{path.name} holds {found}"
        return printed_plainly(folder, replace(ended, stderr=""))  # libraries draw bars there

    return succeeded(check)


def _report_paths(folder: Path, ended: Ended) -> str | None:
    """A full path of this machine in what others read."""
    del ended
    for name in ("report.json", "report.html", "report.md", "final/README.md"):
        if str(folder) in (folder / "runs" / "tiny" / name).read_text(encoding="utf-8"):
            return f"{name} holds {folder}"
    return None


def _whole_paths(folder: Path) -> Sequence[str]:
    task = {"train": str(folder / "train.csv"), "test": str(folder / "test.csv"), "max_length": 32, "overlap": "allow"}
    steps = [{"name": "teacher", "stage": "finetune", "model": str(folder / "model"), "epochs": 1}]
    write_recipe(folder, task=task, steps=steps)
    return ["run", str(folder / "r.yaml")]


TAKEN = [
    Case(f"a run named {name}", "name", partial(_named, {"name": name}), refused("'name'", word, "r.yaml:1", code=2))
    for name, word in {
        "store": "folder of the store",
        "STORE": "folder of the store",
        "CON": "device",
        "nul.txt": "device",
        "Lpt1": "device",
        "tiny.": "dot at the end",
        "a/b": "pattern",
        "..": "pattern",
        "a\u2028b": "pattern",
        LONG: "100",
    }.items()
]
STEPS = [
    Case("a step named aux", "name", partial(_named, _steps("aux")), refused("device", code=2)),
    Case(
        "steps of one name but for the case", "name", partial(_named, _steps("A", "a")), refused("'A' and 'a'", code=2)
    ),
    Case("a step named ../x", "name", partial(_named, _steps("../x")), refused("pattern", code=2)),
]
TOO_LONG = [
    Case(f"{what} too long", "name", partial(_arguments, arguments), refused("too long", "shorter names", code=2))
    for what, arguments in {
        "a recipe's name is": ["plan", f"{LONG}.yaml"],
        "a runs folder's name is": ["run", "r.yaml", "--runs-dir", LONG],
        "a runs folder's path is": ["run", "r.yaml", "--runs-dir", DEEP],
        "a report's folder is": ["report", LONG],
        "a lineage's folder is": ["lineage", LONG],
        "the recipe of reproduce is": ["init", "--model", "model", "--train", "train.csv", "-o", f"{LONG}.yaml"],
        "a doctor's folder is": ["doctor", DEEP],
    }.items()
] + [
    Case(
        "a model's path is too long",
        "name",
        partial(_named, {"steps": [{"name": "a", "stage": "finetune", "model": LONG}]}),
        refused("too long", code=2),
    ),
    Case("a table's path is too long", "name", partial(_named, {"task": {"train": DEEP}}), refused("too long", code=2)),
]
SHOWN = [
    Case(f"folders named {names}", "name", partial(_bench, names), _shows(*shown))
    for names, shown in (
        (("m[/x]y", "n[/x]y"), ("m[/x]y", "n[/x]y")),
        (("int8[red]", "[bold]int8"), ("int8[red]", "[bold]int8")),
        (("[link=a.b]c", ":smile:"), ("[link=a.b]c", ":smile:")),
        (("\\[x", "[![a](b.png)]"), ("\\[x", "[![a](b.png)]")),
        (("a\x1b[31mX", "b\nerror: c"), ("a\\x1b[31mX", "b\\nerror: c")),
        (("<b>x", "\u202eabc"), ("<b>x", "\\u202eabc")),
    )
]
CARDS = [
    Case("labels with ESC", "name", partial(_labels, "good\x1b[31m", "bad\x9b31m"), _card("\x1b", "\x9b")),
    Case("labels that are links", "name", partial(_labels, "<img src=x>", "a`![b](c)"), _card("a`!")),
]
CASES = [
    *TAKEN,
    *STEPS,
    *TOO_LONG,
    *SHOWN,
    *CARDS,
    Case("full paths in a recipe", "name", _whole_paths, succeeded(_report_paths)),
]
