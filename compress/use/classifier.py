"""A finished classifier in Python: texts in, labels with probabilities out.

It reads the folders that this tool writes, and others like them. A folder with an ONNX graph needs only onnxruntime,
tokenizers and numpy; one with torch weights needs torch and transformers.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np

from compress.errors import InputError
from compress.formats import load
from compress.models.architectures import positions_of
from compress.models.config_file import check_single_label, labels_of, read_config
from compress.models.expected_texts import expected_columns, expected_length
from compress.models.folder import check_weights, model_folder
from compress.models.tokenizer import load_tokenizer
from compress.ops.softmax import softmax
from compress.report.usage import HUB_TASK

Text: TypeAlias = str | tuple[str, str]
"""A text, or a pair of texts for a model of pairs."""
BATCH_SIZE = 32
WINDOW = 1024
"""Number of texts that are encoded at once and sorted into batches by length."""


@dataclass(frozen=True)
class Prediction:
    """A classifier's prediction for a text.

    Attributes:
        label: the most probable label.
        probability: the label's probability by the model, between 0 and 1.
    """

    label: str
    probability: float


class Classifier:
    """A classifier in a folder: `runs/NAME/final`, a run's folder, a step of a run, or one of the hub's layout.

    ```python
    classifier = compress.Classifier("runs/reviews/final")
    classifier("a lovely film")                       # Prediction(label='good', probability=0.98)
    classifier(["a lovely film", "a dull one"])       # a list of two
    classifier([("a question", "its answer")])        # of a model that reads pairs
    classifier.predict_proba(["a lovely film"])       # array of (texts, labels)
    ```

    Texts become tokens as in training and measuring, and probabilities are a softmax of the model's logits. Batches
    have texts of similar lengths. A float model gives the same figures in any batch, up to rounding in the last digits.
    A graph that quantizes its activations in each call (`quantize_onnx_dynamic`) rounds a batch by its largest value,
    so its probabilities depend a little on the batch's other texts; with `batch_size=1` they do not.

    The classifier may be called from several threads at once.

    Args:
        folder: the model's folder.
        batch_size: number of texts in one call of the model.
        threads: threads inside one operation. None: as many as this process has processors. For a torch model this is a
            setting of the whole process, and None leaves it unchanged.
        max_length: tokens kept of each text. None: the folder's own length, see `compress.models.expected_texts`: that
            of the run, else the tokenizer's, else the model's longest.

    Attributes:
        folder: the model's folder.
        labels: the labels in the order of the model's outputs.
        max_length: tokens kept of each text.
        pairs: whether the model is made for pairs of texts; None if the folder does not say it.

    Raises:
        InputError: the folder has no classifier that gives each text one of its labels, or cannot be read.
        CompressError: the graph cannot be loaded.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        batch_size: int = BATCH_SIZE,
        threads: int | None = None,
        max_length: int | None = None,
    ) -> None:
        self.folder = model_folder(Path(folder).expanduser())
        for name, value in (("batch_size", batch_size), ("threads", threads), ("max_length", max_length)):
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}", where="compress.Classifier", fix="give a number from 1 on")
        check_weights(self.folder)
        check_single_label(self.folder)
        self.batch_size = batch_size
        self._tokenizer = load_tokenizer(self.folder)
        columns = expected_columns(self.folder)
        self.pairs = "text_pair" in columns if columns else None
        expected = expected_length(self.folder, self._tokenizer.fast)
        self.max_length = expected if max_length is None else self._within_positions(max_length)
        self._predict = load(self.folder, HUB_TASK, threads)
        classes = self._logits(["a"], ["a"] if self.pairs else None).shape[1]
        self.labels = _labels(self.folder, classes)

    def __repr__(self) -> str:
        return f"Classifier({str(self.folder)!r}, {len(self.labels)} labels, up to {self.max_length} tokens)"

    @overload
    def __call__(self, texts: Text) -> Prediction: ...  # type: ignore[overload-overlap]  # a str is an Iterable too

    @overload
    def __call__(self, texts: Iterable[Text]) -> list[Prediction]: ...

    def __call__(self, texts: Text | Iterable[Text]) -> Prediction | list[Prediction]:
        """The prediction for a text or a pair (a tuple of two texts), or a list of predictions for several of them.

        Raises:
            InputError: an item is not a text, or pairs and single texts are mixed.
        """
        alone = isinstance(texts, str | tuple)
        probabilities = self.predict_proba([texts] if alone else texts)  # type: ignore[list-item]
        best = probabilities.argmax(axis=-1)
        best_classes = zip(best.tolist(), probabilities.max(axis=-1).tolist(), strict=True)
        predictions = [Prediction(self.labels[place], probability) for place, probability in best_classes]
        return predictions[0] if alone else predictions

    def predict_proba(
        self, texts: Iterable[Text], after_batch: Callable[[int], None] = lambda _: None
    ) -> np.ndarray[Any, Any]:
        """The probability of each label for each text.

        Args:
            texts: texts or pairs.
            after_batch: called after each call of the model with the number of finished texts.

        Returns:
            (texts, labels), float64, in the order of `labels`; each row sums to 1.

        Raises:
            InputError: an item is not a text, or pairs and single texts are mixed.
        """
        firsts, seconds = _split(texts)
        if firsts and self.pairs not in {None, seconds is not None}:
            raise InputError(
                f"the model is made for {'pairs of texts' if self.pairs else 'single texts'}",
                where=str(self.folder),
                fix='give [("a text", "its second text")]' if self.pairs else 'give ["a text", "another"]',
            )
        if not firsts:
            return np.zeros((0, len(self.labels)))
        return softmax(self._logits(firsts, seconds, after_batch))

    def _logits(
        self, texts: Sequence[str], pairs: Sequence[str] | None, after_batch: Callable[[int], None] = lambda _: None
    ) -> np.ndarray[Any, Any]:
        """The logits of texts, (texts, classes), in the order of the texts."""
        outputs: list[Any] = [None] * len(texts)
        window, done = self.batch_size * max(1, WINDOW // self.batch_size), 0
        for start in range(0, len(texts), window):
            seconds = None if pairs is None else pairs[start : start + window]
            rows = self._tokenizer.encode(texts[start : start + window], seconds, self.max_length)
            order = sorted(range(len(rows)), key=lambda index: len(rows[index]["input_ids"]))
            for first in range(0, len(order), self.batch_size):
                indices = order[first : first + self.batch_size]
                logits = self._predict(self._tokenizer.pad([rows[index] for index in indices]))
                for index, row in zip(indices, logits, strict=True):
                    outputs[start + index] = row
                done += len(indices)
                after_batch(done)
        return np.stack(outputs)

    def _within_positions(self, max_length: int) -> int:
        positions = positions_of(read_config(self.folder))
        if positions is not None and max_length > positions:
            raise InputError(
                f"the model has positions for {positions} tokens, max_length is {max_length}",
                where=str(self.folder),
                fix=f"give at most {positions}",
            )
        return max_length


def _labels(folder: Path, classes: int) -> tuple[str, ...]:
    """Names of the classes; without names in config.json, the default names of transformers.

    Raises:
        InputError: the model gives one number for a text, or another number than there are names.
    """
    names = labels_of(folder) or [f"LABEL_{number}" for number in range(classes)]
    if classes != len(names) or classes < 2:
        reason = f"config.json names {len(names)} labels" if classes > 1 else "a classifier gives one for each label"
        raise InputError(
            f"the model gives {classes} number{'' if classes == 1 else 's'} a text; {reason}",
            where=str(folder),
            fix="give a folder whose config.json belongs to the model, and whose model has a head that classifies",
        )
    return tuple(names)


def _split(texts: Iterable[Text]) -> tuple[list[str], list[str] | None]:
    """The texts, and the second texts if they are pairs."""
    items = list(texts)
    for number, item in enumerate(items, start=1):
        if not isinstance(item, str) and not _is_pair(item):
            raise InputError(
                f"item {number} is {item!r:.60}, which is no text",
                where="compress.Classifier",
                fix='give "a text", ["a text", "another"] or, to a model of pairs, [("a text", "its second text")]',
            )
    pairs = sum(not isinstance(item, str) for item in items)
    if not pairs:
        return items, None  # type: ignore[return-value]
    if pairs < len(items):
        raise InputError(
            f"{pairs} of {len(items)} items are pairs, the others single texts",
            where="compress.Classifier",
            fix="give pairs alone, or texts alone",
        )
    return [item[0] for item in items], [item[1] for item in items]


def _is_pair(item: Any) -> bool:
    return isinstance(item, tuple) and len(item) == 2 and all(isinstance(part, str) for part in item)
