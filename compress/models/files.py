"""The names of the files in a model's folder, and the choice of the graph if there are several."""

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
"""Files of a tokenizer without a tokenizer.json."""


LAYOUT = "onnx"
"""Subfolder of a model's folder in which transformers.js and optimum look for graphs."""
DTYPES = {"fp32": "", "fp16": "_fp16", "q8": "_quantized", "int8": "_int8", "uint8": "_uint8", "q4": "_q4"}
"""transformers.js's names of number formats -> the endings of their files' names in that subfolder."""
JS_CONFIG = "transformers.js_config"
"""Key of config.json under which transformers.js finds the format to load."""


def graphs_in(folder: Path) -> list[Path]:
    """The ONNX files of a folder, or those in `onnx/` if it has no other weights."""
    return sorted(folder.glob("*.onnx")) or (
        [] if any(folder.glob("*.safetensors")) else sorted(folder.glob(f"{LAYOUT}/*.onnx"))
    )


def model_path(folder: Path) -> Path:
    """The ONNX file of a folder: model.onnx, the only one, or in `onnx/` the one that config.json names.

    Raises:
        InputError: there is none, or there are several and none of them is that file.
    """
    graphs = graphs_in(folder)
    graph = folder / (_named_in_layout(folder) if graphs and graphs[0].parent != folder else MODEL_FILE)
    if graph.is_file():
        return graph
    if len(graphs) != 1:
        raise InputError(
            f"{len(graphs)} .onnx files, and none is called {graph.relative_to(folder)}",
            where=str(folder),
            fix="keep just one",
        )
    return graphs[0]


def folder_of(graph: Path) -> Path:
    """The folder of a graph's model: the graph's folder, or the one above `onnx/`."""
    is_inner = graph.parent.name == LAYOUT and not (graph.parent / CONFIG).is_file()
    return graph.parent.parent if is_inner else graph.parent


def layout_file(dtype: str) -> str:
    """Relative path of the graph with a number format, by transformers.js's name of the format."""
    return f"{LAYOUT}/model{DTYPES[dtype]}.onnx"


def _named_in_layout(folder: Path) -> str:
    """Relative path of the graph in `onnx/` that config.json chooses; by default the float one."""
    settings = read_object(folder / CONFIG).get(JS_CONFIG) if (folder / CONFIG).is_file() else None
    dtype = settings.get("dtype") if isinstance(settings, dict) else None
    return layout_file(dtype if isinstance(dtype, str) and dtype in DTYPES else "fp32")


def copy_config_and_tokenizer(source: Path, target: Path) -> None:
    """Copy to a graph's folder the configuration and the tokenizer of the model that it was made from."""
    shutil.copyfile(source / CONFIG, target / CONFIG)
    copy_tokenizer(source, target)
