"""What a tokenizer does beside its tokenizer.json: the settings of tokenizer_config.json that change a model's inputs.

The side on which rows are padded is none of them: it is the model's affair, so that a row in a batch is what it is
alone.
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
"""Classes of transformers 5 that give no segment ids unless they are told to, though their files have some of pairs."""
SEGMENTLESS_FAMILIES = ("albert", "big_bird", "funnel", "rembert", "roformer", "splinter", "xlnet")
"""Families whose tokenizers are of these classes."""


@dataclass(frozen=True)
class Settings:
    """How texts become inputs, beside what tokenizer.json says.

    Attributes:
        cut_side: where a text that is too long loses tokens.
        tells_segments: whether the second text of a pair has another segment id than the first.
        splits_special_tokens: whether a special token's name within a text is plain text.
    """

    cut_side: Literal["left", "right"] = "right"
    tells_segments: bool = True
    splits_special_tokens: bool = False


def read_settings(folder: Path, fast: FastTokenizer) -> Settings:
    """The settings of a model's folder.

    Args:
        fast: its tokenizer, whose own truncation says the side where tokenizer_config.json does not.

    Raises:
        InputError: tokenizer_config.json cannot be read, or says what is none of these.
    """
    path = folder / CONFIG
    said = read_object(path) if path.is_file() else {}
    own = str((fast.truncation or {}).get("direction", "right")).lower()
    side = said.get("truncation_side", own)
    names = said.get("model_input_names")
    if side not in ("left", "right"):
        raise _wrong(path, "truncation_side", side, "left or right")
    if names is not None and not (isinstance(names, list) and "input_ids" in names):
        raise _wrong(path, "model_input_names", names, "a list of names, input_ids among them")
    return Settings(
        cut_side=side,
        tells_segments=SEGMENTS in names if names is not None else _class_tells_segments(folder, said),
        splits_special_tokens=_truth(said, "split_special_tokens", path),
    )


def _class_tells_segments(folder: Path, said: Mapping[str, Any]) -> bool:
    """Whether the class that transformers takes for a folder gives segment ids."""
    name = said.get("tokenizer_class")
    if isinstance(name, str):
        return name.removesuffix("Fast") not in SEGMENTLESS
    config = folder / "config.json"
    return not config.is_file() or read_object(config).get("model_type") not in SEGMENTLESS_FAMILIES


def _truth(said: Mapping[str, Any], name: str, path: Path) -> bool:
    value = said.get(name) or False
    if not isinstance(value, bool):
        raise _wrong(path, name, value, "true or false")
    return value


def _wrong(path: Path, name: str, value: Any, accepted: str) -> InputError:
    return InputError(
        f"the model's {CONFIG} says {name}: {value!r:.60}; accepted is {accepted}", where=str(path), fix="correct it"
    )
