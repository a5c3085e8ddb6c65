"""The content of `lineage.json`, with reading and writing."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from compress.errors import InputError
from compress.files.strict_json import read_json
from compress.files.whole import LINEAGE, file_sha256, fingerprint, write_text
from compress.measurement import Conditions, Estimate
from compress.report.model import Comparison
from compress.store.artifacts import Artifact

FORMAT: Literal[2] = 2
"""Version of the format, increased when an older compress would misread lineage.json. 1 had no `adapted`."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _stay_inside(files: dict[str, str]) -> dict[str, str]:
    for name in files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"'{name}' leaves the folder")
    return files


Hashes = Annotated[dict[str, str], AfterValidator(_stay_inside)]
"""Relative path -> SHA-256."""


class Source(_Part):
    """A model or a table of rows that came from outside."""

    kind: Literal["model", "table"]
    said: str
    """The source as the recipe writes it."""
    pinned: str
    """The source in a form that names one content: a hub's commit, a wheel's version, a full path."""
    key: str
    """A key that names the content; keys of artifacts that read the source depend on it."""
    files: dict[str, str]
    """Name -> SHA-256 of each local file, or dist==version -> SHA-256 of the wheel."""
    places: tuple[str, ...]
    """The places in the recipe that name it: task.train, teacher.model."""

    @property
    def is_local(self) -> bool:
        """Whether it is a file or a folder on the machine that read it."""
        return "://" not in self.pinned


class MadeStep(_Part):
    """A step's artifact, as its manifest describes it."""

    name: str
    stage: str
    version: int
    """The stage's version."""
    format: str
    key: str
    config: dict[str, Any]
    """All settings, defaults included."""
    inputs: dict[str, str]
    """Role -> name of a step, or a source as the recipe writes it."""
    data: str
    """Fingerprint of the task and of the rows that the step read; the task's name if it read none."""
    seed: int
    files: Hashes
    facts: dict[str, Any]
    versions: dict[str, str]
    """Versions of the packages that made the artifact."""
    host: dict[str, Any]
    created: str
    seconds: float
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    package: str | None = None
    """The package that adds the stage; None for stages of compress itself."""


class Data(_Part):
    """The data that the artifact was made with and measured on."""

    task: str
    hub_task: str
    """The task's name on the Hugging Face hub."""
    metric: str
    labels: tuple[str, ...]
    columns: dict[str, str]
    max_length: int
    """Tokens kept of each text."""
    train_rows: int
    validation_rows: int
    test_rows: int
    unlabelled_rows: int = 0
    """Texts without labels, which students learn from with their teacher's answers."""
    overlap: int
    """Number of test rows that are also training rows."""
    notes: tuple[str, ...]
    train_key: str
    """Fingerprint of the training and validation rows."""
    test_key: str
    """Fingerprint of the test rows."""


class Figures(_Part):
    """One row of the report."""

    step: str
    status: str
    """measured, skipped or failed."""
    reason: str | None
    artifact: str
    """Key of the artifact that was measured."""
    measured_as: str
    """Format of the measured artifact: a runtime for ONNX measures a torch model by its export."""
    size_bytes: int
    score: Estimate | None
    """The task's metric over all test rows, between 0 and 1."""
    p50_ms: float | None
    p90_ms: float | None
    real_p50_ms: float | None
    """Median latency on test rows of their own lengths."""
    versus_baseline: Comparison | None
    """Drop, speed-up and their verdicts; None for the baseline itself."""


class OnTarget(_Part):
    """The measurements on one target."""

    target: str
    described: str
    """The target in words: runtime, device, threads, batch size and length."""
    settings: dict[str, Any]
    conditions: Conditions | None
    final: Figures
    baseline: Figures | None


class Measurements(_Part):
    """The last step and the baseline, measured side by side."""

    created: str
    host: dict[str, Any]
    goal: str
    """Whether the recipe's goal is met, in words."""
    targets: tuple[OnTarget, ...]


class Lineage(_Part):
    """The content of `lineage.json`. If only manifests are known, recipe and data are None."""

    format: Literal[1, 2] = FORMAT
    compress_version: str
    """The version of compress that wrote the file."""
    created: str
    name: str
    """The recipe's name."""
    seed: int
    steps: tuple[MadeStep, ...] = Field(min_length=1)
    """The steps that led to the artifact, in the order of the work; the last step made the artifact itself."""
    sources: tuple[Source, ...]
    data: Data | None
    measured: Measurements | None
    unmeasured: str | None
    """The reason why there are no figures, or None."""
    recipe: str | None
    """The recipe as it ran, with its overrides."""
    adapted: Hashes = {}
    """Files of the final folder that differ from the artifact's own, or that the artifact does not have."""
    packages: dict[str, str] = {}
    """Name -> version of the packages that added stages, the task or runtimes to compress, as the recipe needs them."""

    @property
    def final(self) -> MadeStep:
        """The step that made the artifact."""
        return self.steps[-1]

    @property
    def files(self) -> dict[str, str]:
        """Files of the folder without lineage.json and the card: relative path -> SHA-256."""
        return {**self.final.files, **self.adapted}

    @property
    def key(self) -> str:
        """The hash of the content without the time, the version of compress and `adapted`."""
        return fingerprint(json.loads(self.model_dump_json(exclude={"created", "compress_version", "adapted"})))

    def source(self, name: str, kind: str = "model") -> Source | None:
        """The source with a name in the recipe, or None."""
        return next((source for source in self.sources if (source.said, source.kind) == (name, kind)), None)


def write_lineage(lineage: Lineage, folder: Path) -> None:
    """Write lineage.json into a folder."""
    write_text(folder / LINEAGE, lineage.model_dump_json(indent=1) + "\n")


def read_lineage(folder: Path) -> Lineage:
    """The content of a folder's lineage.json.

    Raises:
        InputError: there is no such file, it is damaged, or of another format.
    """
    path = folder / LINEAGE
    try:
        content = read_json(path)
        version = content.get("format") if isinstance(content, dict) else None
        if isinstance(version, int) and version > FORMAT:
            raise InputError(
                f"lineage.json is of format {version}; this compress reads {FORMAT}",
                where=str(path),
                fix="install a newer compress",
            )
        return Lineage.model_validate(content)
    except OSError as error:
        raise InputError(
            f"cannot read lineage.json: {error.strerror}", where=str(path), fix="check the folder"
        ) from error
    except ValueError as error:
        raise InputError(
            f"lineage.json is damaged: {_first_problem(error)}",
            where=str(path),
            fix="run the recipe again: it writes the final folder anew",
        ) from error


def _first_problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"'{'.'.join(map(str, first['loc']))[:80]}': {first['msg'].lower()}"
    return str(error)[:120]


def made_step(name: str, artifact: Artifact, inputs: Mapping[str, str]) -> MadeStep:
    """A step from its artifact's manifest, with its name and the names of its inputs."""
    assert artifact.manifest is not None, name
    manifest = artifact.manifest.model_dump(exclude={"inputs", "digest"})
    return MadeStep(name=name, inputs=dict(inputs), **manifest)


def changed_files(folder: Path, files: Mapping[str, str]) -> list[str]:
    """One sentence for each file of a folder that is missing or has another SHA-256."""
    return list(_changes(folder, files))


def _changes(folder: Path, files: Mapping[str, str]) -> Iterator[str]:
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            yield f"'{name}' is missing"
        elif (actual := file_sha256(path)) != expected:
            yield f"'{name}' differs: its SHA-256 is {actual[:12]}…, {expected[:12]}… was recorded"
