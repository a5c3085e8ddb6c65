"""Any number of labels for each row: `[[0, 2], [], …]`, indices of classes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from compress.answers import Answers, Metric, Slice, Words

if TYPE_CHECKING:
    from compress.ops.outcomes import Counts, Outcome


@dataclass(frozen=True)
class Labels(Answers):
    """Several labels, or none, for each row; see `compress.answers.Answers`."""

    content: list[list[int]]

    METRICS: ClassVar[Mapping[str, Metric]] = {
        "f1_micro": Metric("micro F1", "f1", {"average": "micro"}, "F1 over the labels of all rows, counted together."),
        "all_labels": Metric("rows with all labels right", "exact_match"),
    }
    WORDS: ClassVar[Words] = Words(
        same="keep their labels",
        part_quality="F1 of a label over all rows",
        row_quality="Micro F1",
        scale="F1",
    )

    @classmethod
    def check(cls, content: Sequence[object]) -> None:
        """Refuse content that is not lists of whole numbers from 0 on."""
        for row in content:
            if not isinstance(row, list) or not all(type(item) is int and item >= 0 for item in row):
                raise ValueError("labels are lists of whole numbers from 0 on")

    def by_metric(self, truth: "Labels", metric: str) -> "Outcome":
        """The outcome over right labels for micro F1, or over rows whose labels are all right."""
        import numpy as np

        from compress.ops.outcomes import Right

        if metric == "f1_micro":
            return self._counts(truth)
        pairs = zip(self.content, truth.content, strict=True)
        return Right(np.array([set(answer) == set(right) for answer, right in pairs]))

    def _counts(self, truth: "Labels", label: int | None = None) -> "Counts":
        """The numbers of right labels in each row: of all labels, or of one."""
        from compress.ops.outcomes import Counts

        pairs = [(set(one), set(two)) for one, two in zip(self.content, truth.content, strict=True)]
        return Counts.of_sets(pairs if label is None else [(one & {label}, two & {label}) for one, two in pairs])

    def same(self, other: "Labels") -> list[float]:
        """The shared labels over all labels of either, for each row (Jaccard); 1 if neither has any."""
        pairs = [(set(one), set(two)) for one, two in zip(self.content, other.content, strict=True)]
        return [len(one & two) / len(one | two) if one | two else 1.0 for one, two in pairs]

    def counts(self) -> dict[str, int]:
        """The number of rows with each label."""
        numbers = Counter(index for row in self.content for index in set(row))
        return {label: numbers[index] for index, label in enumerate(self.labels)}

    def slices(self, truth: "Labels") -> list[Slice]:
        """The slice of each label in the truth, with its F1."""
        parts = []
        for index, (name, size) in enumerate(truth.counts().items()):
            if size:
                counts = self._counts(truth, index)
                parts.append(Slice(name, size, counts, counts.value))
        return parts

    def display(self, row: int) -> str:
        """The names of the labels, in the order of the classes."""
        return ", ".join(self.labels[index] for index in sorted(self.content[row])) or "none"


ANSWERS = Labels
