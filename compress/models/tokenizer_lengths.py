"""What a tokenizer's own files say of lengths: where texts are cut, and what fills rows up, for every loader alike.

`tokenizers` goes by tokenizer.json, transformers and transformers.js go by tokenizer_config.json. Models from outside
often come with a fixed length in the one and another in the other.
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
"""Of the padding token where the vocabulary has no name for it."""


def own_length(folder: Path, otherwise: int) -> int:
    """Tokens of a text that a model's folder says it takes.

    Args:
        otherwise: what is taken where neither tokenizer_config.json nor config.json says it.
    """
    positions = positions_of(read_config(folder))
    path = folder / CONFIG
    said = read_object(path).get("model_max_length") if path.is_file() else None
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 < said <= (positions or 10**6):
        return positions or otherwise  # transformers writes 1e30 where it knows none
    return int(said)


def say_length(folder: Path, max_length: int) -> tuple[str, ...]:
    """Let a folder's tokenizer files say where texts are cut, and that batches are filled up to the longest row.

    Args:
        folder: with tokenizer.json, whose files may be changed.
        max_length: tokens, special ones included.

    Returns:
        Names of the files that say it.

    Raises:
        InputError: they cannot be read.
    """
    tokenizer = load_tokenizer(folder)
    direction = {"left": "Left", "right": "Right"}
    path = folder / FILE
    is_wide = path.read_text(encoding="utf-8")[:2] == "{\n"
    said = read_object(path)
    said["truncation"] = {
        "direction": direction[tokenizer.settings.cut_side],
        "max_length": max_length,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    said["padding"] = {
        "strategy": "BatchLongest",
        "direction": direction[tokenizer.pad_side],
        "pad_to_multiple_of": None,
        "pad_id": tokenizer.pad_id,
        "pad_type_id": 0,
        "pad_token": tokenizer.fast.id_to_token(tokenizer.pad_id) or USUAL_NAME,
    }
    _write(path, said, is_wide=is_wide)
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
