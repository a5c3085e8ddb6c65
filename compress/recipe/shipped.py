"""The shipped recipes, by path or by name."""

from pathlib import Path

from compress.errors import InputError, did_you_mean, proposed
from compress.files.near import similar_name

HERE = Path(__file__).resolve().parents[1]


def shipped_folder() -> Path:
    """The folder of the shipped recipes: in the installed package, or next to it in a checkout."""
    installed = HERE / "recipes"
    return installed if installed.is_dir() else HERE.parent / "recipes"


def shipped() -> dict[str, Path]:
    """Shipped recipes by name: the path below the folder, without the ending."""
    root = shipped_folder()
    paths = sorted(root.rglob("*.yaml"), key=lambda path: (len(path.relative_to(root).parts), path))
    return {path.relative_to(root).with_suffix("").as_posix(): path for path in paths}


def find_recipe(name: str) -> Path:
    """The path of a recipe that is given by its path or by the name of a shipped one.

    Raises:
        InputError: there is no such recipe.
    """
    path = Path(name)
    if path.exists():
        return path
    recipes = shipped()
    key = name.removeprefix("recipes/").removesuffix(".yaml")
    if key in recipes:
        return recipes[key]
    close = similar_name(path)
    beside = close and str(path.parent / close)
    fix = proposed(beside, f"accepted: a file, {', '.join(recipes)}") if beside else did_you_mean(key, recipes)
    raise InputError(f"there is no recipe '{name}'", where=str(path.absolute()), fix=fix)
