"""A linear support vector machine on features that are weighted by naive Bayes.

For each label, a feature is multiplied by the logarithm of how much likelier it is in rows of that label than in all
others; so a feature that says nothing of the label cannot be learned by heart. The weights are folded into the
coefficients: what comes out is a linear model like any other.

Wang and Manning 2012 (ACL P12-2018), without their interpolation, and for several labels one against the rest.
"""

from typing import Any

import numpy as np
from sklearn.svm import LinearSVC

Array = np.ndarray[Any, Any]
SMOOTHING = 1.0
"""Added to the number of rows in which a feature stands."""


class NaiveBayesSVC:
    """See above; its attributes are named as scikit-learn's.

    Args:
        c: the weight of errors against large weights.
        seed: the seed of the solver.

    Attributes:
        classes_: (labels,) the labels that it knows.
        coef_: (labels, features), or (1, features) for two labels: the second against the first.
        intercept_: (labels,) or (1,).
    """

    def __init__(self, c: float, seed: int) -> None:
        self.c, self.seed = c, seed

    def fit(self, features: Any, labels: Array) -> "NaiveBayesSVC":
        """Fit it to features that are not negative, (rows, features), sparse, and labels, (rows,)."""
        self.classes_ = np.unique(labels)
        stands = (features > 0).astype(np.float64).tocsr()
        total = np.asarray(stands.sum(axis=0)).ravel()
        coefficients, intercepts = [], []
        for label in self.classes_[1:] if len(self.classes_) == 2 else self.classes_:
            own = labels == label
            ratio = _ratio(np.asarray(stands[own].sum(axis=0)).ravel(), total)
            solver = LinearSVC(C=self.c, random_state=self.seed).fit(features.multiply(ratio[None]).tocsr(), own)
            coefficients.append(solver.coef_[0] * ratio)
            intercepts.append(solver.intercept_[0])
        self.coef_, self.intercept_ = np.stack(coefficients), np.array(intercepts)
        return self

    def predict(self, features: Any) -> Array:
        """The label of each row, (rows,); the features are (rows, features), sparse."""
        scores = features @ self.coef_.T + self.intercept_
        best = (scores[:, 0] > 0).astype(int) if len(self.classes_) == 2 else scores.argmax(axis=1)
        found: Array = self.classes_[best]
        return found


def _ratio(own: Array, total: Array) -> Array:
    """The logarithm of how much likelier each feature is in rows of a label than in the others.

    Args:
        own, total: (features,) the number of the label's rows, and of all rows, in which each stands.
    """
    inside, outside = own + SMOOTHING, total - own + SMOOTHING
    ratio: Array = np.log((inside / inside.sum()) / (outside / outside.sum()))
    return ratio
