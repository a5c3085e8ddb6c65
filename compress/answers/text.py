"""A text a row: `["a corrected sentence", …]`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from compress.answers import Answers, Metric, Words

if TYPE_CHECKING:
    from compress.ops.outcomes import Outcome

SHOWN = 400
"""Characters of a text that are shown."""


@dataclass(frozen=True)
class Text(Answers):
    """See `compress.answers.Answers`."""

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
        """Texts."""
        if not all(isinstance(item, str) for item in content):
            raise ValueError("answers are texts")

    def by_metric(self, truth: "Text", metric: str) -> "Outcome":
        """How near each text is to the right one, or whether it is that."""
        import numpy as np

        from compress.ops.edits import edit_score
        from compress.ops.outcomes import Right, Values

        pairs = list(zip(self.content, truth.content, strict=True))
        if metric == "exact_match":
            return Right(np.array([said == right for said, right in pairs]))
        return Values(np.array([edit_score(said, right) for said, right in pairs]), is_share=True)

    def same(self, other: "Text") -> list[float]:
        """1 where both are one text."""
        return [float(one == two) for one, two in zip(self.content, other.content, strict=True)]

    def shown(self, row: int) -> str:
        """The text, shortened."""
        text = self.content[row]
        return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


ANSWERS = Text
