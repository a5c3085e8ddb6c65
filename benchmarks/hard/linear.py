"""Linear models that count words: TF-IDF and a linear SVM, on the same rows as everything else."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from compress.data.sources import Sources
from compress.recipe.schema import TaskSpec
from compress.recipe.validation import Origin
from compress.tasks import load_task

REGULARISATIONS = (0.1, 0.3, 1.0, 3.0)
FOLDS = 3


def linear_accuracies(task: Mapping[str, Any], seed: int, words: Sequence[int] = (2,)) -> dict[str, Any]:
    """The accuracy on test rows of a model of up to so many words in a row, with each row's answer.

    Args:
        task: a recipe's.
        words: the largest numbers of words; one model each.
    """
    rows = load_task(TaskSpec.model_validate(dict(task)), Sources().table, seed, Origin())
    texts, labels = ([row.text for row in rows.train], [row.label for row in rows.train])
    truth = np.array([row.label for row in rows.test])
    found = {}
    for most in words:
        model = _fitted(texts, labels, most, seed)
        predictions = model.predict([row.text for row in rows.test])
        found[f"words_{most}"] = {
            "accuracy": float((predictions == truth).mean()),
            "regularisation": model.best_params_["svm__C"],
            "train_rows": len(texts),
            "predictions": predictions.tolist(),
        }
    return found


def _fitted(texts: Sequence[str], labels: Sequence[int], most_words: int, seed: int) -> Any:
    """The model, its regularisation chosen by cross-validation on the training rows."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import Pipeline
    from sklearn.svm import LinearSVC

    vectors = TfidfVectorizer(ngram_range=(1, most_words), sublinear_tf=True, token_pattern=r"\b\w+\b")
    pipeline = Pipeline([("words", vectors), ("svm", LinearSVC(random_state=seed))])
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    return GridSearchCV(pipeline, {"svm__C": REGULARISATIONS}, cv=folds).fit(list(texts), list(labels))
