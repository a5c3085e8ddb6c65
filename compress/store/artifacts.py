"""Artifacts: folders that name what they hold, and are checked before they are used."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from compress.errors import CompressError
from compress.files.strict_json import read_json
from compress.files.whole import (
    MANIFEST,
    file_sha256,
    fingerprint,
    foreign_entries,
)

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
        fields = {name: value for name, value in rest.items() if value is not None}
        return self.model_copy(update={"digest": fingerprint(fields)})


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
