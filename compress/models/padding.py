"""The padding of rows of different lengths: its id and its side, chosen so that padding changes no answer.

Heads of decoders look for a row's last token that is not padding, by its id alone. So the padding must be the id that
the model knows, and no id with which a text may end.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer as FastTokenizer

from compress.files.whole import read_object

USUAL = ("[PAD]", "<pad>")
"""Usual names of the padding token, for tokenizers that do not name it."""
LEFT = ("xlnet",)
"""Families whose heads read the last position of a row, whatever it holds."""


def padding_id(folder: Path, fast: FastTokenizer) -> int:
    """The id with which rows are padded.

    It is the id in config.json, which the model's code uses; else the tokenizer's padding token; else the token that
    ends or begins texts, if no text ends with it.
    """
    config = _read(folder / "config.json")
    settings = _read(folder / "tokenizer_config.json")
    table = config.get("vocab_size")
    most = table if isinstance(table, int) else sys.maxsize
    token_ids = (fast.token_to_id(name) for name in (token_name(settings, "pad_token"), *USUAL) if name is not None)
    for number in (_settings(config).get("pad_token_id"), *token_ids):
        if isinstance(number, int) and _is_id(number, most):
            return number
    last = _last_of_texts(fast)
    others = (number for number in _others(config, settings, fast) if _is_id(number, most) and number != last)
    return next(others, 0)


def padding_side(folder: Path) -> Literal["left", "right"]:
    """The side on which rows are padded."""
    return "left" if _read(folder / "config.json").get("model_type") in LEFT else "right"


def token_name(settings: Mapping[str, Any], role: str) -> str | None:
    """The text of a special token in a tokenizer_config.json (`pad_token` and so on), or None."""
    token = settings.get(role)
    name = token.get("content") if isinstance(token, dict) else token
    return name if isinstance(name, str) else None


def name_padding(folder: Path, fast: FastTokenizer) -> None:
    """Write the padding token into a folder's tokenizer_config.json if it has none, so that all tools pad alike."""
    path = folder / "tokenizer_config.json"
    settings = _read(path)
    name = fast.id_to_token(padding_id(folder, fast))
    if name is None or settings.get("pad_token") or any(fast.token_to_id(usual) is not None for usual in USUAL):
        return
    path.write_text(json.dumps({**settings, "pad_token": name}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _others(config: Mapping[str, Any], settings: Mapping[str, Any], fast: FastTokenizer) -> Iterator[Any]:
    for role in ("eos_token", "bos_token", "unk_token"):
        if (name := token_name(settings, role)) is not None:
            yield fast.token_to_id(name)
        number = _settings(config).get(f"{role}_id")
        yield number[0] if isinstance(number, list) and number else number


def _last_of_texts(fast: FastTokenizer) -> int | None:
    """The token that the tokenizer adds at the end of a text, or None."""
    ids, mask = (encoding := fast.encode("a")).ids, encoding.special_tokens_mask
    return ids[-1] if ids and mask[-1] else None


def _settings(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config.json that describes the text model."""
    inner = config.get("text_config")
    return inner if isinstance(inner, dict) and "pad_token_id" in inner else config


def _is_id(number: Any, most: int) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < most


def _read(path: Path) -> dict[str, Any]:
    return read_object(path) if path.is_file() else {}
