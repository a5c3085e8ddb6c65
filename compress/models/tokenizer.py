"""One way from text to token ids, for training, for measuring and for every runtime: the tokenizer's own file.

It reads `tokenizer.json` with the `tokenizers` library alone, so that a process that measures an ONNX file
imports neither torch nor transformers.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tokenizers import Tokenizer as FastTokenizer

from compress.errors import InputError
from compress.models.padding import name_padding, padding_id, padding_side

FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


@dataclass(frozen=True)
class Tokenizer:
    """Texts to model inputs.

    Attributes:
        fast: the library's tokenizer, without padding.
        pad_id: the id that fills rows up to the batch's length.
        path: the file that it was read from.
        pad_side: where rows are filled up.
    """

    fast: FastTokenizer
    pad_id: int
    path: Path
    pad_side: Literal["left", "right"] = "right"

    def encode(
        self, texts: Sequence[str], pairs: Sequence[str | None] | None, max_length: int
    ) -> list[dict[str, list[int]]]:
        """Token ids, masks and segment ids of each text, cut to `max_length` tokens, not padded.

        Raises:
            InputError: the tokenizer's file is such that it cannot.
        """
        rows = list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
        try:
            self.fast.enable_truncation(max_length)
            encodings = self.fast.encode_batch(rows)
        except BaseException as error:
            if not _is_the_librarys(error):
                raise
            raise InputError(
                f"the tokenizer cannot encode texts: {error}",
                where=str(self.path),
                fix="take the tokenizer.json that belongs to the model",
            ) from error
        return [
            {
                "input_ids": encoding.ids,
                "attention_mask": encoding.attention_mask,
                "token_type_ids": encoding.type_ids,
            }
            for encoding in encodings
        ]

    def gives_ids_of(self, other: "Tokenizer") -> bool:
        """Whether it makes the same token ids of any text as another."""

        def says(tokenizer: "Tokenizer") -> dict[str, Any]:
            said: dict[str, Any] = json.loads(tokenizer.fast.to_str())
            return {**said, "truncation": None, "padding": None}

        return says(self) == says(other)

    def pad(self, rows: Sequence[dict[str, Any]], length: int | None = None) -> dict[str, np.ndarray[Any, Any]]:
        """Rows to a batch, filled up to one length.

        Args:
            length: tokens a row; longer rows are cut. Left out: the longest row's.

        Returns:
            input_ids, attention_mask, token_type_ids, each (batch, length) of int64.
        """
        width = length or max(len(row["input_ids"]) for row in rows)
        fill = {"input_ids": self.pad_id, "attention_mask": 0, "token_type_ids": 0}
        batch = {}
        for name, value in fill.items():
            batch[name] = np.full((len(rows), width), value, dtype=np.int64)
            for index, row in enumerate(rows):
                kept = row[name][:width]
                start = width - len(kept) if self.pad_side == "left" else 0
                batch[name][index, start : start + len(kept)] = kept
        return batch


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model folder.

    Raises:
        InputError: the folder has no tokenizer.json, or it or tokenizer_config.json cannot be read.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise InputError(
            "the model has no tokenizer.json",
            where=str(folder),
            fix="write one: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)",
        )
    try:
        fast = FastTokenizer.from_file(str(path))
        fast.no_padding()
        pad_id = padding_id(folder, fast)
    except InputError:
        raise
    except BaseException as error:
        if not _is_the_librarys(error):
            raise
        raise InputError(f"tokenizer.json cannot be read: {error}", where=str(path), fix="check it") from error
    return Tokenizer(fast, pad_id, path, padding_side(folder))


def _is_the_librarys(error: BaseException) -> bool:
    """True for what the tokenizers library raises of a file that it cannot use: plain Exception, or a panic of Rust."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def copy_tokenizer(source: Path, target: Path) -> None:
    """Put the tokenizer's files beside a model."""
    for name in FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    if (target / "tokenizer.json").is_file():
        name_padding(target, load_tokenizer(target).fast)
