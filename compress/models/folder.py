"""Checks of a model's folder from outside: only its own files, complete safetensors, graphs that read nothing else.

Everything in it is data. Nothing is unpickled, no code is run, no link out of the folder is followed (except those of
the Hugging Face hub's cache).
"""

import re
from collections.abc import Iterable
from pathlib import Path

from compress.errors import InputError, proposed
from compress.files.near import similar_name
from compress.files.whole import FINAL, read_object, stays_inside
from compress.models.files import CONFIG, LAYOUT, graphs_in

GRAPHS = ("*.onnx", "*.onnx.data", "*.onnx_data")
READ = ("*.json", "*.safetensors", "*.txt", "*.model", *GRAPHS, *(f"{LAYOUT}/{name}" for name in GRAPHS), "*.py")
WHOLE, INDEX = "model.safetensors", ".safetensors.index.json"
SHARD = re.compile(r"model-\d+-of-(\d+)\.safetensors")


def model_folder(path: Path) -> Path:
    """The folder of a model: `path` itself, or the final folder of a run.

    Raises:
        InputError: there is no model.
    """
    if not path.is_dir():
        what = "is no folder" if path.exists() else "does not exist"
        close = None if path.exists() else similar_name(path)
        fix = proposed(close and str(path.parent / close), "give a model's folder, such as runs/NAME/final")
        raise InputError(f"'{path}' {what}", where=str(path.absolute()), fix=fix)
    if (path / CONFIG).is_file():
        return path
    if (path / FINAL / CONFIG).is_file():
        return path / FINAL
    inside = sorted(str(item.parent) for depth in ("*", "*/*") for item in path.glob(f"{depth}/{CONFIG}"))
    raise InputError(
        f"the folder '{path}' has no {CONFIG}",
        where=str(path.absolute()),
        fix=f"give a model's folder, such as {', '.join(inside[:4]) or 'runs/NAME/final'}",
    )


def check_weights(folder: Path) -> None:
    """Refuse links out of the folder, damaged safetensors, and an index that names other files than safetensors.

    Only the headers of the safetensors are read.

    Raises:
        InputError: names the first file that is wrong.
    """
    check_links(folder, READ)
    if (folder / "adapter_config.json").is_file():
        raise InputError(
            "the folder holds an adapter, which is no model of its own",
            where=str(folder),
            fix="merge it into its model: PeftModel.merge_and_unload().save_pretrained(folder)",
        )
    for index in sorted(folder.glob(f"*{INDEX}")):
        _check_index(index)
    _check_names(folder)
    for file in sorted(folder.glob("*.safetensors")):
        _check_safetensors(file)


def check_links(folder: Path, patterns: Iterable[str]) -> None:
    """Refuse files of these patterns that lead out of the folder, or are none.

    Raises:
        InputError: with the first of them.
    """
    for file in (path for pattern in patterns for path in sorted(folder.glob(pattern))):
        if not stays_inside(file, folder):
            raise InputError(
                f"'{file.name}' is a link that leads out of the model's folder",
                where=str(file),
                fix="put the file itself there, if you trust it",
            )
        if not file.is_file():
            raise InputError(f"'{file.name}' is no plain file", where=str(file), fix="put the file itself there")


def _check_index(path: Path) -> None:
    """Refuse an index whose shards are not safetensors in its folder: others would be unpickled."""
    shards = read_object(path).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
        raise InputError(
            f"'{path.name}' has no map of weights to files", where=str(path), fix="save the model again as safetensors"
        )
    for name in sorted(set(shards.values())):
        if "/" in name or "\\" in name or not name.endswith(".safetensors") or not (path.parent / name).is_file():
            raise InputError(
                f"'{path.name}' names '{name[:200]}', which is no safetensors file beside it",
                where=str(path),
                fix="save the model again as safetensors, and copy all its files",
            )


def _check_names(folder: Path) -> None:
    """Refuse weights that are neither one file nor shards with an index: they would not be found."""
    names = sorted(path.name for path in folder.glob("*.safetensors"))
    if not names or graphs_in(folder) or WHOLE in names or (folder / f"model{INDEX}").is_file():
        return
    shard = SHARD.fullmatch(names[0])
    raise InputError(
        f"'{names[0]}' is one of {int(shard[1])} shards, and their index, 'model{INDEX}', is missing"
        if shard
        else f"the weights are called '{names[0]}', and not '{WHOLE}'",
        where=str(folder),
        fix="copy all files of the model, the index among them" if shard else f"call the file '{WHOLE}'",
    )


def _check_safetensors(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"'{path.name}' is damaged or cut off ({path.stat().st_size:,} bytes): {error}",
            where=str(path),
            fix="copy or download it again; a file of Git LFS must be pulled first",
        ) from error
