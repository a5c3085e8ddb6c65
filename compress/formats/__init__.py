"""The formats of model folders. One file = one format; the file's name is its name in stages and manifests.

A format's file holds all that is particular to it. It is light to import: the libraries that load models are imported
where they are used.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress import runtimes
from compress.errors import InputError
from compress.machine.processor import cores_here
from compress.models.config_file import read_config
from compress.models.files import CONFIG, VOCABULARIES
from compress.models.folder import check_links, check_weights
from compress.models.tokenizer import FILES as TOKENIZER_FILES
from compress.registry import Registry
from compress.runtimes import Predictor

if TYPE_CHECKING:
    from compress.recipe.schema import Target


@dataclass(frozen=True)
class Format:
    """A format: how a model is stored in a folder.

    Attributes:
        title: its name for people.
        recognises: whether a model's folder, or a file that a person names, is of this format.
        weights: patterns of the files that hold weights; a folder has at least one such file.
        weight_files: the files of a folder that hold the weights, as its runtimes take them. Raises an InputError where
            there are none, or where it is not clear which they are.
        parameters: how many weights a folder holds, read without loading the model.
        runtime: the runtime that is used where nobody names one.
        more_weights: patterns of further files of weights, which the first ones name; alone they are no model.
        instead_of: the formats that recognise such a folder too, and give way to this one.
        nearly: the error for a folder that no format recognises, but that looks like one of this format.
        check: refuses a folder whose files lead out of it; returns the relative paths of the files that only this
            format reads.
        index: the file that lists the weight files, where there is one.
        has_float_weights: whether its weights are always float32, whichever stage has written them.
        load: (folder, task of the hub, threads or None) -> its predictor on the CPU; left out, `runtime` loads it.
        refuse: why no target of these settings can run it, or None.
        export: the stage that writes this format from another one without changing the model's outputs. A model is
            measured through it where a runtime takes only this format.
        is_last: why no further step can read it, where that is so.
        graph: folder -> the path of its ONNX graph, for formats that are one.
        in_transformers: whether plain transformers loads it.
        packages: the distributions that load it.
        snippet: (folder, task of the hub, whether texts come in pairs) -> the packages that are needed, and code that
            runs in a final folder, whose tokenizer settings say all of lengths; left out, only this tool loads it.
        library: the hub's name for the library that loads a folder.
        tags: the hub's tags for it.
        adapt: writes into the small files of a final folder how it is loaded; returns the names of the changed files.
    """

    title: str
    recognises: Callable[[Path], bool]
    weights: tuple[str, ...]
    weight_files: Callable[[Path], list[Path]]
    parameters: Callable[[Path], int]
    runtime: str
    more_weights: tuple[str, ...] = ()
    instead_of: tuple[str, ...] = ()
    nearly: Callable[[Path], InputError | None] = lambda _: None
    check: Callable[[Path], list[str]] = lambda _: []
    index: Callable[[Path], Path | None] = lambda _: None
    has_float_weights: bool = False
    load: Callable[[Path, str, int | None], Predictor] | None = None
    refuse: Callable[["Target"], str | None] = lambda _: None
    export: str | None = None
    is_last: str | None = None
    graph: Callable[[Path], Path] | None = None
    in_transformers: bool = False
    packages: tuple[str, ...] = ()
    snippet: Callable[[Path, str, bool], tuple[list[str], str]] | None = None
    library: Callable[[Path], str] = lambda _: "compress"
    tags: tuple[str, ...] = ()
    adapt: Callable[[Path], list[str]] = lambda _: []


def _check(form: Any) -> None:
    """Refuse an object of a plug-in that is no format.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(form, Format):
        raise TypeError(f"FORMAT is of type {type(form).__name__}, and compress.formats.Format is needed")


REGISTRY = Registry("format", __name__, "FORMAT", check=_check)


def names() -> list[str]:
    """All formats: the files of this folder, and those of plug-ins."""
    return REGISTRY.names()


def find(name: str, where: str | None = None) -> Format:
    """The format of that name.

    Raises:
        InputError: there is none, or the plug-in that has it cannot be used.
    """
    form: Format = REGISTRY.find(name, where)
    return form


