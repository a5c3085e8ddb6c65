"""The settings in tokenizer_config.json that change a model's inputs.

The side of padding is not among them: it depends on the model, so that a row in a batch gives what it gives alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer as FastTokenizer

from compress.errors import InputError
from compress.files.whole import read_object

CONFIG = "tokenizer_config.json"
SEGMENTS = "token_type_ids"
SEGMENTLESS = (
    "AlbertTokenizer",
    "BigBirdTokenizer",
    "FunnelTokenizer",
    "PreTrainedTokenizer",
    "RemBertTokenizer",
    "RoFormerTokenizer",
    "SplinterTokenizer",
    "TokenizersBackend",
    "XLNetTokenizer",
)
"""Classes of transformers 5 that give segment ids only on request, although their files have them for pairs."""
SEGMENTLESS_FAMILIES = ("albert", "big_bird", "funnel", "rembert", "roformer", "splinter", "xlnet")
"""Families whose tokenizers have one of these classes."""


@dataclass(frozen=True)
class Settings:
    """The settings of a tokenizer that are not in tokenizer.json.

    Attributes:
        cut_side: the side on which a text that is too long is cut.
        tells_segments: whether the second text of a pair has another segment id than the first.
        splits_special_tokens: whether a special token's name within a text is plain text.
    """

    cut_side: Literal["left", "right"] = "right"
    tells_segments: bool = True
    splits_special_tokens: bool = False


def read_settings(folder: Path, fast: FastTokenizer) -> Settings:
    """The settings of a model's folder.

    Args:
        fast: the folder's tokenizer, whose truncation gives the side if tokenizer_config.json does not.

    Raises:
        InputError: tokenizer_config.json cannot be read, or has a value that is not allowed.
    """
    path = folder / CONFIG
    content = read_object(path) if path.is_file() else {}
    own = str((fast.truncation or {}).get("direction", "right")).lower()
    side = content.get("truncation_side", own)
    names = content.get("model_input_names")
    if side not in ("left", "right"):
        raise _wrong(path, "truncation_side", side, "left or right")
    if names is not None and not (isinstance(names, list) and "input_ids" in names):
        raise _wrong(path, "model_input_names", names, "a list of names, input_ids among them")
    return Settings(
        cut_side=side,
        tells_segments=SEGMENTS in names if names is not None else _class_tells_segments(folder, content),
        splits_special_tokens=_truth(content, "split_special_tokens", path),
    )


def _class_tells_segments(folder: Path, content: Mapping[str, Any]) -> bool:
    """Whether transformers' tokenizer class for a folder gives segment ids."""
    name = content.get("tokenizer_class")
    if isinstance(name, str):
        return name.removesuffix("Fast") not in SEGMENTLESS
    config = folder / "config.json"
    return not config.is_file() or read_object(config).get("model_type") not in SEGMENTLESS_FAMILIES


def _truth(content: Mapping[str, Any], name: str, path: Path) -> bool:
    value = content.get(name) or False
    if not isinstance(value, bool):
        raise _wrong(path, name, value, "true or false")
    return value


def _wrong(path: Path, name: str, value: Any, accepted: str) -> InputError:
    return InputError(
        f"the model's {CONFIG} says {name}: {value!r:.60}; accepted is {accepted}", where=str(path), fix="correct it"
    )
