"""A torch model as transformers saves it: config.json and safetensors."""

import json
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from compress.errors import InputError
from compress.extras import DISTRIBUTION
from compress.files.whole import read_object, write_text
from compress.formats import Format
from compress.models.architectures import SHAPES_KEY
from compress.models.config_file import read_config
from compress.models.files import CONFIG, SAFETENSORS, SAFETENSORS_INDEX, graphs_in
from compress.models.own_families import is_own
from compress.models.parameters import safetensors_parameters
from compress.models.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from compress.runtimes import Predictor

PACKAGES = ("torch", "transformers")
HOW_TO_LOAD = "compress.load(folder), of the package compress-models: from_pretrained builds layers of one shape alone"
"""A note in config.json beside the layers' shapes of a torch model."""
_PLAIN = Template("""\
from transformers import pipeline

folder = "."  # where this card is
classify = pipeline("$hub_task", model=folder, tokenizer=folder)
print(classify($rows, truncation=True))  # where tokenizer_config.json says
""")
_SHAPED = Template("""\
import compress
from transformers import AutoTokenizer, pipeline

folder = "."  # where this card is
model, tokenizer = compress.load(folder), AutoTokenizer.from_pretrained(folder)
classify = pipeline("$hub_task", model=model, tokenizer=tokenizer)
print(classify($rows, truncation=True))  # where tokenizer_config.json says
""")


def quantization(path: Path) -> object:
    """The entry of config.json on how the weights of a folder without graphs are quantized; None where they are not.

    Raises:
        InputError: config.json cannot be read.
    """
    is_model = path.is_dir() and (path / CONFIG).is_file() and not graphs_in(path)
    return (read_config(path).get("quantization_config") or None) if is_model else None


def recognises(path: Path) -> bool:
    """Whether a folder has a config.json, no graphs, and weights that are not quantized."""
    is_model = path.is_dir() and (path / CONFIG).is_file() and not graphs_in(path)
    return is_model and quantization(path) is None


def weight_files(folder: Path) -> list[Path]:
    """The files that transformers loads: model.safetensors, or else the shards that the index names.

    Other weights beside them (pickles, other frameworks' files) are not read.

    Raises:
        InputError: there are none.
    """
    if (folder / SAFETENSORS).is_file():
        return [folder / SAFETENSORS]
    if (index_file := index(folder)) is not None:
        shards = read_object(index_file).get("weight_map")
        if isinstance(shards, dict):
            return [folder / name for name in sorted(set(shards.values()))]
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError("the model has no safetensors", where=str(folder), fix="save it again as safetensors")
    return files


def index(folder: Path) -> Path | None:
    """The index of the shards, where the weights stand in several files."""
    is_read = (folder / SAFETENSORS_INDEX).is_file() and not (folder / SAFETENSORS).is_file()
    return folder / SAFETENSORS_INDEX if is_read else None


def parameters(folder: Path) -> int:
    """Number of weights in the safetensors; only their headers are read."""
    return sum(safetensors_parameters(path) for path in weight_files(folder))


def load(folder: Path, hub_task: str, threads: int | None) -> "Predictor":
    """The model in eager mode on the CPU.

    Args:
        threads: torch's threads for the whole process; left out, they stay as they are set.
    """
    from compress import runtimes
    from compress.recipe.schema import Target

    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    return runtimes.load(folder, Target(runtime="torch"), hub_task)


def needs_compress(folder: Path) -> bool:
    """Whether the model has shapes, or is of a family, that plain `from_pretrained` cannot load."""
    config = read_config(folder)
    return SHAPES_KEY in config or is_own(config)


def snippet(folder: Path, hub_task: str, pairs: bool) -> tuple[list[str], str]:
    """The packages that are needed, and code that makes a pipeline of transformers.

    Raises:
        InputError: the folder has no config.json or no tokenizer.
    """
    load_tokenizer(folder)
    has_shapes = needs_compress(folder)
    rows = '[{"text": "a text", "text_pair": "its second text"}]' if pairs else '["a text", "another"]'
    code = (_SHAPED if has_shapes else _PLAIN).substitute(hub_task=hub_task, rows=rows)
    return [*([DISTRIBUTION] if has_shapes else []), *PACKAGES], code


def adapt(folder: Path) -> list[str]:
    """Write into config.json what loads a model whose layers have shapes of their own.

    Returns:
        The names of the files that were written.
    """
    config = read_object(folder / CONFIG)
    if SHAPES_KEY not in config:
        return []
    config[SHAPES_KEY] = {**config[SHAPES_KEY], "load_with": HOW_TO_LOAD}
    write_text(folder / CONFIG, json.dumps(config, indent=2, sort_keys=True) + "\n")
    return [CONFIG]


FORMAT = Format(
    title="PyTorch",
    recognises=recognises,
    weights=("*.safetensors",),
    weight_files=weight_files,
    index=index,
    parameters=parameters,
    has_float_weights=True,
    runtime="torch",
    load=load,
    in_transformers=True,
    packages=PACKAGES,
    snippet=snippet,
    library=lambda folder: "compress" if needs_compress(folder) else "transformers",
    adapt=adapt,
)
