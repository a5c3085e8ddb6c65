"""Content-addressed artifacts: folders that are written whole or not at all, and checked before they are used.

Layout below the store's root:

    <stage>-<first 16 digits of the key>/   a committed artifact; `manifest.json` was written last
    scratch/<stage>-<key>/out, work         an artifact in the making; survives a crash
    damaged/                                artifacts whose files no longer match their manifest
    locks/                                  one file lock a key
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from compress.errors import CompressError
from compress.files.disks import disk_error, is_disk_full
from compress.files.locks import locked
from compress.files.strict_json import read_json
from compress.files.whole import (
    MANIFEST,
    WEIGHTS,
    file_sha256,
    fingerprint,
    folder_files,
    foreign_entries,
    own_folder,
    remove_tree,
    sync,
    write_text,
)
from compress.store.cost import Meter, Spent, forget_peak_memory, peak_memory_bytes

OWN_FOLDERS = ("scratch", "damaged", "locks")
"""Folders of the store that are no artifacts."""
NEEDS = "needs.json"
"""Name of the file in a run's folder that says, from its beginning on, which folders of the store it needs."""


@dataclass(frozen=True)
class Identity:
    """All that can change an artifact's content, and nothing else. Its hash is the artifact's key."""

    stage: str
    version: int
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    """Role -> key of the artifact or source read."""
    data: str
    """Fingerprint of the task and its training and validation rows; empty where none are read."""
    seed: int
    package: str | None = None
    """That adds the stage: another package's stage of that name is another stage. None for one of compress itself."""

    @property
    def key(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        content = {
            "stage": self.stage,
            "version": self.version,
            "config": self.config,
            "inputs": self.inputs,
            "data": self.data,
            "seed": self.seed,
        }
        return fingerprint(content if self.package is None else {**content, "package": self.package})


class Manifest(BaseModel):
    """What an artifact is and where it came from. Written last, so its presence means that all is there."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    key: str = Field(pattern=r"^[0-9a-f]{64}$")  # its head names files
    stage: str
    version: int
    config: dict[str, Any]
    inputs: dict[str, str]
    data: str
    seed: int
    format: str
    files: dict[str, str]
    """Relative path -> SHA-256."""
    facts: dict[str, Any]
    """What the stage found out: parity, losses, fused nodes, layers kept."""
    versions: dict[str, str]
    host: dict[str, Any]
    created: str
    seconds: float
    cpu_seconds: float | None = None
    """Processor time of all threads."""
    peak_memory_bytes: int | None = None
    """Largest resident memory of the process meanwhile; None where the system does not say."""
    digest: str = ""
    """SHA-256 of all else that stands here."""
    package: str | None = None
    """That adds the stage; `versions` has its version. None for one of compress itself."""

    def sealed(self) -> "Manifest":
        """The same, with its digest."""
        rest = json.loads(self.model_dump_json(exclude={"digest"}))
        told = {name: value for name, value in rest.items() if value is not None}
        return self.model_copy(update={"digest": fingerprint(told)})


@dataclass(frozen=True)
class Artifact:
    """A complete folder that reloads with its format's ordinary loader.

    Attributes:
        path: the folder.
        key: names its content.
        format: `torch`, `torch_bnb` or `onnx`: which loaders read it.
        manifest: what the store wrote of it; None for a model that came from outside.
    """

    path: Path
    key: str
    format: str
    manifest: Manifest | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What the stage that made it found out."""
        return self.manifest.facts if self.manifest else {}


class DamagedArtifactError(CompressError):
    """A stored artifact's files do not match its manifest."""


class Store:
    """The artifacts of all runs below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def check_own_folders(self) -> None:
        """Refuse a store whose folders lead out of it: what is written or removed there would be somebody else's.

        Raises:
            CompressError: with the first such folder.
        """
        for name in OWN_FOLDERS:
            if (self.root / name).is_symlink():
                raise CompressError(
                    f"the store's folder '{name}' is a link, so nothing in the store is touched",
                    where=str(self.root / name),
                    fix="remove the link; to keep the store elsewhere, make a link of the whole store",
                )

    def path(self, identity: Identity) -> Path:
        """Where the artifact of `identity` stands once it is committed."""
        return self.root / f"{identity.stage}-{identity.key[:16]}"

    def get(self, identity: Identity) -> Artifact | None:
        """The committed artifact with its hashes checked, or None if there is none.

        Raises:
            DamagedArtifactError: it is there, but not as it was written.
        """
        path = self.path(identity)
        if not path.is_dir():
            return None
        artifact = open_artifact(path)
        if artifact.key != identity.key:
            raise DamagedArtifactError(f"the stored artifact has the key {artifact.key[:16]}", where=str(path))
        check_files(artifact)
        return artifact

    def set_aside(self, identity: Identity) -> Path:
        """Move a damaged artifact out of the way and say where it is now."""
        path = self.path(identity)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        aside = self.root / "damaged" / f"{path.name}-{stamp}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        path.rename(aside)
        return aside

    def obtain(
        self,
        identity: Identity,
        output_format: str,
        make: Callable[[Path, Path], Mapping[str, Any] | None],
        *,
        host: Mapping[str, Any],
        warn: Callable[[str], None] = lambda _: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> tuple[Artifact, bool]:
        """The artifact of `identity`: taken if it is there and whole, otherwise made and committed.

        Two runs that want the same artifact wait for each other; the second takes what the first made.

        Args:
            make: called with (out, work); writes the artifact below `out`, may keep checkpoints below `work`,
                returns facts for the manifest.
            warn: told in one sentence that a damaged artifact was set aside, or that another run is waited for.
            stopping: asked while another run is waited for.

        Returns:
            The artifact, and whether it was made just now.

        Raises:
            CompressError: the making failed, the disk refuses, or the store's own folders are links.
            Stopped: `stopping` said so while another run was at work on the artifact.
        """
        scratch = self.root / "scratch" / f"{identity.stage}-{identity.key[:16]}"
        try:
            self.check_own_folders()
            with suppress(DamagedArtifactError):  # what is whole is never changed, so it is taken without a lock
                found = self.get(identity)
                if found is not None:
                    return found, False
            lock = self.root / "locks" / f"{identity.key[:16]}.lock"
            with locked(lock, f"the same {identity.stage} step", warn, stopping):
                try:
                    found = self.get(identity)
                except DamagedArtifactError as error:
                    aside = self.set_aside(identity)
                    warn(f"{error.what}; the damaged artifact was set aside in {aside} and is made again")
                    found = None
                if found is not None:
                    return found, False
                out, work = scratch / "out", scratch / "work"
                own_folder(scratch)
                remove_tree(out)
                out.mkdir()
                own_folder(work)
                meter, counted = Meter(work), forget_peak_memory()
                try:
                    facts = make(out, work)
                    memory = peak_memory_bytes() if counted else None
                    artifact = self._commit(
                        identity, output_format, out, dict(facts or {}), dict(host), meter.spent, memory
                    )
                except Exception as error:
                    full = is_disk_full(error, scratch)
                    shutil.rmtree(out, ignore_errors=True)
                    if full:
                        raise disk_error(OSError(errno.ENOSPC, ""), out) from error
                    raise
                shutil.rmtree(scratch, ignore_errors=True)
                return artifact, True
        except OSError as error:
            raise disk_error(error, Path(error.filename) if error.filename else self.root) from error

    def _commit(
        self,
        identity: Identity,
        output_format: str,
        out: Path,
        facts: dict[str, Any],
        host: dict[str, Any],
        spent: Spent,
        memory: int | None,
    ) -> Artifact:
        """Complete what stands in `out`, which took `spent` and so many bytes of memory."""
        names = folder_files(out)
        if not names:
            raise CompressError(
                f"the stage '{identity.stage}' wrote no file",
                where=str(out),
                fix="this is a bug of the stage",
            )
        for name in names:
            sync(out / name)
            if name.endswith(WEIGHTS):  # hard links may share them
                (out / name).chmod((out / name).stat().st_mode & 0o444)  # never more than the umask allows
        versions = host.pop("versions", {})
        manifest = Manifest(
            key=identity.key,
            stage=identity.stage,
            version=identity.version,
            config=dict(identity.config),
            inputs=dict(identity.inputs),
            data=identity.data,
            seed=identity.seed,
            format=output_format,
            files={name: file_sha256(out / name) for name in names},
            facts=facts,
            versions=versions,
            host=host,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(spent.seconds, 3),
            cpu_seconds=round(spent.cpu_seconds, 3),
            peak_memory_bytes=memory,
            package=identity.package,
        )
        unsaid = None if identity.package else {"package"}
        write_text(out / MANIFEST, manifest.sealed().model_dump_json(indent=1, exclude=unsaid))
        sync(out)
        path = self.path(identity)
        out.rename(path)
        sync(self.root)
        return open_artifact(path)


def open_artifact(path: Path) -> Artifact:
    """Read an artifact's manifest; its hashes are not checked.

    Raises:
        DamagedArtifactError: it is a link, has no readable manifest, or one that names a file outside the folder.
    """
    if path.is_symlink():
        raise DamagedArtifactError("it is a link, not a folder", where=str(path))
    if not (path / MANIFEST).is_file() or (path / MANIFEST).is_symlink():
        raise DamagedArtifactError("its manifest is missing or unreadable", where=str(path))
    try:
        manifest = Manifest.model_validate(read_json(path / MANIFEST))
    except (OSError, ValueError) as error:
        raise DamagedArtifactError("its manifest is missing or unreadable", where=str(path)) from error
    if manifest.digest != manifest.sealed().digest:
        raise DamagedArtifactError("its manifest is not as it was written", where=str(path))
    root = Path(os.path.realpath(path))
    for name in manifest.files:
        if "\0" in name or not Path(os.path.realpath(path / name)).is_relative_to(root):
            raise DamagedArtifactError(f"its manifest names '{name}', outside of the folder", where=str(path))
    return Artifact(path, manifest.key, manifest.format, manifest)


def check_files(artifact: Artifact) -> None:
    """Compare every file's hash with the manifest, which must name all that is there.

    A file that it does not name is damage, hidden or not: loaders take what they find, code included.

    Raises:
        DamagedArtifactError: a file is missing, changed or added.
    """
    if artifact.manifest is None:
        return
    for name in foreign_entries(artifact.path, artifact.manifest.files):
        raise DamagedArtifactError(f"'{name}' was added", where=str(artifact.path))
    for name, expected in artifact.manifest.files.items():
        file = artifact.path / name
        if not file.is_file() or file_sha256(file) != expected:
            raise DamagedArtifactError(f"'{name}' is missing or changed", where=str(artifact.path))
