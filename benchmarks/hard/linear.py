"""Linear models that count words, as every report has them, where no teacher runs beside them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from compress.data.sources import Sources
from compress.fitting.linear import fit
from compress.fitting.ngrams import NGrams
from compress.fitting.rows import Rows
from compress.recipe.schema import TaskSpec
from compress.recipe.validation import Origin
from compress.running.baselines import fitted_rows
from compress.tasks import load_task


def linear_accuracies(task: Mapping[str, Any], seed: int, words: Sequence[int]) -> dict[str, Any]:
    """The accuracy on test rows of a model of up to so many words in a row, with its answers.

    Args:
        task: a recipe's.
        words: the largest numbers of words; one model each.
    """
    data = load_task(TaskSpec.model_validate(dict(task)), Sources().table, seed, Origin())
    train = fitted_rows(data)
    labels = [row.label for row in train]
    rows = Rows([(row.text,) for row in train], labels, len(data.labels), score=_accuracy)
    truth = [row.label for row in data.test]
    results = {}
    for most in words:
        model, choice = fit(rows, NGrams("word", 1, most), seed)
        predictions = [model.label((row.text,)) for row in data.test]
        results[f"words_{most}"] = {
            "accuracy": _accuracy(predictions, truth),
            "c": choice.c,
            "train_rows": len(train),
            "predictions": predictions,
        }
    return results


def _accuracy(predictions: Sequence[int], truth: Sequence[int]) -> float:
    return float(np.mean(np.equal(predictions, truth)))
