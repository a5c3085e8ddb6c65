"""A number a row: `[4.2, 0.0, …]`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from compress.answers import Answers, Metric, Words

if TYPE_CHECKING:
    from compress.ops.outcomes import Outcome

R2 = "R\N{SUPERSCRIPT TWO}"
NEAR = 0.05
"""Share of the numbers' spread within which two are called the same."""


@dataclass(frozen=True)
class Number(Answers):
    """See `compress.answers.Answers`."""

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
        """Finite numbers."""
        if not all(type(item) in {int, float} and math.isfinite(item) for item in content):  # type: ignore[arg-type]
            raise ValueError("answers are finite numbers")

    def by_metric(self, truth: "Number", metric: str) -> "Outcome":
        """One less each row's squared error in variances of the truth: their mean is R², for these rows' variance."""
        import numpy as np

        from compress.ops.outcomes import Values

        del metric
        said, right = np.array(self.content, float), np.array(truth.content, float)
        spread = float(right.var()) or 1.0  # rows that all have one number are scored by the error itself
        return Values(1 - np.square(said - right) / spread)

    def same(self, other: "Number") -> list[float]:
        """1 where both are within a twentieth of the distance between this one's largest and smallest."""
        near = NEAR * (max(self.content) - min(self.content))
        return [float(abs(one - two) <= near) for one, two in zip(self.content, other.content, strict=True)]

    def shown(self, row: int) -> str:
        """With four digits that count."""
        return f"{self.content[row]:.4g}"


ANSWERS = Number
