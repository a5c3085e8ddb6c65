"""The store of artifacts: a complete one is taken, any other is made, checked and committed.

Layout below the store's root:

    <stage>-<first 16 digits of the key>/   a committed artifact; `manifest.json` was written last
    scratch/<stage>-<key>/out, work         an artifact in the making; survives a crash
    damaged/                                artifacts whose files no longer match their manifest
    locks/                                  one file lock a key

A store may have a shared one behind it (`compress.store.shared`), which is asked before anything is made.
"""

import errno
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from compress.errors import CompressError
from compress.files.disks import disk_error, is_disk_full
from compress.files.locks import locked
from compress.files.whole import (
    MANIFEST,
    WEIGHTS,
    ensure_folder,
    file_sha256,
    folder_files,
    remove_tree,
    sync,
    write_text,
)
from compress.store.artifacts import Artifact, DamagedArtifactError, Identity, Manifest, check_files, open_artifact
from compress.store.cost import Meter, Spent, forget_peak_memory, peak_memory_bytes

if TYPE_CHECKING:
    from compress.store.shared import SharedStore

OWN_FOLDERS = ("scratch", "damaged", "locks")
"""Folders of the store that are not artifacts."""
Make: TypeAlias = Callable[[Path, Path], Mapping[str, Any] | None]
"""A function of (out, work) -> facts for the manifest: it writes the artifact to `out`, and checkpoints to `work`."""


