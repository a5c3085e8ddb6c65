"""One label a row: `[2, 0, …]`, indices of classes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from compress.answers import Answers, Metric, Slice, Words

if TYPE_CHECKING:
    from compress.ops.outcomes import Outcome


ACCURACY = "accuracy"
F1_MACRO = "f1_macro"
"""Weighs all classes alike, where most rows have one label."""


@dataclass(frozen=True)
class Label(Answers):
    """See `compress.answers.Answers`."""

    content: list[int]

    METRICS: ClassVar[Mapping[str, Metric]] = {
        ACCURACY: Metric("accuracy", "accuracy"),
        F1_MACRO: Metric(
            "macro F1",
            "f1",
            {"average": "macro"},
            "The mean over classes of F1, so that a class of few rows weighs as much as one of many.",
        ),
    }
    WORDS: ClassVar[Words] = Words(
        same="keep their best class",
        kept="keep their class",
        labels="classes",
        part="class",
        parts="classes",
        part_quality="Share of the rows of a class that are right",
        row_quality="Share of right rows",
        scale="right",
        are_right=True,
    )

    @classmethod
    def check(cls, content: Sequence[object]) -> None:
        """Whole numbers from 0 on."""
        if not all(type(item) is int and item >= 0 for item in content):
            raise ValueError("labels are whole numbers from 0 on")

    def by_metric(self, truth: "Label", metric: str) -> "Outcome":
        """Right and wrong rows, or classes."""
        import numpy as np

        from compress.ops.outcomes import Classes, Right

        said, right = np.array(self.content), np.array(truth.content)
        return Classes(said, right) if metric == F1_MACRO else Right(said == right)

    def same(self, other: "Label") -> list[float]:
        """1 where both are one class."""
        return [float(one == two) for one, two in zip(self.content, other.content, strict=True)]

    def beyond_chance(self, other: "Label") -> float | None:
        """Cohen's kappa."""
        import numpy as np

        from compress.ops.agreement import cohens_kappa

        return cohens_kappa(np.array(self.content), np.array(other.content))

    def calibration_error(self, truth: "Label") -> float | None:
        """The expected calibration error."""
        import numpy as np

        from compress.ops.statistics import calibration_error

        if not self.confidences:
            return None
        return calibration_error(np.array(self.confidences), np.array(self.content) == np.array(truth.content))

    def counts(self) -> dict[str, int]:
        """Rows of each class."""
        numbers = Counter(self.content)
        return {label: numbers[index] for index, label in enumerate(self.labels)}

    def slices(self, truth: "Label") -> list[Slice]:
        """The rows of each class that the truth holds, and the class's F1."""
        import numpy as np

        from compress.ops.outcomes import Right

        said, right = np.array(self.content), np.array(truth.content)
        found = []
        for index, name in enumerate(self.labels):
            there, taken = right == index, said == index
            if there.any():
                f1 = float(2 * (there & taken).sum() / (there.sum() + taken.sum()))
                found.append(Slice(name, int(there.sum()), Right((said == right)[there]), f1))
        return found

    def shown(self, row: int) -> str:
        """The label."""
        return self.labels[self.content[row]]


ANSWERS = Label
