"""Which of a model folder's files are read: those that count as its size, and as its weights."""

import shutil
from pathlib import Path

from compress.errors import InputError
from compress.files.whole import CARD, LINEAGE, MANIFEST, read_object
from compress.models.tokenizer import FILES as TOKENIZER_FILES
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


def weight_files(folder: Path, artifact_format: str) -> list[Path]:
    """The files that hold the model's weights, as its runtime takes them.

    Of ONNX, the graph and the files that it names; of torch, what transformers takes: model.safetensors, or else the
    shards that the index names. Others beside them (another precision's graph, pickles, other frameworks' weights) are
    read by nobody.

    Args:
        artifact_format: `torch`, `torch_bnb` or `onnx`.

    Raises:
        InputError: there are none, or which they are cannot be told.
    """
    if artifact_format == "onnx":
        graph = model_path(folder)
        known = {graph, *(folder / name for name in (CONFIG, MANIFEST, LINEAGE, CARD, *TOKENIZER_FILES))}
        if all(path in known for path in folder.rglob("*")):
            return [graph]  # a large file is not read to learn that it stands alone
        from compress.graphs.read import check_external_data

        return [graph, *(graph.parent / name for name in check_external_data(graph))]
    if (folder / SAFETENSORS).is_file():
        return [folder / SAFETENSORS]
    index = folder / SAFETENSORS_INDEX
    if index.is_file():
        shards = read_object(index).get("weight_map")
        if isinstance(shards, dict):
            return [folder / name for name in sorted(set(shards.values()))]
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        raise InputError("the model has no safetensors", where=str(folder), fix="save it again as safetensors")
    return found


def size_of(folder: Path, artifact_format: str) -> int:
    """Bytes of all that is read of a model: its weights with their index, its configuration, and its tokenizer.

    For what this tool writes, these are all files but the manifest, the lineage and the card, and other graphs in
    `onnx/`. A folder from outside may hold more: its history, other formats of the weights, examples.

    Raises:
        InputError: there are no weights, or which they are cannot be told.
    """
    files = {*weight_files(folder, artifact_format), folder / CONFIG}
    if (folder / SAFETENSORS_INDEX).is_file() and not (folder / SAFETENSORS).is_file() and artifact_format != "onnx":
        files.add(folder / SAFETENSORS_INDEX)
    names = TOKENIZER_FILES if (folder / "tokenizer.json").is_file() else (*TOKENIZER_FILES, *VOCABULARIES)
    files |= {path for name in names for path in folder.glob(name)}
    return sum(path.stat().st_size for path in files if path.is_file())