class Store:
    """The store of artifacts that all runs below one folder share.

    Args:
        shared: the store of other machines, from which missing artifacts are taken, and to which others are put.
    """

    def __init__(self, root: Path, shared: "SharedStore | None" = None) -> None:
        self.root, self.shared = root, shared

    def check_own_folders(self) -> None:
        """Refuse a store whose own folders are links out of it: files of others might be written or removed.

        Raises:
            CompressError: names the first such folder.
        """
        for name in OWN_FOLDERS:
            if (self.root / name).is_symlink():
                raise CompressError(
                    f"the store's folder '{name}' is a link, so nothing in the store is touched",
                    where=str(self.root / name),
                    fix="remove the link; to keep the store elsewhere, make a link of the whole store",
                )

    def path(self, identity: Identity) -> Path:
        """The folder of the artifact of `identity` after it is committed."""
        return self.root / identity.folder

    def has(self, identity: Identity) -> bool:
        """Whether the artifact seems to be here or in the shared store; its files are not looked at."""
        return self.path(identity).is_dir() or (self.shared is not None and self.shared.has(identity))

    def get(self, identity: Identity) -> Artifact | None:
        """The committed artifact with its hashes checked, or None if there is none.

        Raises:
            DamagedArtifactError: the artifact is there, but damaged.
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
        """Move a damaged artifact out of the way, and return its new path."""
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
        make: Make,
        *,
        host: Mapping[str, Any],
        warn: Callable[[str], None] = lambda _: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> tuple[Artifact, bool]:
        """The artifact of `identity`: from the store or the shared one if it is complete, otherwise made and committed.

        Two runs that need the same artifact wait for each other; the second takes the one that the first made.

        Args:
            warn: called with one sentence if a damaged artifact is set aside, another run has the lock, or the shared
                store fails.
            stopping: returns whether to stop waiting for another run.

        Returns:
            The artifact, and whether it was made now.

        Raises:
            CompressError: making failed, the disk refuses, or the store's own folders are links.
            Stopped: `stopping` returned True while another run had the lock.
        """
        try:
            self.check_own_folders()
            with suppress(DamagedArtifactError):  # a complete artifact never changes, so it needs no lock
                artifact = self.get(identity)
                if artifact is not None:
                    self._share(artifact, warn)
                    return artifact, False
            lock = self.root / "locks" / f"{identity.key[:16]}.lock"
            with locked(lock, f"the same {identity.stage} step", warn, stopping):
                artifact = self._get_or_set_aside(identity, warn) or self._pull(identity, warn)
                if artifact is not None:
                    return artifact, False
                artifact = self._make(identity, output_format, make, host)
            self._share(artifact, warn)
            return artifact, True
        except OSError as error:
            raise disk_error(error, Path(error.filename) if error.filename else self.root) from error

    def _get_or_set_aside(self, identity: Identity, warn: Callable[[str], None]) -> Artifact | None:
        """The artifact if it is complete, or None; a damaged one is moved out of the way."""
        try:
            return self.get(identity)
        except DamagedArtifactError as error:
            aside = self.set_aside(identity)
            warn(f"{error.what}; the damaged artifact was set aside in {aside} and is made again")
            return None

    def _scratch(self, identity: Identity) -> Path:
        return self.root / "scratch" / identity.folder

    def share(self, identity: Identity, warn: Callable[[str], None]) -> None:
        """Put an artifact that is here, and not damaged, into the shared store.

        Raises:
            OSError: its files cannot be read.
        """
        if self.shared is not None and not self.shared.has(identity):
            with suppress(DamagedArtifactError):
                artifact = self.get(identity)
                if artifact is not None:
                    self._share(artifact, warn)

    def _share(self, artifact: Artifact, warn: Callable[[str], None]) -> None:
        if self.shared is not None:
            self.shared.push(artifact, warn)

    def _pull(self, identity: Identity, warn: Callable[[str], None]) -> Artifact | None:
        """The artifact from the shared store, committed here, or None."""
        scratch = self._scratch(identity)
        if self.shared is None or not self.shared.pull(identity, scratch / "out", warn):
            return None
        _settle(scratch / "out", folder_files(scratch / "out"))
        artifact = self._put_in_place(identity, scratch / "out")
        shutil.rmtree(scratch, ignore_errors=True)
        return artifact

    def _make(self, identity: Identity, output_format: str, make: Make, host: Mapping[str, Any]) -> Artifact:
        """Make an artifact in a scratch folder, and commit it; after a failure the checkpoints stay there."""
        scratch = self._scratch(identity)
        out, work = scratch / "out", scratch / "work"
        ensure_folder(scratch)
        remove_tree(out)
        out.mkdir()
        ensure_folder(work)
        meter, counted = Meter(work), forget_peak_memory()
        try:
            facts = make(out, work)
            memory = peak_memory_bytes() if counted else None
            artifact = self._commit(identity, output_format, out, facts or {}, host, meter.spent, memory)
        except Exception as error:
            full = is_disk_full(error, scratch)
            shutil.rmtree(out, ignore_errors=True)
            if full:
                raise disk_error(OSError(errno.ENOSPC, ""), out) from error
            raise
        shutil.rmtree(scratch, ignore_errors=True)
        return artifact

    def _commit(
        self,
        identity: Identity,
        output_format: str,
        out: Path,
        facts: Mapping[str, Any],
        host: Mapping[str, Any],
        spent: Spent,
        memory: int | None,
    ) -> Artifact:
        """Complete what stands in `out`, which took `spent` and so many bytes of memory."""
        files = _settled_files(out, identity.stage)
        host = dict(host)
        manifest = Manifest(
            key=identity.key,
            stage=identity.stage,
            version=identity.version,
            config=dict(identity.config),
            inputs=dict(identity.inputs),
            data=identity.data,
            seed=identity.seed,
            format=output_format,
            files=files,
            facts=dict(facts),
            versions=host.pop("versions", {}),
            host=host,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(spent.seconds, 3),
            cpu_seconds=round(spent.cpu_seconds, 3),
            peak_memory_bytes=memory,
            package=identity.package,
        )
        unsaid = None if identity.package else {"package"}
        write_text(out / MANIFEST, manifest.sealed().model_dump_json(indent=1, exclude=unsaid))
        return self._put_in_place(identity, out)

    def _put_in_place(self, identity: Identity, out: Path) -> Artifact:
        """Move a complete folder to the artifacts."""
        sync(out)
        path = self.path(identity)
        out.rename(path)
        sync(self.root)
        return open_artifact(path)


def _settled_files(out: Path, stage: str) -> dict[str, str]:
    """Hashes of an artifact's files by relative path, after they were settled.

    Raises:
        CompressError: there are no files.
    """
    names = folder_files(out)
    if not names:
        raise CompressError(f"the stage '{stage}' wrote no file", where=str(out), fix="this is a bug of the stage")
    _settle(out, names)
    return {name: file_sha256(out / name) for name in names}


def _settle(out: Path, names: Iterable[str]) -> None:
    """Sync an artifact's files, and make weights read-only."""
    for name in names:
        sync(out / name)
        if name.endswith(WEIGHTS):  # hard links may share these files
            (out / name).chmod((out / name).stat().st_mode & 0o444)  # never more than the umask allows
