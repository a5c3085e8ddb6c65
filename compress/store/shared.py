"""A store that several machines share, at any URL that fsspec writes to: s3://, gs://, az://, sftp://, file://.

Every process keeps a store of its own, takes from here what it lacks, and puts here what it has. Layout below the URL:

    compress-store.json                         a small file, written to see whether that is possible
    <stage>-<key>/manifest.json                 of an artifact; written last, so what has none is not there
    <stage>-<key>/<digest of the manifest>/     its files

Two machines that put the same artifact at the same time do not mix their files, and the later manifest counts. Nothing
is removed. Who can write there is trusted as far as the models go, and no further: no file lands outside of its folder.
"""

import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import fsspec
from fsspec.core import url_to_fs

from compress.errors import InputError, did_you_mean
from compress.files.disks import cache_folder, free_disk
from compress.files.whole import MANIFEST, MAX_JSON_BYTES, ensure_folder, fingerprint, remove_tree
from compress.store.artifacts import Artifact, DamagedArtifactError, Identity, check_files, open_artifact

OPTION = "--store"
MARK = "compress-store.json"
LOCAL = ("file", "local")
"""Protocols of this machine's own folders."""
IN_MEMORY = "memory"
"""The protocol of files that only one process sees."""
HIDDEN = "***"
_URL = re.compile(r"(?P<protocol>[a-z][a-z0-9+.-]*)://(?P<rest>.*)", re.IGNORECASE | re.DOTALL)

Warn = Callable[[str], None]


class SharedStore:
    """Artifacts at a URL. Neither its text nor its errors and warnings have the URL's passwords.

    Attributes:
        warnings: all that was warned of.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.warnings: list[str] = []
        self._there: set[str] = set()
        self._damaged: set[str] = set()

    def __repr__(self) -> str:
        return f"SharedStore({shown(self.url)!r})"

    @property
    def is_in_memory(self) -> bool:
        """Whether only this process sees it."""
        return self.url.startswith(f"{IN_MEMORY}://")

    def local_folder(self) -> Path:
        """The folder of a worker's own store, below that of downloads: one for each URL."""
        return cache_folder() / "stores" / fingerprint(shown(self.url))[:16]

    def has(self, identity: Identity) -> bool:
        """Whether an artifact seems to be there; its files are not looked at."""
        try:
            return identity.folder in self._there or self._read(_manifest_of(identity.folder)) is not None
        except Exception:  # noqa: BLE001  each protocol has its own errors; who takes it will be warned
            return False

    def pull(self, identity: Identity, out: Path, warn: Warn) -> bool:
        """Take an artifact into a new folder, and say whether that was done; it is compared with its manifest.

        Args:
            out: the folder; there is none afterwards where nothing was taken.
            warn: called with one sentence if the artifact is damaged, or cannot be reached.
        """
        name = identity.folder
        try:
            manifest = self._read(_manifest_of(name))
            if manifest is None:
                return False
            ensure_folder(out.parent)
            remove_tree(out)
            out.mkdir()
            (out / MANIFEST).write_bytes(manifest)
            self._fetch(name, open_artifact(out))  # which has refused names of files that lead out of the folder
            artifact = open_artifact(out)
            check_files(artifact)
            if artifact.key != identity.key:
                raise DamagedArtifactError(f"it has the key {artifact.key[:16]}")
        except DamagedArtifactError as error:
            self._damaged.add(name)
            self._warn(f"{name} is damaged in the shared store: {error.what}; it is made and put there again", warn)
        except Exception as error:  # noqa: BLE001  each protocol has its own errors
            self._warn(f"{name} cannot be taken from the shared store: {self._reason(error)}; it is made here", warn)
        else:
            self._there.add(name)
            return True
        shutil.rmtree(out, ignore_errors=True)
        return False

    def push(self, artifact: Artifact, warn: Warn) -> None:
        """Put an artifact there, the manifest last, unless one is there that was not found damaged.

        Args:
            warn: called with one sentence if that is not possible.
        """
        name = artifact.path.name
        if artifact.manifest is None or name in self._there:
            return
        try:
            if name in self._damaged or self._read(_manifest_of(name)) is None:
                folder = _files_of(name, artifact)
                for file in artifact.manifest.files:
                    self._put(artifact.path / file, f"{folder}/{file}")
                self._put(artifact.path / MANIFEST, _manifest_of(name))
        except Exception as error:  # noqa: BLE001  each protocol has its own errors
            self._warn(f"{name} cannot be put into the shared store: {self._reason(error)}; it is only here", warn)
        else:
            self._there.add(name)
            self._damaged.discard(name)

    def check(self) -> None:
        """See whether files can be written and read there.

        Raises:
            InputError: they cannot.
        """
        try:
            self._read("nothing-is-here")  # without the right to list, some services refuse what is only missing
            with tempfile.TemporaryDirectory() as scratch:
                (Path(scratch) / MARK).write_text('{"layout": 1}\n', encoding="utf-8")
                self._put(Path(scratch) / MARK, MARK)
            if self._read(MARK) is None:
                raise FileNotFoundError
        except ImportError as error:
            raise InputError(
                f"'{shown(self.url)}' needs a package that is not installed", where=OPTION, fix=self._first_line(error)
            ) from None
        except Exception as error:  # noqa: BLE001  each protocol has its own errors
            reason, fix = self._refusal(error)
            raise InputError(f"the store {shown(self.url)} cannot be used: {reason}", where=OPTION, fix=fix) from None

    def _refusal(self, error: Exception) -> tuple[str, str]:
        """Why a store cannot be used, and what to do."""
        if isinstance(error, FileNotFoundError):
            return "it is not there", "make the bucket first, or correct its name"
        if isinstance(error, PermissionError):
            return "access is refused", "allow reading, writing and listing; credentials come from the environment"
        if isinstance(error, NotImplementedError):
            return "nothing can be written there", "give a bucket or a folder: s3://BUCKET/FOLDER, file:///FOLDER"
        return self._reason(error), "check its name, the network, and the credentials in the environment"

    def _fetch(self, name: str, artifact: Artifact) -> None:
        """Fetch an artifact's files, which its folder lacks.

        Raises:
            DamagedArtifactError: a file is missing.
            OSError: they do not fit on the disk, or cannot be reached; protocols have errors of their own too.
        """
        assert artifact.manifest is not None
        system, root = self._open()
        folder = f"{root}/{_files_of(name, artifact)}"
        for file in artifact.manifest.files:
            try:
                size, free = system.size(f"{folder}/{file}") or 0, free_disk(artifact.path)
                if size > free:
                    raise OSError(f"'{file}' has {size / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free")
                (artifact.path / file).parent.mkdir(parents=True, exist_ok=True)
                system.get_file(f"{folder}/{file}", str(artifact.path / file))
            except FileNotFoundError as error:
                raise DamagedArtifactError(f"'{file}' is missing") from error

    def _read(self, place: str) -> bytes | None:
        """The content of a small file, or None if there is none."""
        system, root = self._open()
        system.invalidate_cache()
        try:
            with system.open(f"{root}/{place}", "rb") as file:
                content: bytes = file.read(MAX_JSON_BYTES + 1)
        except FileNotFoundError:
            return None
        return content[:MAX_JSON_BYTES]

    def _put(self, file: Path, place: str) -> None:
        system, root = self._open()
        system.put_file(str(file), f"{root}/{place}")

    def _open(self) -> tuple[Any, str]:
        """The file system, which fsspec keeps, and the path of the URL's folder in it."""
        options = {"auto_mkdir": True} if self.url.partition("://")[0] in LOCAL else {}
        system, root = url_to_fs(self.url, **options)
        return system, root.rstrip("/")

    def _warn(self, message: str, warn: Warn) -> None:
        self.warnings.append(message)
        warn(message)

    def _reason(self, error: Exception) -> str:
        line = self._first_line(error)
        return f"{type(error).__name__}: {line}" if line else type(error).__name__

    def _first_line(self, error: Exception) -> str:
        line = next(iter(str(error).splitlines()), "")
        for secret in _secrets(self.url):
            line = line.replace(secret, HIDDEN)
        return line[:200]


