"""Artifacts: folders with a manifest of their content, checked before they are used."""

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
"""Name of the file in a run's folder that lists the store's folders that it needs; written when the run begins."""


@dataclass(frozen=True)
class Identity:
    """Everything that can change an artifact's content, and nothing else. Its hash is the artifact's key."""

    stage: str
    version: int
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    """Role -> key of the artifact or source that is read."""
    data: str
    """Fingerprint of the task and its training and validation rows; empty if no rows are read."""
    seed: int
    package: str | None = None
    """The package that adds the stage, because two packages may use one name; None for stages of compress itself."""

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

    @property
    def folder(self) -> str:
        """Name of the artifact's folder in a store."""
        return f"{self.stage}-{self.key[:16]}"


class Manifest(BaseModel):
    """The description of an artifact and its origin, written last: if it is there, all files are."""

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
    """Facts from the stage: parity, losses, fused nodes, kept layers."""
    versions: dict[str, str]
    host: dict[str, Any]
    created: str
    seconds: float
    cpu_seconds: float | None = None
    """Processor time of all threads."""
    peak_memory_bytes: int | None = None
    """Largest resident memory of the process during the step; None if the system does not say it."""
    digest: str = ""
    """SHA-256 of all other fields."""
    package: str | None = None
    """The package that adds the stage, with its version in `versions`; None for stages of compress itself."""

    @property
    def identity(self) -> Identity:
        """The identity that was made."""
        return Identity(self.stage, self.version, self.config, self.inputs, self.data, self.seed, self.package)

    def sealed(self) -> "Manifest":
        """The manifest with its digest."""
        rest = json.loads(self.model_dump_json(exclude={"digest"}))
        fields = {name: value for name, value in rest.items() if value is not None}
        return self.model_copy(update={"digest": fingerprint(fields)})


@dataclass(frozen=True)
class Artifact:
    """A complete folder that reloads with its format's ordinary loader.

    Attributes:
        path: the folder.
        key: a key that names the content.
        format: `torch`, `torch_bnb` or `onnx`: which loaders read it.
        manifest: the store's manifest; None for a model from outside.
    """

    path: Path
    key: str
    format: str
    manifest: Manifest | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """The facts from the stage that made it."""
        return self.manifest.facts if self.manifest else {}


class DamagedArtifactError(CompressError):
    """The error of a stored artifact whose files do not match its manifest."""


def open_artifact(path: Path) -> Artifact:
    """The artifact in a folder; the hashes of its files are not checked.

    Raises:
        DamagedArtifactError: the folder is a link, or its manifest is not readable or names a file outside of it.
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
    """Compare the hash of every file with the manifest, which must name all files.

    A file that the manifest does not name is damage, even a hidden one: loaders use any file that they find, even code.

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
