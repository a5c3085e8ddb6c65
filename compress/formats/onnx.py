"""An ONNX graph: `model.onnx` with the files that it names, or several graphs in a folder `onnx/`."""

from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Literal

from compress.files.whole import CARD, LINEAGE, MANIFEST
from compress.formats import Format
from compress.machine.processor import cores_here
from compress.models.files import CONFIG, LAYOUT, graphs_in, model_path
from compress.models.tokenizer import FILES as TOKENIZER_FILES
from compress.models.tokenizer import load_tokenizer
from compress.runtimes import TOKEN_TASKS

if TYPE_CHECKING:
    from compress.runtimes import Predictor

PACKAGES = ("onnxruntime", "tokenizers", "numpy")
SPLITS = "tokenizer.encode_special_tokens = True  # their names in a text are plain text\n"
_CODE = Template("""\
import json
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

folder = Path(".")  # where this card is
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))  # it says where texts are cut, and what fills up
${splits}session = onnxruntime.InferenceSession(folder / "$graph", providers=["CPUExecutionProvider"])
labels = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("id2label", {})

rows = tokenizer.$encode($rows)
arrays = {
    "input_ids": [row.ids for row in rows],
    "attention_mask": [row.attention_mask for row in rows],
    "token_type_ids": [$segments for row in rows],
}
types = {item.name: item.type[7:-1] for item in session.get_inputs()}  # "int64" of "tensor(int64)"
inputs = {name: np.array(arrays[name], dtype=kind) for name, kind in types.items()}
logits = session.run(None, inputs)[0]
print($answers)
""")
_OF_ROWS = "[labels.get(str(best), int(best)) for best in logits.argmax(axis=-1)]"
_OF_TOKENS = "[[labels.get(str(best), int(best)) for best in row] for row in logits.argmax(axis=-1)]"


def recognises(path: Path) -> bool:
    """Whether a folder has ONNX files for weights, or a file is one."""
    return path.suffix == ".onnx" if path.is_file() else bool(graphs_in(path))


def weight_files(folder: Path) -> list[Path]:
    """The graph, and the files that it names; graphs of other precisions beside it are not read.

    Raises:
        InputError: it is not clear which graph is meant.
    """
    graph = model_path(folder)
    own_files = {graph, *(folder / name for name in (CONFIG, MANIFEST, LINEAGE, CARD, *TOKENIZER_FILES))}
    if all(path in own_files for path in folder.rglob("*")):
        return [graph]  # no other files: the graph, which may be large, need not be read
    from compress.graphs.read import check_external_data

    return [graph, *(graph.parent / name for name in check_external_data(graph))]


def parameters(folder: Path) -> int:
    """Number of weights in the graph; packed 4-bit weights are counted unpacked, scales are not counted."""
    from compress.graphs.read import parameters_in

    return parameters_in(model_path(folder))


def check(folder: Path) -> list[str]:
    """Refuse graphs whose files lead out of the folder.

    Returns:
        Relative paths of the files that the graphs name, and of graphs in `onnx/`.

    Raises:
        InputError: it names the first file that is wrong.
    """
    from compress.graphs.read import check_external_data

    graphs = graphs_in(folder)
    named_files = {graph.parent / name for graph in graphs for name in check_external_data(graph)}
    inner = {graph for graph in graphs if graph.parent != folder}
    return sorted(path.relative_to(folder).as_posix() for path in named_files | inner)


def load(folder: Path, hub_task: str, threads: int | None) -> "Predictor":
    """A session of ONNX Runtime on the CPU; it needs onnxruntime, tokenizers and numpy alone."""
    from compress.runtimes.onnxruntime import CPU, open_file

    gives: Literal["row", "token"] = "token" if hub_task in TOKEN_TASKS else "row"
    return open_file(model_path(folder), [CPU], threads or cores_here(), gives=gives)


def snippet(folder: Path, hub_task: str, pairs: bool) -> tuple[list[str], str]:
    """The packages that are needed, and code that runs the graph in ONNX Runtime.

    Raises:
        InputError: the folder has no config.json or no tokenizer.
    """
    settings = load_tokenizer(folder).settings
    return [*PACKAGES], _CODE.substitute(
        rows='[("a text", "its second text"), ("another", "and its second")]' if pairs else '["a text", "another"]',
        encode="encode_batch" if pairs else "encode_batch_fast",  # fast: without positions in the text
        answers=_OF_TOKENS if hub_task in TOKEN_TASKS else _OF_ROWS,
        graph=model_path(folder).relative_to(folder).as_posix(),
        splits=SPLITS if settings.splits_special_tokens else "",
        segments="row.type_ids" if settings.tells_segments else "[0] * len(row.ids)",
    )


FORMAT = Format(
    title="ONNX",
    recognises=recognises,
    weights=("*.onnx", f"{LAYOUT}/*.onnx"),
    more_weights=("*.onnx.data", "*.onnx_data"),
    weight_files=weight_files,
    parameters=parameters,
    runtime="onnxruntime",
    load=load,
    check=check,
    export="export_onnx",
    graph=model_path,
    packages=PACKAGES,
    snippet=snippet,
    library=lambda _: "onnx",
    tags=("onnx",),
)