def open_shared(url: str) -> SharedStore:
    """The shared store at a URL, after it was tried.

    Raises:
        InputError: no such protocol is known, a package for it is missing, or it cannot be written to and read from.
    """
    parts = _URL.fullmatch(url)
    if parts is None or "::" in url:
        raise InputError(
            f"'{shown(url):.80}' is no URL of a folder", where=OPTION, fix="write s3://BUCKET/FOLDER or file:///FOLDER"
        )
    protocol = parts["protocol"].lower()
    names = fsspec.available_protocols()
    if protocol not in names:
        fix = did_you_mean(protocol, names, "s3, gs, az, sftp, file and others of fsspec are known")
        raise InputError(f"'{protocol:.40}' is no protocol that fsspec knows", where=OPTION, fix=fix)
    url = f"{protocol}://{parts['rest']}"
    if protocol in LOCAL:
        url = f"file://{url_to_fs(url)[1]}"  # workers may stand in another folder
    shared = SharedStore(url)
    shared.check()
    return shared


def shown(url: str) -> str:
    """A URL as it may be shown: without user, password and query."""
    protocol, mark, rest = url.rpartition("://")
    place, question, _ = rest.partition("?")
    user, at, place = place.rpartition("@")
    return f"{protocol}{mark}{HIDDEN if at else user}{at}{place}{question}{HIDDEN if question else ''}"


def shown_arguments(arguments: Sequence[str]) -> list[str]:
    """A command line's arguments as they may be written down."""
    before = ["", *arguments]
    shown_ones = []
    for previous, argument in zip(before, arguments, strict=False):
        name, equals, value = argument.partition("=")
        if previous == OPTION:
            shown_ones.append(shown(argument))
        else:
            shown_ones.append(f"{name}={shown(value)}" if equals and name == OPTION else argument)
    return shown_ones


def _secrets(url: str) -> list[str]:
    """The parts of a URL that no message may have, the longest first."""
    place, _, query = url.rpartition("://")[2].partition("?")
    user, at, _ = place.rpartition("@")
    password = user.partition(":")[2]
    parts = [f"{user}{at}", user, password, query, *(part.partition("=")[2] for part in query.split("&"))]
    return sorted({text for part in parts for text in (part, unquote(part)) if text}, key=len, reverse=True)


def _manifest_of(name: str) -> str:
    return f"{name}/{MANIFEST}"


def _files_of(name: str, artifact: Artifact) -> str:
    """The folder of an artifact's files, which no artifact of another content has."""
    assert artifact.manifest is not None
    return f"{name}/{artifact.manifest.digest[:16]}"
