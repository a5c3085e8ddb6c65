"""One label for each row: `[2, 0, …]`, indices of classes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from compress.answers import Answers, Metric, Slice, Words

if TYPE_CHECKING:
    from compress.ops.outcomes import Outcome


ACCURACY = "accuracy"
F1_MACRO = "f1_macro"
"""The metric that weighs all classes alike, also if most rows have one label."""


@dataclass(frozen=True)
class Label(Answers):
    """A label for each row; see `compress.answers.Answers`."""

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
        """Refuse content that is not whole numbers from 0 on."""
        if not all(type(item) is int and item >= 0 for item in content):
            raise ValueError("labels are whole numbers from 0 on")

    def by_metric(self, truth: "Label", metric: str) -> "Outcome":
        """The outcome over right and wrong rows, or over classes for macro F1."""
        import numpy as np

        from compress.ops.outcomes import Classes, Right

        predicted, true = np.array(self.content), np.array(truth.content)
        return Classes(predicted, true) if metric == F1_MACRO else Right(predicted == true)

    def same(self, other: "Label") -> list[float]:
        """1 for each row on which both are the same class, else 0."""
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
        """The number of rows of each class."""
        numbers = Counter(self.content)
        return {label: numbers[index] for index, label in enumerate(self.labels)}

    def slices(self, truth: "Label") -> list[Slice]:
        """The slice of each class in the truth, with the class's F1."""
        import numpy as np

        from compress.ops.outcomes import Right

        predicted, true = np.array(self.content), np.array(truth.content)
        parts = []
        for index, name in enumerate(self.labels):
            is_true, is_predicted = true == index, predicted == index
            if is_true.any():
                f1 = float(2 * (is_true & is_predicted).sum() / (is_true.sum() + is_predicted.sum()))
                parts.append(Slice(name, int(is_true.sum()), Right((predicted == true)[is_true]), f1))
        return parts

    def display(self, row: int) -> str:
        """The name of the label."""
        return self.labels[self.content[row]]


ANSWERS = Label
