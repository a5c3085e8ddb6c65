"""Run folders and stores out of a foreign checkout: links, pipes and devices in our files' places, damaged JSON."""

import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.faults.cases import Case, Check, refused, succeeded
from benchmarks.faults.finished_run import NAME, copy_finished, write_unmeasured
from benchmarks.faults.small_run import Ended

RUN = Path("runs") / NAME
PRECIOUS = "precious\n"
DEEP = "[" * 100_000 + "]" * 100_000
"""JSON that no reader of the standard library takes."""
DEEP_VALUE = '{"x": ' * 300 + "1" + "}" * 300
"""JSON that is read, and that other code then fails on."""

Harm = Callable[[Path], None]


def victim(folder: Path) -> Path:
    """A folder of somebody else's, with two files."""
    docs = folder / "docs"
    docs.mkdir(exist_ok=True)
    for name in ("thesis.txt", "checkpoint-1"):
        (docs / name).write_text(PRECIOUS, encoding="utf-8")
    return docs


def _link(place: str, folder: Path, *, to: str = "docs") -> None:
    """Put a link in the place of what stands there."""
    target, path = victim(folder).parent / to, folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        path.rename(folder / "moved")
    path.symlink_to(os.path.relpath(target, path.parent))


def _pipe(place: str, folder: Path) -> None:
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _device(place: str, folder: Path) -> None:
    (folder / place).unlink(missing_ok=True)
    (folder / place).symlink_to("/dev/zero")


def _text(place: str, text: str, folder: Path) -> None:
    (folder / place).write_text(text, encoding="utf-8")


def _value(place: str, key: str, value: str, folder: Path) -> None:
    """Replace one value of a JSON file by a text that is no value of ours."""
    path = next(iter(folder.glob(place)))
    content = json.loads(path.read_text(encoding="utf-8"))
    content[key] = "@@"
    path.chmod(0o644)
    path.write_text(json.dumps(content).replace('"@@"', value), encoding="utf-8")


def untouched(folder: Path, ended: Ended) -> str | None:
    """What somebody else has lost."""
    del ended
    docs = folder / "docs"
    if docs.is_dir():
        found = {path.name: path.read_text(encoding="utf-8") for path in docs.iterdir()}
        if found != dict.fromkeys(("thesis.txt", "checkpoint-1"), PRECIOUS):
            return f"another's folder holds {found}"
    return None


def whole_run(folder: Path, ended: Ended) -> str | None:
    """What of the run is not as it should be at its end."""
    final = folder / RUN / "final"
    if final.is_symlink() or not (final / "model.safetensors").is_file():
        return "no final folder with a model"
    step = folder / RUN / "steps" / "teacher"
    if not (step / "manifest.json").is_file():
        return "steps/teacher does not lead to the artifact"
    for name in ("run.log", "needs.json", "recipe.yaml", ".lock", "final/lineage.json"):
        if (folder / RUN / name).is_symlink() or not (folder / RUN / name).is_file():
            return f"{name} is no plain file"
    json.loads((folder / RUN / "needs.json").read_text(encoding="utf-8"))
    return untouched(folder, ended)


def reported(folder: Path, ended: Ended) -> str | None:
    """The same of a run that is measured."""
    rows = json.loads((folder / RUN / "report.json").read_text(encoding="utf-8"))["rows"]
    statuses = [row["status"] for row in rows]
    return whole_run(folder, ended) or (None if statuses == ["measured"] else f"the report's rows are {statuses}")


def _again(harm: Harm, folder: Path) -> Sequence[str]:
    arguments = copy_finished(folder)
    harm(folder)
    return arguments


def _fresh(harm: Harm, folder: Path) -> Sequence[str]:
    arguments = write_unmeasured(folder)
    harm(folder)
    return arguments


def _command(harm: Harm, arguments: Sequence[str], folder: Path) -> Sequence[str]:
    copy_finished(folder)
    harm(folder)
    return arguments


RIGHT = succeeded(reported)
How = Callable[[Harm, Path], Sequence[str]]


def _case(name: str, harm: Harm, wrong: Check = RIGHT, how: How = _again) -> Case:
    return Case(name, "run folder", partial(how, harm), wrong)


def _moved_store(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "runs").mkdir()
    (folder / "runs" / "store").symlink_to("../elsewhere")


def _locks(folder: Path) -> None:
    """Links in the places of the locks of all that will be made; the keys are those of the finished run."""
    for path in (folder / "runs" / "store").glob("finetune-*"):
        _link(f"runs/store/locks/{path.name.rpartition('-')[2]}.lock", folder, to="docs/thesis.txt")
        path.rename(folder / "taken-away")


def _scratch(part: str, folder: Path) -> None:
    """A link where the scratch of a step will be, whose checkpoints are removed at its end."""
    for path in (folder / "runs" / "store").glob("finetune-*"):
        _link(f"runs/store/scratch/{path.name}/{part}", folder)
        path.rename(folder / "taken-away")


