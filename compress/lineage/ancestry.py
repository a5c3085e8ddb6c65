"""The lineage of a folder: its lineage.json, or else what the manifests of its store say."""

from pathlib import Path

from compress.errors import InputError
from compress.files.whole import LINEAGE, MANIFEST
from compress.lineage.model import Lineage, MadeStep, Source, made_step, read_lineage
from compress.store.artifacts import Artifact, DamagedArtifactError, open_artifact

UNKNOWN = "from outside, or no longer in the store"
"""The words for an input whose manifest is not in the store."""


def find_lineage(folder: Path) -> Lineage:
    """The lineage of a folder: its lineage.json, or else what its manifest.json and its store say.

    Raises:
        InputError: the folder has neither file, or its lineage.json is damaged.
        CompressError: the manifest.json is damaged.
    """
    if (folder / LINEAGE).is_file():
        return read_lineage(folder)
    if not (folder / MANIFEST).is_file():
        inside = folder / "final"
        raise InputError(
            f"'{folder}' has neither {LINEAGE} nor {MANIFEST}" if folder.is_dir() else f"'{folder}' is no folder",
            where="the command line",
            fix=f"give {inside}"
            if (inside / LINEAGE).is_file()
            else "give runs/NAME/final, runs/NAME/steps/STEP, or a folder that --out wrote",
        )
    return _trace(folder)


def _trace(folder: Path) -> Lineage:
    """The lineage of a stored artifact from the manifests that the store still has."""
    names = {link.resolve().name: link.name for link in folder.absolute().parent.iterdir() if link.is_symlink()}
    steps: dict[str, MadeStep] = {}
    sources: dict[str, Source] = {}

    def visit(artifact: Artifact, path: tuple[str, ...]) -> str:
        assert artifact.manifest is not None
        folder_name = artifact.path.resolve().name
        name = names.get(folder_name, folder_name)
        inputs = {}
        for role, key in artifact.manifest.inputs.items():
            stored = _stored(root, key) if key not in path else None  # no real chain reads itself
            if stored is not None:
                inputs[role] = visit(stored, (*path, key)) if key not in steps else steps[key].name
            else:
                inputs[role] = key[:16]
                sources[key] = Source(
                    kind="model", said=key[:16], pinned=UNKNOWN, key=key, files={}, places=(f"{name}.{role}",)
                )
        steps[artifact.key] = made_step(name, artifact, inputs)
        return name

    last = open_artifact(folder.resolve())  # runs/NAME/steps/STEP is a link
    root = last.path.parent
    visit(last, (last.key,))
    final = steps[last.key]
    return Lineage(
        compress_version="",
        created=final.created,
        name="",
        seed=final.seed,
        steps=tuple(steps.values()),
        sources=tuple(sources.values()),
        data=None,
        measured=None,
        unmeasured="figures are not known here: they stand in the lineage.json and the report of a run",
        recipe=None,
    )


def _stored(root: Path, key: str) -> Artifact | None:
    """The artifact with a key, or None if the store no longer has it."""
    if not key.isalnum():
        return None
    for path in root.glob(f"*-{key[:16]}"):
        try:
            artifact = open_artifact(path)
        except DamagedArtifactError:
            continue
        if artifact.key == key:
            return artifact
    return None
