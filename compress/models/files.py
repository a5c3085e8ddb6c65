"""The files of a model's folder, and which graph of several is read."""

import shutil
from pathlib import Path

from compress.errors import InputError
from compress.files.whole import read_object
from compress.models.tokenizer import copy_tokenizer

MODEL_FILE = "model.onnx"
SAFETENSORS = "model.safetensors"
SAFETENSORS_INDEX = "model.safetensors.index.json"
CONFIG = "config.json"
VOCABULARIES = ("vocab.txt", "vocab.json", "merges.txt", "*.model")
"""What a tokenizer is read from that has no file of its own."""


LAYOUT = "onnx"
"""Folder in a model's folder in which transformers.js and optimum look for graphs."""
DTYPES = {"fp32": "", "fp16": "_fp16", "q8": "_quantized", "int8": "_int8", "uint8": "_uint8", "q4": "_q4"}
"""What transformers.js calls number formats, and the ends of their files' names in that folder."""
JS_CONFIG = "transformers.js_config"
"""Key of config.json under which it finds which of them to take."""


def graphs_in(folder: Path) -> list[Path]:
    """The ONNX files of a folder; those of `onnx/` where it has no other weights."""
    return sorted(folder.glob("*.onnx")) or (
        [] if any(folder.glob("*.safetensors")) else sorted(folder.glob(f"{LAYOUT}/*.onnx"))
    )


def model_path(folder: Path) -> Path:
    """The ONNX file of a folder: model.onnx, the only one, or in `onnx/` the one that config.json names.

    Raises:
        InputError: there is none, or several and none is called model.onnx or named.
    """
    found = graphs_in(folder)
    named = folder / (_named_in_layout(folder) if found and found[0].parent != folder else MODEL_FILE)
    if named.is_file():
        return named
    if len(found) != 1:
        raise InputError(
            f"{len(found)} .onnx files, and none is called {named.relative_to(folder)}",
            where=str(folder),
            fix="keep just one",
        )
    return found[0]


def folder_of(graph: Path) -> Path:
    """The folder of a graph's model: its own, or the one above `onnx/`."""
    is_inner = graph.parent.name == LAYOUT and not (graph.parent / CONFIG).is_file()
    return graph.parent.parent if is_inner else graph.parent


def layout_file(dtype: str) -> str:
    """Where the graph of a number format stands in a folder, as transformers.js calls it."""
    return f"{LAYOUT}/model{DTYPES[dtype]}.onnx"


def _named_in_layout(folder: Path) -> str:
    """Relative path of the graph that config.json chooses in `onnx/`; left out, the float one."""
    said = read_object(folder / CONFIG).get(JS_CONFIG) if (folder / CONFIG).is_file() else None
    dtype = said.get("dtype") if isinstance(said, dict) else None
    return layout_file(dtype if isinstance(dtype, str) and dtype in DTYPES else "fp32")


def copy_config_and_tokenizer(source: Path, target: Path) -> None:
    """Put beside a graph what belongs to it: the configuration and the tokenizer of the model that it was made from."""
    shutil.copyfile(source / CONFIG, target / CONFIG)
    copy_tokenizer(source, target)