def _gone(folder: Path) -> None:
    for part in ("part", "old"):
        _link(f"{RUN}/.final.{part}", folder)
    (folder / RUN / "final" / "lineage.json").write_text("{}", encoding="utf-8")


def _final_file(folder: Path) -> None:
    (folder / RUN / "final").rename(folder / "moved")
    _text(f"{RUN}/final", "x", folder)


def _run_file(folder: Path) -> None:
    (folder / "runs").mkdir()
    _text(str(RUN), "x", folder)


def _own_file(folder: Path) -> None:
    (folder / RUN / "steps").mkdir(parents=True, exist_ok=True)
    (folder / RUN / "steps" / "notes.txt").write_text(PRECIOUS, encoding="utf-8")


def _kept_own_file(folder: Path, ended: Ended) -> str | None:
    text = (folder / RUN / "steps" / "notes.txt").read_text(encoding="utf-8")
    return reported(folder, ended) or (None if text == PRECIOUS else "a file in steps/ was changed")


def _nothing_to_remove(folder: Path, ended: Ended) -> str | None:
    return reported(folder, ended) or (None if "0 folders that no run names" in ended.stdout else ended.stdout)


def _store_by_link(folder: Path) -> None:
    (folder / "runs" / "store").rename(folder / "elsewhere")
    (folder / "runs" / "store").symlink_to("../elsewhere")


MANIFEST = "runs/store/finetune-*/manifest.json"
LINKED = [
    _case(f"{name} is a link", partial(_link, f"{RUN}/{name}", to="docs/thesis.txt"), succeeded(whole_run), _fresh)
    for name in ("run.log", "events.jsonl", ".lock", "needs.json", "recipe.yaml")
]
PIPES = [
    _case(f"{name} is a pipe", partial(_pipe, f"{RUN}/{name}"))
    for name in ("run.log", ".lock", "needs.json", "measurements.json", "report.json", "forecast.json")
]
DAMAGED = [
    _case(f"{name} is nested without end", partial(_text, f"{RUN}/{name}", DEEP))
    for name in ("needs.json", "measurements.json", "report.json", "forecast.json", "final/lineage.json")
] + [
    _case(f"{name} is nested deep", partial(_text, f"{RUN}/{name}", DEEP_VALUE))
    for name in ("measurements.json", "report.json", "final/lineage.json")
]
VALUES = [
    _case(f"a manifest with {key} {label}", partial(_value, MANIFEST, key, value))
    for key, label, value in (
        ("facts", "nested deep", DEEP_VALUE),
        ("facts", "nested without end", DEEP),
        ("seconds", "NaN", "NaN"),
        ("seconds", "1e999", "1e999"),
        ("seed", "of 4,000 digits", "9" * 4000),
        ("data", "that is half of a character", '"\\ud800"'),
        ("seed", "twice", '1, "seed": 1'),
        ("files", "that is a list", "[1, 2]"),
    )
]
CASES = [
    _case("final is a link to a folder", partial(_link, f"{RUN}/final"), succeeded(whole_run), _fresh),
    _case("final of a finished run is a link", partial(_link, f"{RUN}/final")),
    _case("final is a link to nothing", partial(_link, f"{RUN}/final", to="nowhere")),
    _case("final is a file", _final_file),
    _case("links where final is made", _gone),
    _case("steps is a link", partial(_link, f"{RUN}/steps")),
    _case("steps holds a file of the user's", _own_file, succeeded(_kept_own_file)),
    _case("the run's folder is a link", partial(_link, str(RUN)), refused("is a link", "another name", code=2), _fresh),
    _case("the run's folder is a file", _run_file, refused("is a file", "another name", code=2), _fresh),
    _case("the store is a link", _moved_store, succeeded(whole_run), _fresh),
    _case(
        "gc of a store that is a link",
        _store_by_link,
        succeeded(_nothing_to_remove),
        lambda harm, folder: _command(harm, ["store", "gc", "--yes"], folder),
    ),
    *[
        _case(f"the store's {name} is a link", partial(_link, f"runs/store/{name}"), refused("is a link", name), _fresh)
        for name in ("scratch", "locks", "damaged")
    ],
    _case("the locks of the steps are links", _locks),
    _case("the checkpoints of a step are a link", partial(_scratch, "work")),
    _case("the output of a step is a link", partial(_scratch, "out")),
    *LINKED,
    *PIPES,
    _case("measurements.json is a device", partial(_device, f"{RUN}/measurements.json")),
    _case("a manifest is a pipe", lambda folder: _pipe(str(next(folder.glob(MANIFEST)).relative_to(folder)), folder)),
    *DAMAGED,
    *VALUES,
]
