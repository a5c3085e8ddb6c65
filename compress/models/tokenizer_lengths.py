"""The lengths in a tokenizer's files: where texts are cut and how rows are padded, the same for every loader.

`tokenizers` reads tokenizer.json; transformers and transformers.js read tokenizer_config.json. In models from outside
the two files often have different lengths.
"""

import json
from pathlib import Path
from typing import Any

from compress.files.whole import read_object, write_text
from compress.models.architectures import positions_of
from compress.models.config_file import read_config
from compress.models.tokenizer import load_tokenizer
from compress.models.tokenizer_settings import CONFIG

FILE = "tokenizer.json"
USUAL_NAME = "[PAD]"
"""Name of the padding token if the vocabulary has none."""


def own_length(folder: Path, otherwise: int) -> int:
    """Most tokens of a text by a model's own folder.

    Args:
        otherwise: the number if neither tokenizer_config.json nor config.json has one.
    """
    positions = positions_of(read_config(folder))
    path = folder / CONFIG
    length = read_object(path).get("model_max_length") if path.is_file() else None
    if isinstance(length, bool) or not isinstance(length, int | float) or not 0 < length <= (positions or 10**6):
        return positions or otherwise  # transformers writes 1e30 if it knows no length
    return int(length)


def write_length(folder: Path, max_length: int) -> tuple[str, ...]:
    """Write into a folder's tokenizer files where texts are cut, and that batches are padded to the longest row.

    Args:
        folder: a folder with tokenizer.json whose files may be changed.
        max_length: tokens, special tokens included.

    Returns:
        Names of the files that were written.

    Raises:
        InputError: the files cannot be read.
    """
    tokenizer = load_tokenizer(folder)
    direction = {"left": "Left", "right": "Right"}
    path = folder / FILE
    is_wide = path.read_text(encoding="utf-8")[:2] == "{\n"
    content = read_object(path)
    content["truncation"] = {
        "direction": direction[tokenizer.settings.cut_side],
        "max_length": max_length,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    content["padding"] = {
        "strategy": "BatchLongest",
        "direction": direction[tokenizer.pad_side],
        "pad_to_multiple_of": None,
        "pad_id": tokenizer.pad_id,
        "pad_type_id": 0,
        "pad_token": tokenizer.fast.id_to_token(tokenizer.pad_id) or USUAL_NAME,
    }
    _write(path, content, is_wide=is_wide)
    config = folder / CONFIG
    settings = read_object(config) if config.is_file() else {}
    lengths = {
        name: max_length for name in ("model_max_length", "max_length") if name in {*settings, "model_max_length"}
    }
    sides = {"truncation_side": tokenizer.settings.cut_side, "padding_side": tokenizer.pad_side}
    _write(config, settings | lengths | sides, is_wide=True)
    return FILE, CONFIG


def _write(path: Path, content: Any, *, is_wide: bool) -> None:
    layout: dict[str, Any] = {"indent": 2} if is_wide else {"separators": (",", ":")}
    write_text(path, json.dumps(content, ensure_ascii=False, **layout) + ("\n" if is_wide else ""))
