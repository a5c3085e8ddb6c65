"""Wheels of `pypi://` sources: members that lead out, that lie or that grow, and what pip could take from elsewhere."""

import hashlib
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.faults.cases import Case, refused, succeeded
from benchmarks.faults.finished_run import write_recipe
from benchmarks.faults.small_run import Ended

ONLY_HERE = (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", "index"), ("PIP_CONFIG_FILE", "/dev/null"))
ROWS = "text,label\n" + "a good film,good\na bad film,bad\n" * 40
SOURCE = "pypi://tiny-rows==1.0/tiny_rows/data"
RAN = "ran.txt"
"""Written by code that must not run."""
SHADOW = f"open({RAN!r}, 'a').write(__name__)\n"

Fill = Callable[[zipfile.ZipFile], None]


def write_wheel(fill: Fill, folder: Path) -> Path:
    """A wheel of `tiny-rows` in the folder that pip takes for its index."""
    path = folder / "index" / "tiny_rows-1.0-py3-none-any.whl"
    path.parent.mkdir()
    info = "tiny_rows-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-rows\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
        wheel.writestr("tiny_rows/data/train.csv", ROWS)
        fill(wheel)
    return path


def _plan(
    fill: Fill, folder: Path, *, pin: str | None = None, damage: Callable[[Path], None] | None = None
) -> Sequence[str]:
    """A recipe whose rows stand in a wheel."""
    path = write_wheel(fill, folder)
    if damage is not None:
        damage(path)
    sha = pin or hashlib.sha256(path.read_bytes()).hexdigest()
    task = {"train": f"{SOURCE}/train.csv", "max_length": 32, "test_fraction": 0.5, "overlap": "allow"}
    steps = [{"name": "teacher", "stage": "finetune", "model": f"{SOURCE}/model"}]
    write_recipe(folder, task=task, steps=steps, pins={"tiny-rows==1.0": sha})
    return ["plan", "r.yaml", "--no-forecast"]


def _member(name: str, text: str | bytes = "x", **said: int) -> Fill:
    """Fills a wheel with one more file, of which the archive says things."""

    def fill(wheel: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED
        for key, value in said.items():
            setattr(info, key, value)
        wheel.writestr(info, text)

    return fill


def _both(*fills: Fill) -> Fill:
    def fill(wheel: zipfile.ZipFile) -> None:
        for each in fills:
            each(wheel)

    return fill


def _lies(path: Path) -> None:
    """The sizes in the archive's directory are one tenth of what unpacks."""
    raw = bytearray(path.read_bytes())
    place = raw.rindex(b"tiny_rows/data/model/big.json") - 46
    raw[place + 24 : place + 28] = (int.from_bytes(raw[place + 24 : place + 28], "little") // 10).to_bytes(4, "little")
    path.write_bytes(raw)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _flipped(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"tiny_rows/data/train.csv") + 40] ^= 0xFF
    path.write_bytes(raw)


def _nothing(wheel: zipfile.ZipFile) -> None:
    del wheel


def _shadowed(folder: Path) -> Sequence[str]:
    """Modules beside the recipe that Python could take for its own, or for pip."""
    for name in (
        "pip",
        "json",
        "multiprocessing",
        "typing",
        "zipfile",
        "ssl",
        "email",
        "torch",
        "numpy",
        "sitecustomize",
    ):
        (folder / f"{name}.py").write_text(SHADOW, encoding="utf-8")
    return _rows_alone(folder)


def _rows_alone(folder: Path, source: str = f"{SOURCE}/train.csv") -> Sequence[str]:
    path = write_wheel(_nothing, folder)
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    requirement = source.removeprefix("pypi://").partition("/")[0]
    task = {"train": source, "max_length": 32, "test_fraction": 0.5, "overlap": "allow"}
    write_recipe(folder, task=task, pins={requirement: sha})
    return ["plan", "r.yaml", "--no-forecast"]


def _source_archive(folder: Path) -> Sequence[str]:
    """An archive in the current folder that pip would take by its name, and build."""
    name = "tiny-rows==1.0.tar.gz"
    with tarfile.open(folder / name, "w:gz") as archive:
        raw = SHADOW.encode()
        for inside in ("x/setup.py", "x/pyproject.toml"):
            info = tarfile.TarInfo(inside)
            info.size = len(raw) if inside.endswith(".py") else 0
            archive.addfile(info, io.BytesIO(raw))
    return _rows_alone(folder, f"pypi://{name}/tiny_rows/data/train.csv")


def nothing_ran(folder: Path, ended: Ended) -> str | None:
    """Code that ran although it stands in the current folder."""
    if (folder / RAN).exists():
        return f"code of the current folder ran: {(folder / RAN).read_text(encoding='utf-8')}"
    return None if "80 training" in ended.stdout or "training" in ended.stdout else "the plan names no rows"


def _refused_and_not_run(*words: str) -> Callable[[Path, Ended], str | None]:
    told = refused(*words, code=2)
    return lambda folder, ended: told(folder, ended) or ("code ran" if (folder / RAN).exists() else None)


BOMB = b"\0" * 100_000_000
BELOW = "tiny_rows/data/model"
UNSAFE = {
    "a path that leads out": _member(f"{BELOW}/../../../../canary.txt"),
    "a path with a drive": _member(f"{BELOW}/c:/x"),
    "a path with backslashes": _member(f"{BELOW}/..\\..\\x"),
    "a link": _member(f"{BELOW}/config.json", "/etc/passwd", external_attr=(stat.S_IFLNK | 0o777) << 16),
    "a pipe": _member(f"{BELOW}/config.json", "", external_attr=(stat.S_IFIFO | 0o666) << 16),
    "a device": _member(f"{BELOW}/config.json", "", external_attr=(stat.S_IFCHR | 0o666) << 16),
    "one name twice": _both(_member(f"{BELOW}/a.json", "1"), _member(f"{BELOW}/a.json", "2")),
    "one name in two cases": _both(_member(f"{BELOW}/a.json"), _member(f"{BELOW}/A.json")),
    "a file that is a folder": _both(_member(f"{BELOW}/a.json"), _member(f"{BELOW}/a.json/b.json")),
    "a name with ESC": _member(f"{BELOW}/a\x1b[31m.json"),
    "another packing": _member(f"{BELOW}/a.json", compress_type=zipfile.ZIP_LZMA),
}
CASES = [
    *[
        Case(f"a wheel with {name}", "archive", partial(_plan, fill), refused("an unsafe member", code=1), ONLY_HERE)
        for name, fill in UNSAFE.items()
    ],
    Case(
        "a bomb",
        "archive",
        partial(_plan, _member(f"{BELOW}/a.json", BOMB)),
        refused("unpacks to more than any wheel"),
        ONLY_HERE,
    ),
    Case(
        "a member that lies of its size",
        "archive",
        partial(_plan, _member(f"{BELOW}/big.json", "x" * 100_000), damage=_lies),
        refused("is not a readable archive"),
        ONLY_HERE,
    ),
    Case("an archive cut off", "archive", partial(_plan, _nothing, damage=_cut), refused("tiny-rows==1.0"), ONLY_HERE),
    Case(
        "a flipped byte",
        "archive",
        partial(_plan, _nothing, damage=_flipped),
        refused("is not a readable archive"),
        ONLY_HERE,
    ),
    Case("another hash", "archive", partial(_plan, _nothing, pin="0" * 64), refused("not the pinned 000"), ONLY_HERE),
    Case("a name too long", "archive", partial(_plan, _member(f"{BELOW}/{'n' * 300}")), refused("too long"), ONLY_HERE),
    Case("modules beside the recipe", "archive", _shadowed, succeeded(nothing_ran), ONLY_HERE),
    Case(
        "pip's archive in the current folder",
        "archive",
        _source_archive,
        _refused_and_not_run("not a wheel source"),
        ONLY_HERE,
    ),
]
