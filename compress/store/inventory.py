"""The inventory of a store: its artifacts, the runs that use them, and what can be removed."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from compress.errors import CompressError, InputError
from compress.files.disks import disk_error
from compress.files.locks import lock_at
from compress.files.strict_json import read_json
from compress.files.whole import remove_tree
from compress.store.artifacts import (
    NEEDS,
    Artifact,
    DamagedArtifactError,
    check_files,
    open_artifact,
)
from compress.store.store import OWN_FOLDERS, Store


@dataclass(frozen=True)
class Item:
    """A folder of the store.

    Attributes:
        artifact: the artifact; None if its manifest cannot be read.
        size_bytes: size of all files.
        named_by: names of the runs that use it.
        damage: the damage that was seen so far, or None.
    """

    path: Path
    artifact: Artifact | None
    size_bytes: int
    named_by: tuple[str, ...]
    damage: str | None = None


def take_inventory(store: Store, runs_dir: Path) -> list[Item]:
    """All artifacts of a store in the order of their folders' names; hashes are not checked.

    Args:
        runs_dir: the folder of the runs that use the store.

    Raises:
        CompressError: the store's own folders are links, or a run's list of needed folders cannot be read.
    """
    store.check_own_folders()
    runs_by_folder = _runs_by_folder(runs_dir, store)
    items = []
    for path in sorted(store.root.iterdir()) if store.root.is_dir() else ():
        if not path.is_dir() or path.name in OWN_FOLDERS:
            continue
        try:
            artifact, damage = open_artifact(path), None
        except DamagedArtifactError as error:
            artifact, damage = None, error.what
        items.append(Item(path, artifact, _bytes(path), tuple(runs_by_folder.get(path.name, ())), damage))
    return items


def verify(item: Item) -> str | None:
    """The damage of an artifact's files, or None; every byte is read."""
    if item.artifact is None:
        return item.damage
    try:
        check_files(item.artifact)
    except DamagedArtifactError as error:
        return error.what
    return None


def find(items: Sequence[Item], key: str) -> Item:
    """The artifact whose key or folder's name begins with `key`.

    Raises:
        InputError: there is no such artifact, or more than one.
    """
    matches = [
        item
        for item in items
        if item.path.name.startswith(key) or (item.artifact is not None and item.artifact.key.startswith(key))
    ]
    if len(matches) != 1:
        listed = ", ".join(item.path.name for item in matches[:5])
        raise InputError(
            f"{len(matches) or 'no'} artifacts begin with '{key}'{': ' + listed if matches else ''}",
            where="the command line",
            fix="`compress store list` shows them; give more of the key"
            if matches
            else "`compress store list` shows them",
        )
    return matches[0]


def unnamed(store: Store, items: Iterable[Item], runs_dir: Path) -> list[Item]:
    """Everything that no run uses: artifacts, damaged ones that were set aside, and remains of unfinished steps."""
    runs_by_folder = _runs_by_folder(runs_dir, store)
    loose = [item for item in items if not item.named_by]
    for folder in ("damaged", "scratch"):
        for path in sorted((store.root / folder).glob("*")):
            if folder == "scratch" and path.name in runs_by_folder:
                continue  # checkpoints from which a killed run can continue
            loose.append(Item(path, None, _bytes(path), ()))
    return loose


def remove(store: Store, items: Iterable[Item]) -> tuple[list[Item], list[Item]]:
    """Remove items, except those that another run has locked.

    Returns:
        The removed items, and those that another run has locked.

    Raises:
        CompressError: the disk refuses, or the store's own folders are links.
    """
    store.check_own_folders()
    removed, busy = [], []
    for item in items:
        key = item.path.name.rpartition("-")[2] if item.artifact is None else item.artifact.key[:16]
        try:
            with lock_at(store.root / "locks" / f"{key}.lock", timeout=0):
                if item.artifact is not None:  # moved out of the store first, so that nobody finds half of it
                    moved = store.root / "scratch" / f"{item.path.name}-removed"
                    moved.parent.mkdir(exist_ok=True)
                    remove_tree(moved)
                    item.path.rename(moved)
                    remove_tree(moved)
                else:
                    remove_tree(item.path)
                removed.append(item)
        except Timeout:
            busy.append(item)
        except OSError as error:
            raise disk_error(error, item.path) from error
    return removed, busy


def _runs_by_folder(runs_dir: Path, store: Store) -> Mapping[str, list[str]]:
    """Folder of the store -> names of the runs that link to it or need it."""
    runs_by_folder: dict[str, list[str]] = {}
    root = store.root.resolve()
    for run in sorted(runs_dir.iterdir()) if runs_dir.is_dir() else ():
        if not run.is_dir() or run.resolve() == root:
            continue
        links = [Path(os.path.realpath(link)) for link in (run / "steps").glob("*")]
        folders = {link.name for link in links if link.parent == root} | _needs(run)
        for folder in folders:
            runs_by_folder.setdefault(folder, []).append(run.name)
    return runs_by_folder


def _needs(run: Path) -> set[str]:
    """Folders of the store in a run's list of what it needs.

    Raises:
        CompressError: the list cannot be read.
    """
    path = run / NEEDS
    try:
        return {str(folder) for folder in read_json(path).values()}
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, AttributeError) as error:
        raise CompressError(
            "what the run needs cannot be read, so nothing is removed",
            where=str(path),
            fix="run it again, or remove its folder",
        ) from error


def _bytes(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(file.lstat().st_size for file in path.rglob("*") if file.is_file())
