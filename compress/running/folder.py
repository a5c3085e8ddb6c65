"""The folder of a run: its recipe, the artifacts that it needs of the store, and links to those of its steps."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compress.errors import InputError
from compress.files.disks import disk_error
from compress.files.strict_json import read_json
from compress.files.whole import STEPS, ensure_folder, write_text
from compress.planning.plan import Plan
from compress.recipe.reading import split_sheet
from compress.recipe.schema import TABLES, input_source, replace_input
from compress.recipe.yaml_file import dump_yaml
from compress.store.artifacts import NEEDS, Artifact
from compress.store.shared import SharedStore
from compress.store.store import Store


def open_store(runs_dir: Path, shared: SharedStore | None = None) -> Store:
    """The store that all runs below `runs_dir` share, with the one of other machines behind it."""
    return Store(runs_dir / "store", shared)


def run_folder(runs_dir: Path, name: str) -> Path:
    """The folder of a run.

    Raises:
        InputError: it is a link, through which another folder would be changed, and its own links would break; or a
            file.
    """
    folder = runs_dir / name
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError(
            f"the run's folder is a {'link' if folder.is_symlink() else 'file'}",
            where=str(folder),
            fix="remove it, or give the recipe another name; --runs-dir, or a link of that folder, moves all runs",
        )
    return folder


def needs_of(plans: Sequence[Plan], store: Store) -> dict[str, str]:
    """The folders of the store that plans will need, by step and key."""
    steps = [step for plan in plans for step in plan.steps]
    return {f"{step.name} {step.identity.key[:16]}": store.path(step.identity).name for step in steps}


def claim(folder: Path, needs: Mapping[str, str]) -> None:
    """Record which artifacts the run needs, beside those of the last run of this name, whose report still stands.

    So the store's cleaning keeps them while the run is at work, and after it was killed.
    """
    try:
        before = read_json(folder / NEEDS)
    except (OSError, ValueError):
        before = {}  # the first run of that name, or damaged
    try:
        folder.mkdir(parents=True, exist_ok=True)
        merged = {**(before if isinstance(before, dict) else {}), **needs}
        write_needs(folder, merged)
    except OSError as error:
        raise disk_error(error, folder) from error


def write_needs(folder: Path, needs: Mapping[str, str]) -> None:
    """Record which artifacts the run needs; all earlier records go."""
    write_text(folder / NEEDS, json.dumps(needs, indent=1) + "\n")


def dump_recipe(plan: Plan, *, to_show: bool = False) -> str:
    """The recipe as it ran, overrides included, as YAML that runs again from any folder.

    Args:
        to_show: for a report, which others read: local files are named as in the recipe, full paths without their
            folders.
    """
    data = plan.recipe.model_dump(mode="json", exclude_defaults=True)

    def write_path(place: dict[str, Any], name: str) -> None:
        source = input_source(place, name)
        file, _ = split_sheet(source)
        path = plan.origin.folder / file
        if "://" not in source and path.exists():
            is_whole = source.startswith("~") or Path(source).is_absolute()
            file_name = path.name if is_whole else file
            replace_input(place, name, (file_name if to_show else str(path.resolve())) + source[len(file) :])

    for part in TABLES:
        if data["task"].get(part):
            write_path(data["task"], part)
    for step, raw in zip(plan.recipe.steps, data["steps"], strict=True):
        for role, value in plan.step(step.name).inputs.items():
            if isinstance(value, Artifact):
                write_path(raw, role)
    return dump_yaml(data)


def link_steps(folder: Path, plan: Plan, artifacts: Mapping[str, Artifact]) -> None:
    """Link each step's artifact in the store, which may itself be a link, as `steps/NAME` of the run."""
    links = folder / STEPS
    ensure_folder(links)
    for link in links.iterdir():
        if link.is_symlink():  # other files there are not this tool's
            link.unlink()
    for step in plan.steps:
        if not step.only_measured:
            path = artifacts[step.name].path
            (links / step.name).symlink_to(Path("..", "..", path.parent.name, path.name))
