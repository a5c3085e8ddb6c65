"""What texts a model's folder is made for: how many tokens of each are read, and which columns of a table held them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as FastTokenizer

from compress.errors import InputError
from compress.files import FINAL, LINEAGE, STEPS, read_object
from compress.models.architectures import positions_of
from compress.models.config_file import read_config

USUAL_TOKENS = 512
"""Kept of a text where nothing in the folder says how many."""
NO_LIMIT = 1_000_000
"""A tokenizer_config.json that says at least so many says that there is no limit; transformers writes 10**30."""


@dataclass(frozen=True)
class ExpectedTexts:
    """What a folder says of the texts that it is made for.

    Attributes:
        max_length: tokens kept of each text.
        columns: names by role, `text`, `text_pair` and `label`; empty where the folder does not know its data.
    """

    max_length: int
    columns: Mapping[str, str]

    @property
    def pairs(self) -> bool | None:
        """Whether each row has two texts; None where the folder does not know its data."""
        return "text_pair" in self.columns if self.columns else None


def expected_texts(folder: Path, fast: FastTokenizer) -> ExpectedTexts:
    """What a model's folder says of its texts.

    The length is the one that a run trained and measured with (`data.max_length` of lineage.json; a step of a run has
    that of the final folder beside it). Without one it is `model_max_length` of tokenizer_config.json, else where
    tokenizer.json cuts, else the model's number of positions, else `USUAL_TOKENS`; never more than there are positions.

    Args:
        fast: the folder's tokenizer, as it was loaded.

    Raises:
        InputError: one of these files cannot be read.
    """
    data = _data_of_run(folder)
    positions = positions_of(read_config(folder))
    path = folder / "tokenizer_config.json"
    said = read_object(path) if path.is_file() else {}
    cut = (fast.truncation or {}).get("max_length")
    told = (*map(_tokens, (data.get("max_length"), said.get("model_max_length"), cut)), positions, USUAL_TOKENS)
    length = next(tokens for tokens in told if tokens is not None)
    columns = data.get("columns")
    named = {role: name for role, name in columns.items() if isinstance(name, str)} if isinstance(columns, dict) else {}
    return ExpectedTexts(length if positions is None else min(length, positions), named)


def _data_of_run(folder: Path) -> Mapping[str, Any]:
    """The part of a lineage.json that tells of the data: of the folder's own, or of the run that it is a step of."""
    beside = folder.absolute().parent
    places = [folder / LINEAGE, *([beside.parent / FINAL / LINEAGE] if beside.name == STEPS else [])]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return {}
    data = read_object(path).get("data") or {}
    if not isinstance(data, dict):
        raise InputError(
            f"lineage.json says data: {data!r:.60}, which is no object",
            where=str(path),
            fix="run the recipe again: it writes the final folder anew",
        )
    return data


def _tokens(value: Any) -> int | None:
    """A number of tokens, or None for what is none."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 < value < NO_LIMIT else None
