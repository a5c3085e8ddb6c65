"""A linear model on n-grams: TF-IDF and one weight for each n-gram and label, fitted by scikit-learn.

It is kept as plain arrays and JSON, and answers without scikit-learn. Its only setting that is chosen, the weight `C`
of errors against large weights, is chosen by stratified cross-validation on the training rows.

Joachims 1998 (doi:10.1007/BFb0026683); Wang and Manning 2012 (ACL P12-2018) for what it is worth as a baseline.
"""

import json
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compress.errors import InputError
from compress.files.strict_json import read_json
from compress.files.whole import write_text
from compress.fitting.ngrams import NGrams
from compress.fitting.rows import Rows

CHOICES = (0.1, 0.3, 1.0, 3.0, 10.0)
"""The values of C that are tried, the smallest first; none after one that is worse than the one before. The larger,
the longer it takes."""
WITHOUT_CHOICE = 1.0
"""C where there are too few rows to choose it."""
FOLDS = 3
"""The most parts of the training rows; each is held out once."""
SETTINGS, WEIGHTS = "linear.json", "linear.safetensors"
"""The files of a fitted model."""

Array = np.ndarray[Any, Any]
Progress = Callable[[int, int], None]
"""A callback that takes how many of all fits are done."""
Machine = Callable[[float, int], Any]
"""What makes a classifier of scikit-learn that is not fitted yet, from its C and its seed."""
Score = Callable[[Sequence[int], Sequence[int]], float]
"""A score of predicted labels against the right ones; more is better."""


@dataclass(frozen=True)
class LinearModel:
    """A fitted model.

    Attributes:
        ngrams: the n-grams that it counts.
        vocabulary: n-gram -> its place.
        labels: the labels that it knows, as their numbers.
        idf: (n-grams,) the inverse document frequencies.
        weights: (n-grams, labels), or (n-grams, 1) for two labels: the second against the first.
        bias: (labels,) or (1,).
    """

    ngrams: NGrams
    vocabulary: dict[str, int]
    labels: list[int]
    idf: Array
    weights: Array
    bias: Array

    def label(self, texts: Sequence[str]) -> int:
        """The label of a row, from its text, and its second one in a task of pairs."""
        scores = self.scores(texts)
        return self.labels[int(scores[0] > 0) if len(scores) == 1 else int(scores.argmax())]

    def scores(self, texts: Sequence[str]) -> Array:
        """The distance of a row from the border of each label, or of the second of two: (labels,) or (1,)."""
        vocabulary = self.vocabulary
        counts = Counter(vocabulary[gram] for gram in self.ngrams(texts) if gram in vocabulary)
        if not counts:
            return self.bias
        places = np.fromiter(counts, np.int64, len(counts))
        values = (1 + np.log(np.fromiter(counts.values(), np.float32, len(counts)))) * self.idf[places]
        scores: Array = (values / np.sqrt(values @ values)) @ self.weights[places] + self.bias
        return scores

    @property
    def parameters(self) -> int:
        """The number of all numbers in it."""
        return int(self.idf.size + self.weights.size + self.bias.size)

    def save(self, folder: Path) -> None:
        """Write its files."""
        from safetensors.numpy import save_file

        arrays = {"idf": self.idf, "weights": self.weights, "bias": self.bias}
        save_file({name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}, folder / WEIGHTS)
        names = sorted(self.vocabulary, key=self.vocabulary.__getitem__)
        content = {"ngrams": asdict(self.ngrams), "labels": self.labels, "vocabulary": names}
        write_text(folder / SETTINGS, json.dumps(content, ensure_ascii=False, separators=(",", ":")))

    @classmethod
    def load(cls, folder: Path) -> "LinearModel":
        """The model in a folder."""
        from safetensors.numpy import load_file

        content, arrays = read_json(folder / SETTINGS), load_file(folder / WEIGHTS)
        vocabulary = {name: place for place, name in enumerate(content["vocabulary"])}
        return cls(NGrams(**content["ngrams"]), vocabulary, content["labels"], **arrays)


@dataclass(frozen=True)
class Choice:
    """How C was chosen.

    Attributes:
        c: the chosen value.
        folds: the number of parts of the training rows; 0 if there were too few rows to choose.
        scores: the mean score of each value that was tried, on the rows that were held out.
    """

    c: float
    folds: int
    scores: dict[str, float]


