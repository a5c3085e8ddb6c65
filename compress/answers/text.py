"""A text for each row: `["a corrected sentence", …]`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from compress.answers import Answers, Metric, Words

if TYPE_CHECKING:
    from compress.ops.outcomes import Outcome

SHOWN = 400
"""The most characters of a text that are shown."""


@dataclass(frozen=True)
class Text(Answers):
    """A text for each row; see `compress.answers.Answers`."""

    content: list[str]

    METRICS: ClassVar[Mapping[str, Metric]] = {
        "edit_score": Metric(
            "edit score",
            "edit_score",
            hint="One less the edit distance over the longer text's length, in the mean of the rows.",
        ),
        "exact_match": Metric("exact match", "exact_match"),
    }
    WORDS: ClassVar[Words] = Words(same="keep their text", row_quality="Edit score", scale="edit score")

    @classmethod
    def check(cls, content: Sequence[object]) -> None:
        """Refuse content that is not texts."""
        if not all(isinstance(item, str) for item in content):
            raise ValueError("answers are texts")

    def by_metric(self, truth: "Text", metric: str) -> "Outcome":
        """The outcome over the edit score of each text, or over texts that are exactly right."""
        import numpy as np

        from compress.ops.edits import edit_score
        from compress.ops.outcomes import Right, Values

        pairs = list(zip(self.content, truth.content, strict=True))
        if metric == "exact_match":
            return Right(np.array([answer == right for answer, right in pairs]))
        return Values(np.array([edit_score(answer, right) for answer, right in pairs]), is_share=True)

    def same(self, other: "Text") -> list[float]:
        """1 for each row on which both are the same text, else 0."""
        return [float(one == two) for one, two in zip(self.content, other.content, strict=True)]

    def display(self, row: int) -> str:
        """The text, shortened."""
        text = self.content[row]
        return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


ANSWERS = Text
