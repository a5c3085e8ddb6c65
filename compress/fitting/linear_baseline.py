"""A linear model on n-grams as one of `compress.baselines`."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from compress.fitting.linear import CHOICES, FOLDS, LinearModel, fit, refuse
from compress.fitting.ngrams import NGrams
from compress.fitting.rows import Rows


@dataclass(frozen=True)
class LinearBaseline:
    """See `compress.baselines.Baseline`.

    Attributes:
        ngrams: the n-grams that it counts.
        fewest_rows: n-grams in fewer rows are left out.
    """

    title: str
    short: str
    ngrams: NGrams
    fewest_rows: int = 1
    version: int = 1

    @property
    def settings(self) -> dict[str, Any]:
        """The n-grams, and what is tried."""
        return {"ngrams": asdict(self.ngrams), "fewest_rows": self.fewest_rows, "c": list(CHOICES), "folds": FOLDS}

    def refuse(self, labels: Sequence[int], classes: int) -> str | None:
        """Why it cannot be fitted: too few rows, or only one label."""
        return refuse(labels, classes)

    def fit(self, rows: Rows, seed: int, out: Path, progress: Callable[[int, int], None]) -> dict[str, Any]:
        """Fit it and choose its C by cross-validation."""
        model, choice = fit(rows, self.ngrams, seed, fewest_rows=self.fewest_rows, progress=progress)
        model.save(out)
        return {"c": choice.c, "folds": choice.folds, "scores": choice.scores, "ngrams": len(model.vocabulary)}

    def load(self, folder: Path) -> LinearModel:
        """The model that `fit` wrote."""
        return LinearModel.load(folder)