def format_of(path: Path) -> str:
    """The name of the format of a model's folder, or of a file that a person names.

    Raises:
        InputError: it has none that is known, or more than one; or its config.json cannot be read.
    """
    fitting = {name: find(name) for name in names() if find(name).recognises(path)}
    giving_way = {name for form in fitting.values() for name in form.instead_of}
    matches = [name for name in fitting if name not in giving_way]
    if len(matches) > 1:
        raise InputError(
            f"the model is of {len(matches)} formats at once: {', '.join(matches)}",
            where=str(path),
            fix="keep the files of one of them",
        )
    if not matches:
        raise _unknown(path)
    return matches[0]


def load(folder: Path, hub_task: str, threads: int | None = None) -> Predictor:
    """A predictor for a folder's model on the CPU, where nobody names a target.

    Args:
        threads: how many compute one operation; left out, the process's own number, or one for each of its processors.
    """
    form = find(format_of(folder))
    if form.load is not None:
        return form.load(folder, hub_task, threads)
    from compress.recipe.schema import Target

    return runtimes.load(folder, Target(runtime=form.runtime, threads=threads or cores_here()), hub_task)


def _unknown(path: Path) -> InputError:
    """The error for a folder that no format recognises."""
    if path.is_dir():
        read_config(path)
    near = next((error for name in names() if (error := find(name).nearly(path)) is not None), None)
    titles = ", ".join(find(name).title for name in names())
    return near or InputError("the model is of no known format", where=str(path), fix=f"known are {titles}")


def has_weights(folder: Path) -> bool:
    """Whether a folder has a file that holds weights of any format."""
    return any(any(folder.glob(pattern)) for name in names() for pattern in find(name).weights)


def weight_patterns() -> list[str]:
    """Patterns of the files right in a folder that hold weights, of all formats."""
    formats = [find(name) for name in names()]
    patterns = [pattern for form in formats for pattern in (*form.weights, *form.more_weights)]
    return [*dict.fromkeys(pattern for pattern in patterns if "/" not in pattern)]


def check_folder(folder: Path) -> list[str]:
    """Refuse a model's folder that would lead out of itself, or whose weights are not whole.

    Returns:
        Relative paths of the files that only its format reads.

    Raises:
        InputError: it names the first file that is wrong.
    """
    check_weights(folder)
    check_links(folder, weight_patterns())
    formats = [find(name) for name in names()]
    return sorted({name for form in formats if form.recognises(folder) for name in form.check(folder)})


def size_of(folder: Path, name: str) -> int:
    """The size in bytes of all files that are read of a model: weights with their index, configuration, tokenizer.

    For what this tool writes, these are all files but the manifest, the lineage and the card, and other graphs in
    `onnx/`. A folder from outside may hold more: its history, other formats of the weights, examples.

    Args:
        name: the name of its format.

    Raises:
        InputError: there are no weights, or it is not clear which files they are.
    """
    form = find(name)
    index = form.index(folder)
    files = {*form.weight_files(folder), folder / CONFIG, *([index] if index else [])}
    patterns = TOKENIZER_FILES if (folder / "tokenizer.json").is_file() else (*TOKENIZER_FILES, *VOCABULARIES)
    files |= {path for pattern in patterns for path in folder.glob(pattern)}
    return sum(path.stat().st_size for path in files if path.is_file())


def why_not(name: str, target: "Target") -> str | None:
    """Why an artifact of a format cannot run on the target on this machine, or None if it can."""
    return unfit(name, target) or runtimes.unavailable(target)


def unfit(name: str, target: "Target") -> str | None:
    """Why an artifact of a format can run on no target of these settings, on any machine, or None if it can."""
    if not runs(name, target):
        return f"the runtime '{target.runtime}' does not run the format '{name}'"
    return find(name).refuse(target)


def runs(name: str, target: "Target") -> bool:
    """Whether the target's runtime takes a format."""
    return name in runtimes.find(target.runtime).FORMATS
