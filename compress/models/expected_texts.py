"""The texts that a model's folder is made for: the number of tokens that is read, and the columns of its table."""

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
"""Tokens kept of a text if nothing in the folder says how many."""


def expected_columns(folder: Path) -> Mapping[str, str]:
    """Columns of the table that a model was made with, by role: `text`, `text_pair` and `label`.

    Empty if neither the folder nor its run has a record of the data.

    Raises:
        InputError: lineage.json cannot be read.
    """
    data = _data_of_run(folder)
    columns = data.get("columns")
    if not data:
        return {}
    column_names = (
        {role: name for role, name in columns.items() if isinstance(name, str)} if isinstance(columns, dict) else {}
    )
    return {"text": "text", "label": "label", **column_names}


def expected_length(folder: Path, fast: FastTokenizer) -> int:
    """The number of tokens that is kept of each text.

    It is the length with which a run trained and measured (`data.max_length` of lineage.json, if rows were read; for a
    step of a run, that of the run's final folder). Else it is the folder's own length (`own_length`), else the length
    at which tokenizer.json cuts, else `USUAL_TOKENS`; never more than the model has positions.

    Args:
        fast: the folder's tokenizer, as loaded.

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
    """The record of the data in a lineage.json: the folder's own, or that of its run.

    Empty if there is none, or if no rows were read, so that it holds only defaults.
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
