"""The number of weights in a folder, read from its files without loading the model."""

import math
from pathlib import Path

from compress.files.whole import read_object
from compress.models.architectures import ARCHITECTURES, SHAPES_KEY, size_fields

_BNB_EXTRAS = (".SCB", ".weight_format")


def token_parameters(folder: Path) -> int | None:
    """Number of weights in the table of token embeddings; None if the folder's config.json does not say it."""
    config = read_object(folder / "config.json")
    architecture = ARCHITECTURES.get(str(config.get("model_type")))
    hidden_field = size_fields(architecture)[1] if architecture else "hidden_size"
    rank = (config.get(SHAPES_KEY) or {}).get("embedding_rank")
    width = rank or config.get("embedding_size") or config.get(hidden_field)
    tokens = config.get("vocab_size")
    return int(tokens) * int(width) if tokens and width else None


def safetensors_parameters(path: Path) -> int:
    """Number of weights in a file, from its header; packed 4-bit weights count one each, scales do not count."""
    from safetensors import safe_open

    total = 0
    with safe_open(path, framework="numpy") as file:
        for name in file.keys():  # noqa: SIM118  not a dictionary
            if ".weight." in name or name.endswith(_BNB_EXTRAS):
                continue
            piece = file.get_slice(name)
            packed = 2 if piece.get_dtype() == "U8" else 1
            total += packed * math.prod(piece.get_shape())
    return total
