"""The recipe that makes an artifact again: the one in `lineage.json`, with every source pinned to its content."""

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Any

from compress import __version__, stages
from compress.data.sources import folder_hashes
from compress.errors import InputError, printable
from compress.files.whole import LINEAGE, file_sha256
from compress.lineage.model import Lineage, Source
from compress.recipe.reading import split_sheet
from compress.recipe.schema import replace_input
from compress.recipe.yaml_file import dump_yaml, read_recipe


def pinned_recipe(lineage: Lineage, where: str) -> str:
    """The recipe as it ran, in YAML, with commits for branches and the SHA-256 of every wheel.

    Args:
        where: the lineage's file, for error messages.

    Raises:
        InputError: the lineage has no recipe, or one that cannot be read.
    """
    if lineage.recipe is None:
        raise InputError(
            "the manifests alone do not tell the recipe",
            where=where,
            fix="give the folder of a run's last step: runs/NAME/final, or what --out wrote",
        )
    try:
        recipe, _ = read_recipe(lineage.recipe.encode(), Path(where))
    except InputError as error:
        for package, version in lineage.packages.items():
            if _installed(package) is None:
                raise InputError(
                    f"its recipe needs the package {package} {version}, which is not here",
                    where=where,
                    fix=f"pip install {package}=={version}",
                ) from error
        raise
    data: dict[str, Any] = recipe.model_dump(mode="json", exclude_defaults=True)
    places = {step["name"]: step for step in data["steps"]} | {"task": data["task"]}
    for source in lineage.sources:
        for place in source.places:
            owner, _, key = place.partition(".")
            if owner not in places:
                raise InputError(f"the recipe has no '{owner}', which a source names", where=where, fix="run it again")
            replace_input(places[owner], key, source.pinned)
    wheels = [source.files for source in lineage.sources if source.pinned.startswith("pypi://")]
    if wheels:
        data["pins"] = data.get("pins", {}) | {name: sha for files in wheels for name, sha in files.items()}
    final = lineage.final
    packages = ", ".join(f"{name} {version}" for name, version in {**final.versions, **lineage.packages}.items())
    head = [
        f"Makes again: {final.name} of {lineage.name}, seed {lineage.seed}, key {final.key}",
        f"Made on {final.created} by compress {lineage.compress_version}, with {packages}, "
        f"on {final.host.get('cpu')}, {final.host.get('system')}.",
        "The same packages on such a CPU give the same files, bit by bit; others give the same chain.",
    ]
    lines = [line for part in map(printable, head) for line in _wrapped(part)]
    return "".join(f"# {line}\n" for line in lines) + dump_yaml(data)


def _wrapped(text: str) -> list[str]:
    return wrap(text, 108, break_long_words=False, break_on_hyphens=False)


def doubts(lineage: Lineage) -> list[str]:
    """One sentence for each reason why the recipe may not give the same artifact here."""
    reasons = [sentence for source in lineage.sources for sentence in _changes(source)]
    if lineage.recipe is not None and read_recipe(lineage.recipe.encode(), Path(LINEAGE))[0].trust_remote_code:
        reasons.append("it runs Python code that its models bring along (trust_remote_code): read that code first")
    if lineage.compress_version != __version__:
        reasons.append(f"it was made by compress {lineage.compress_version}, this is {__version__}")
    reasons += [sentence for package, version in lineage.packages.items() if (sentence := _missing(package, version))]
    for step in lineage.steps:
        now = stages.find(step.stage).version if step.stage in stages.names() else None
        if now != step.version:
            here = f"version {now} here" if now else "not here"
            reasons.append(f"step '{step.name}' was made by version {step.version} of {step.stage}, which is {here}")
    return reasons


def _missing(package: str, version: str) -> str | None:
    """A sentence if a package that adds something to compress is missing here or has another version."""
    here = _installed(package)
    if here is None:
        return f"it needs the package {package} {version}, which is not here: pip install {package}=={version}"
    return None if here == version else f"it was made with the package {package} {version}, which is {here} here"


def _installed(package: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _changes(source: Source) -> Iterator[str]:
    """Sentences on how a local source differs from what the run read."""
    if not source.is_local:
        return
    path = Path(split_sheet(source.pinned)[0])
    what = "model" if source.kind == "model" else "data file"
    try:
        yield from _local_changes(source, path, what)
    except OSError as error:
        yield f"the {what} '{source.pinned[:200]}' cannot be looked at: {error.strerror}"


def _local_changes(source: Source, path: Path, what: str) -> Iterator[str]:
    if not path.exists():
        yield f"the {what} '{path}' is gone; its SHA-256 was {_hashes(source)}"
        return
    if not (path.is_file() or path.is_dir()):
        yield f"the {what} '{path}' is no plain file, and was not looked at"
        return
    now = folder_hashes(path) if path.is_dir() else {path.name: file_sha256(path)}
    changed = sorted(name for name in {*now, *source.files} if now.get(name) != source.files.get(name))
    if changed:
        names = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
        yield f"the {what} '{path}' is no longer what it was: {names} changed"


def _hashes(source: Source) -> str:
    return ", ".join(f"{sha[:16]}… ({name})" for name, sha in list(source.files.items())[:3])
