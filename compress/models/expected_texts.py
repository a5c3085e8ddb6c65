"""What texts a model's folder is made for: how many tokens of each are read, and which columns of a table held them."""

from collections.abc import Mapping
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


def expected_columns(folder: Path) -> Mapping[str, str]:
    """Columns of the table that a model's folder was made with, by role: `text`, `text_pair` and `label`.

    Empty where neither the folder nor the run that it is a step of tells of its data.

    Raises:
        InputError: lineage.json cannot be read.
    """
    data = _data_of_run(folder)
    columns = data.get("columns")
    if not data:
        return {}
    named = {role: name for role, name in columns.items() if isinstance(name, str)} if isinstance(columns, dict) else {}
    return {"text": "text", "label": "label", **named}


def expected_length(folder: Path, fast: FastTokenizer) -> int:
    """Tokens that are kept of each text.

    It is the length that a run trained and measured with (`data.max_length` of lineage.json; a step of a run has that
    of the final folder beside it). Without one it is `model_max_length` of tokenizer_config.json, else where
    tokenizer.json cuts, else the model's number of positions, else `USUAL_TOKENS`; never more than there are positions.

    Args:
        fast: the folder's tokenizer, as it was loaded.

    Raises:
        InputError: one of these files cannot be read.
    """
    positions = positions_of(read_config(folder))
    path = folder / "tokenizer_config.json"
    said = read_object(path) if path.is_file() else {}
    cut = (fast.truncation or {}).get("max_length")
    measured = _data_of_run(folder).get("max_length")
    told = (*map(_tokens, (measured, said.get("model_max_length"), cut)), positions, USUAL_TOKENS)
    length = next(tokens for tokens in told if tokens is not None)
    return length if positions is None else min(length, positions)


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
