"""A number for each row: `[4.2, 0.0, …]`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from compress.answers import Answers, Metric, Words

if TYPE_CHECKING:
    from compress.ops.outcomes import Outcome

R2 = "R\N{SUPERSCRIPT TWO}"
NEAR = 0.05
"""Largest difference of two numbers that count as the same, as a share of the numbers' range."""


@dataclass(frozen=True)
class Number(Answers):
    """A number for each row; see `compress.answers.Answers`."""

    content: list[float]

    METRICS: ClassVar[Mapping[str, Metric]] = {
        "r2": Metric(
            R2,
            "r_squared",
            hint="Share of the right numbers' variance that is explained; below 0, their mean explains more.",
        )
    }
    WORDS: ClassVar[Words] = Words(
        same="keep their number, within 5% of its spread",
        row_quality=R2,
        scale=R2,
    )

    @classmethod
    def check(cls, content: Sequence[object]) -> None:
        """Refuse content that is not finite numbers."""
        if not all(type(item) in {int, float} and math.isfinite(item) for item in content):  # type: ignore[arg-type]
            raise ValueError("answers are finite numbers")

    def by_metric(self, truth: "Number", metric: str) -> "Outcome":
        """The outcome whose value for a row is 1 - squared error / variance of the truth; their mean is R²."""
        import numpy as np

        from compress.ops.outcomes import Values

        del metric
        numbers, right = np.array(self.content, float), np.array(truth.content, float)
        spread = float(right.var()) or 1.0  # rows that all have one number are scored by the error itself
        return Values(1 - np.square(numbers - right) / spread)

    def same(self, other: "Number") -> list[float]:
        """1 for each row on which both differ by at most 5% of the range of these numbers, else 0."""
        near = NEAR * (max(self.content) - min(self.content))
        return [float(abs(one - two) <= near) for one, two in zip(self.content, other.content, strict=True)]

    def display(self, row: int) -> str:
        """The number with four significant digits."""
        return f"{self.content[row]:.4g}"


ANSWERS = Number
