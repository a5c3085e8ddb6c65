"""What `lineage.json` holds, written and read."""

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
"""Raised when lineage.json changes so that an older compress would misread it. 1 had no `adapted`."""


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
    """As the recipe said it."""
    pinned: str
    """The same so that it names one content: a hub's commit, a wheel's version, a full path."""
    key: str
    """Names the content; the key of an artifact that reads a model is made of it."""
    files: dict[str, str]
    """Name -> SHA-256: of local files, or of the wheel by dist==version."""
    places: tuple[str, ...]
    """Where the recipe names it: task.train, teacher.model."""

    @property
    def is_local(self) -> bool:
        """True for a file or a folder of the machine that it was read on."""
        return "://" not in self.pinned


class MadeStep(_Part):
    """A step's artifact, as its manifest tells of it."""

    name: str
    stage: str
    version: int
    """Of the stage."""
    format: str
    key: str
    config: dict[str, Any]
    """All settings, defaults included."""
    inputs: dict[str, str]
    """Role -> name of a step, or what the recipe said of a source."""
    data: str
    """Fingerprint of the task and the rows that it was given; the task's name where it read none."""
    seed: int
    files: Hashes
    facts: dict[str, Any]
    versions: dict[str, str]
    """Of the packages that made it."""
    host: dict[str, Any]
    created: str
    seconds: float
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    package: str | None = None
    """That adds the stage; None for one of compress itself."""


class Data(_Part):
    """The rows that it was made with and measured on."""

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
    """Texts without labels that students learned from what their teacher says of them."""
    overlap: int
    """Test rows that also stand in train."""
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
    """Key of what was measured."""
    measured_as: str
    """Its format: a torch model is measured through its ONNX export where ONNX is read."""
    size_bytes: int
    score: Estimate | None
    """The task's metric over all test rows, between 0 and 1."""
    p50_ms: float | None
    p90_ms: float | None
    real_p50_ms: float | None
    """On test rows of their own length."""
    versus_baseline: Comparison | None
    """Drop, speed-up and their verdicts; None for the baseline itself."""


class OnTarget(_Part):
    """What was measured on one target."""

    target: str
    described: str
    """Runtime, device, threads, batch and length, in words."""
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
    """What `lineage.json` holds. Where only manifests are known, recipe and data are None."""

    format: Literal[1, 2] = FORMAT
    compress_version: str
    """That wrote this."""
    created: str
    name: str
    """Of the recipe."""
    seed: int
    steps: tuple[MadeStep, ...] = Field(min_length=1)
    """What led to the artifact, in the order of the work; the last one is the artifact itself."""
    sources: tuple[Source, ...]
    data: Data | None
    measured: Measurements | None
    unmeasured: str | None
    """A plain statement that there are no figures, where there are none."""
    recipe: str | None
    """As it ran, overrides included."""
    adapted: Hashes = {}
    """Files of the final folder that say more than the artifact's own of that name, or that it does not have."""
    packages: dict[str, str] = {}
    """Name -> version of the packages that added stages, the task or runtimes to compress, as the recipe needs them."""

    @property
    def final(self) -> MadeStep:
        """The artifact that it tells of."""
        return self.steps[-1]

    @property
    def files(self) -> dict[str, str]:
        """Files of the folder that it stands in, beside itself and the card: relative path -> SHA-256."""
        return {**self.final.files, **self.adapted}

    @property
    def key(self) -> str:
        """Names all that it tells, but for when and by which compress it was written, and `adapted`."""
        return fingerprint(json.loads(self.model_dump_json(exclude={"created", "compress_version", "adapted"})))

    def source(self, said: str, kind: str = "model") -> Source | None:
        """The source that the recipe names so."""
        return next((source for source in self.sources if (source.said, source.kind) == (said, kind)), None)


def write_lineage(lineage: Lineage, folder: Path) -> None:
    """Write lineage.json into a folder."""
    write_text(folder / LINEAGE, lineage.model_dump_json(indent=1) + "\n")


def read_lineage(folder: Path) -> Lineage:
    """The lineage.json of a folder.

    Raises:
        InputError: there is none, it is damaged, or of another format.
    """
    path = folder / LINEAGE
    try:
        content = read_json(path)
        found = content.get("format") if isinstance(content, dict) else None
        if isinstance(found, int) and found > FORMAT:
            raise InputError(
                f"lineage.json is of format {found}; this compress reads {FORMAT}",
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
    """What an artifact's manifest tells, under the step's name and with its inputs named."""
    assert artifact.manifest is not None, name
    told = artifact.manifest.model_dump(exclude={"inputs", "digest"})
    return MadeStep(name=name, inputs=dict(inputs), **told)


def changed_files(folder: Path, files: Mapping[str, str]) -> list[str]:
    """One sentence for each file that is missing from a folder, or has not its SHA-256."""
    return list(_changes(folder, files))


def _changes(folder: Path, files: Mapping[str, str]) -> Iterator[str]:
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            yield f"'{name}' is missing"
        elif (actual := file_sha256(path)) != expected:
            yield f"'{name}' differs: its SHA-256 is {actual[:12]}…, {expected[:12]}… was recorded"