def refuse(labels: Sequence[int], classes: int) -> str | None:
    """Why a linear model cannot be fitted on rows with these labels, or None.

    Args:
        classes: the number of labels of the task.
    """
    if len(labels) < classes:
        return f"{len(labels)} training rows are fewer than the {classes} labels that a linear model is to tell apart"
    if len(set(labels)) < 2:
        return "all training rows have one label, so a linear model has nothing to tell apart"
    return None


def fit(
    rows: Rows,
    ngrams: NGrams,
    seed: int,
    *,
    fewest_rows: int = 1,
    progress: Progress = lambda _done, _total: None,
) -> tuple[LinearModel, Choice]:
    """Fit a linear model, and choose its C.

    Args:
        seed: the seed of the folds and of the solver.
        fewest_rows: n-grams in fewer rows are left out.

    Raises:
        InputError: no n-gram stands in so many rows.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer=ngrams, sublinear_tf=True, min_df=fewest_rows)
    try:
        features = vectorizer.fit_transform(rows.texts)
    except ValueError as error:
        raise InputError(f"the training rows have no {ngrams.unit}s that a linear model could count") from error
    solver, choice = solve(features, np.array(rows.labels), rows.score, seed, progress)
    model = LinearModel(
        ngrams=ngrams,
        vocabulary={name: int(place) for name, place in vectorizer.vocabulary_.items()},
        labels=solver.classes_.tolist(),
        idf=vectorizer.idf_.astype(np.float32),
        weights=solver.coef_.T.astype(np.float32),
        bias=solver.intercept_.astype(np.float32),
    )
    return model, choice


def solve(
    features: Any,
    labels: Array,
    score: Score,
    seed: int,
    progress: Progress = lambda _done, _total: None,
    *,
    machine: Machine | None = None,
    owners: Array | None = None,
) -> tuple[Any, Choice]:
    """A linear support vector machine, fitted, whose C is chosen by cross-validation.

    Args:
        features: (rows, features), a sparse matrix.
        labels: (rows,).
        seed: the seed of the folds and of the solver.
        machine: what is fitted; scikit-learn's LinearSVC if not given.
        owners: (rows,), where rows are parts of others: the row to which each belongs; those that own themselves come
            first. Parts are learned with their owners, and none is held out.
    """
    machine = machine or _linear_svc
    owners = np.arange(len(labels)) if owners is None else owners
    parts = _folds(labels[: int(owners.max()) + 1], seed)
    total = len(CHOICES) * len(parts) + 1
    scores: dict[float, float] = {}
    for number, c in enumerate(CHOICES if parts else ()):
        values = []
        for place, (train, held_out) in enumerate(parts):
            progress(number * len(parts) + place, total)
            learned = np.isin(owners, train)
            solver = _fitted(machine(c, seed), features[learned], labels[learned])
            values.append(score(solver.predict(features[held_out]).tolist(), labels[held_out].tolist()))
        scores[c] = float(np.mean(values))
        if number and scores[c] < scores[CHOICES[number - 1]]:
            break
    progress(total - 1, total)
    best = max(scores, key=lambda c: (scores[c], -c), default=WITHOUT_CHOICE)
    solver = _fitted(machine(best, seed), features, labels)
    progress(total, total)
    return solver, Choice(best, len(parts), {f"{c:g}": round(value, 6) for c, value in scores.items()})


def _folds(labels: Array, seed: int) -> list[tuple[Array, Array]]:
    """The places of the rows of each fold: (for training, held out); none if there are too few rows.

    No label needs as many rows as there are folds: one with fewer is missing from some of them.
    """
    from sklearn.model_selection import StratifiedKFold

    folds = min(FOLDS, int(np.bincount(labels).max()))
    if folds < 2:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a label may have fewer rows than there are folds
        parts = list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels))
    return [(train, held_out) for train, held_out in parts if len(np.unique(labels[train])) > 1]


def _linear_svc(c: float, seed: int) -> Any:
    """A support vector machine for each label against all others."""
    from sklearn.svm import LinearSVC

    return LinearSVC(C=c, random_state=seed)


def _fitted(solver: Any, features: Any, labels: Array) -> Any:
    """The solver, fitted."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # with a large C; cross-validation judges what came out
        return solver.fit(features, labels)
