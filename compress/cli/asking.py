"""The finished model of a command that predicts: its folder is found and checked, and it is loaded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.errors import InputError

if TYPE_CHECKING:
    from compress.cli.console import Terminal
    from compress.use.classifier import Classifier


def open_model(
    folder: Path, texts: Sequence[str], pairs: Sequence[str] | None, settings: Mapping[str, int], terminal: "Terminal"
) -> "Classifier":
    """The model in a folder, loaded after a check."""
    from compress.use.asked import check_to_answer
    from compress.use.classifier import Classifier

    if (remark := check_to_answer(folder, texts, pairs)) is not None:
        terminal.warned(remark)
    return Classifier(folder, **settings)


def folder_of(source: str, terminal: "Terminal") -> Path:
    """The model's folder on this machine."""
    from compress.data.sources import Sources, check_model_folder
    from compress.models.folder import model_folder

    if source.startswith(("hf://", "pypi://")):
        return Sources(announce=terminal.announce).model(source, "FOLDER").path
    path = Path(source).expanduser()
    if not path.exists():
        return Sources().model(source, "FOLDER").path  # raises an error that says what else may be meant
    folder = model_folder(path)
    check_model_folder(folder, source, "FOLDER")
    return folder


def refuse(options: Mapping[str, Any], why: str) -> None:
    """Refuse options that have no meaning here; `options` has their values, by their names on the command line."""
    for name, value in options.items():
        if value:
            raise InputError(f"{name} is {why}", where="compress predict", fix=f"leave {name} out")


def as_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The values of options, by their names on the command line."""
    return {f"--{name.replace('_', '-')}": value for name, value in options.items()}
