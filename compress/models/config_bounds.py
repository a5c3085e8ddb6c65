"""The check that the sizes in a config.json fit the folder's weights: a model is built in these sizes before they load.

Only names and shapes are read from the safetensors, which is quick. A size far above all sizes of the weights would
fill the memory with tables that no file has.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from compress.errors import InputError
from compress.models.config_file import read_config

SIZE = re.compile(r"size|dim|embd|d_model|d_ff|d_kv|ffn|inner|rank")
LAYERS = re.compile(r"layers?$")
COUNT = re.compile(r"num_labels|experts?$|heads?$|groups?$")
POSITIONS = re.compile(r"positions?(_embeddings)?$|^n_ctx$")
LOOSE = 4
"""Factor by which a setting may exceed the largest size among the weights: some settings are not sizes of tensors."""
SMALLEST_BOUND = 2**16
FEW_LAYERS = 128
"""Number of layers that is always accepted: layers may share their weights, as ALBERT's do."""
MOST_POSITIONS = 2**24
MOST_COUNTED = 2**17
MASKED_POSITIONS = 2**15
"""Most positions of old decoders, which keep a mask of positions by positions."""
MASKED = {"gpt2", "gpt_neo", "gptj", "gpt_bigcode", "codegen", "imagegpt", "openai-gpt"}


def check_config_fits(folder: Path) -> None:
    """Refuse a torch model's folder whose config.json has sizes far above those of its weights.

    Raises:
        InputError: names the first setting that is too large.
    """
    shapes = list(_shapes(folder))
    if not shapes:
        return
    config = read_config(folder)
    largest = max((size for shape in shapes for size in shape), default=1)
    for name, value in _numbers(config):
        if LAYERS.search(name):
            most, why = max(len(shapes), FEW_LAYERS), f"the weights have {len(shapes):,} tensors"
        elif COUNT.search(name):
            most, why = MOST_COUNTED, "no model has so many"
        elif POSITIONS.search(name):
            masked = config.get("model_type") in MASKED
            most, why = MASKED_POSITIONS if masked else MOST_POSITIONS, "no model has so many"
        elif SIZE.search(name):
            most, why = max(LOOSE * largest, SMALLEST_BOUND), f"the weights' largest size is {largest:,}"
        else:
            continue
        if value > most:
            raise InputError(
                f"the model's config.json says {name}: {value:,}, but {why}",
                where=str(folder / "config.json"),
                fix="take the config.json that belongs to the weights",
            )


def _shapes(folder: Path) -> Iterator[list[int]]:
    """The shapes of all tensors in the folder's safetensors."""
    from safetensors import safe_open

    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118  it is no dictionary
                yield tensors.get_slice(name).get_shape()


def _numbers(config: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Names and values of the whole numbers in a configuration and in those nested in it."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _numbers(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            yield name, value
