"""A vector for each row: `[[0.1, -0.7], …]`, such as an embedding. The truth is the vectors of a reference model."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from compress.answers import Answers, FlipTexts, Metric, Words

if TYPE_CHECKING:
    from compress.ops.outcomes import Outcome


@dataclass(frozen=True)
class Vector(Answers):
    """A vector for each row; see `compress.answers.Answers`."""

    content: list[list[float]]

    METRICS: ClassVar[Mapping[str, Metric]] = {
        "cosine": Metric(
            "cosine", "cosine_similarity", hint="The mean cosine between each row's vector and the right one."
        )
    }
    WORDS: ClassVar[Words] = Words(
        same="keep their direction, by the mean cosine", row_quality="Cosine", scale="cosine"
    )

    @classmethod
    def check(cls, content: Sequence[object]) -> None:
        """Refuse content that is not lists of finite numbers, of the same length in each row."""
        for row in content:
            if not isinstance(row, list) or not all(type(item) in {int, float} and math.isfinite(item) for item in row):
                raise ValueError("vectors are lists of finite numbers")
        if len({len(row) for row in content if isinstance(row, list)}) > 1:
            raise ValueError("vectors have as many numbers each")

    def by_metric(self, truth: "Vector", metric: str) -> "Outcome":
        """The outcome over the cosine of each row with the truth."""
        import numpy as np

        from compress.ops.outcomes import Values

        del metric
        return Values(np.array(self._cosines(truth)))

    def _cosines(self, other: "Vector") -> list[float]:
        """The cosine of each row's two vectors; 0 if one of them is zero."""
        import numpy as np

        first, second = (np.array(side.content, float) for side in (self, other))  # (rows, numbers)
        lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        products = (first * second).sum(axis=1)
        cosines: list[float] = np.divide(products, lengths, out=np.zeros(len(first)), where=lengths > 0).tolist()
        return cosines

    def same(self, other: "Vector") -> list[float]:
        """The cosine of each row's two vectors, at least 0."""
        return [max(0.0, cosine) for cosine in self._cosines(other)]

    def flip_texts(self, before: "Vector", truth: "Vector", row: int, text: str) -> FlipTexts:
        """The cosines with the right vector, since people cannot read a vector."""
        del text
        right = truth.with_content([truth.content[row]])
        texts = [
            f"cosine {side.with_content([side.content[row]])._cosines(right)[0]:.4f}" for side in (truth, before, self)
        ]
        return FlipTexts(*texts)


ANSWERS = Vector
