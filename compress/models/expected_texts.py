"""What texts a model's folder is made for: how many tokens of each are read, and which columns of a table held them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as FastTokenizer

from compress.errors import InputError
from compress.files.whole import FINAL, LINEAGE, STEPS, read_object
from compress.models.architectures import positions_of
from compress.models.config_file import read_config
from compress.models.tokenizer_lengths import own_length

USUAL_TOKENS = 512
"""Kept of a text where nothing in the folder says how many."""


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

    It is the length that a run trained and measured with (`data.max_length` of lineage.json, if rows were read; a step
    of a run has that of the final folder beside it). Without one it is what the folder says it takes (`own_length`),
    else where tokenizer.json cuts, else `USUAL_TOKENS`; never more than the model has positions.

    Args:
        fast: the folder's tokenizer, as it was loaded.

    Raises:
        InputError: one of these files cannot be read.
    """
    data = _data_of_run(folder)
    measured = None if data.get("train_rows") == data.get("test_rows") == 0 else data.get("max_length")
    if not isinstance(measured, int) or isinstance(measured, bool) or measured < 1:
        return own_length(folder, (fast.truncation or {}).get("max_length", USUAL_TOKENS))
    positions = positions_of(read_config(folder))
    return measured if positions is None else min(measured, positions)


def _data_of_run(folder: Path) -> Mapping[str, Any]:
    """What a lineage.json tells of the data: the folder's own, or that of the run that it is a step of.

    Empty where there is none, or where no rows were read, so that what it says are defaults.
    """
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
    read_rows = any(data.get(name) != 0 for name in ("train_rows", "test_rows"))
    return data if read_rows else {}
