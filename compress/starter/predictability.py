"""How well the words of the texts predict a label: a first look that takes a second, before any training."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from compress.data.labels import NO_LABEL
from compress.ops.naive_bayes import guess_labels

MOST_ROWS = 2_000
FEWEST_ROWS = 40
LONGEST = 2_000
"""Most characters of a text that are looked at."""
CLEAR = 0.15
CHANCE = 0.05


@dataclass(frozen=True)
class Predictability:
    """How well words predict a label, on held-out rows.

    Attributes:
        accuracy: accuracy of naive Bayes on counts of words.
        commonest: accuracy of always predicting the commonest label.
    """

    accuracy: float
    commonest: float

    @property
    def is_clear(self) -> bool:
        """Whether the words predict the label far better than its frequencies do."""
        return self.accuracy - self.commonest >= CLEAR

    @property
    def is_chance(self) -> bool:
        """Whether the words predict nothing."""
        return self.accuracy - self.commonest < CHANCE

    @property
    def short(self) -> str:
        """Both figures in a few words."""
        return f"words tell it in {self.accuracy:.0%} of rows, guessing in {self.commonest:.0%}"


def predictability_of(texts: Sequence[str], labels: Sequence[str]) -> Predictability | None:
    """Accuracy of multinomial naive Bayes, trained on each half of the rows for the other; None for few rows."""
    rows = [
        (text[:LONGEST], label) for text, label in zip(texts, labels, strict=True) if label.casefold() not in NO_LABEL
    ]
    rows = Random(0).sample(rows, min(len(rows), MOST_ROWS))
    counts = Counter(label for _, label in rows)
    if len(rows) < FEWEST_ROWS or len(counts) < 2:
        return None
    right = 0
    for held in (0, 1):
        known_rows, judged = rows[1 - held :: 2], rows[held::2]
        guesses = guess_labels(
            [text for text, _ in known_rows], [label for _, label in known_rows], [text for text, _ in judged]
        )
        if guesses is None:  # the texts have no words
            return None
        right += sum(guess == label for guess, (_, label) in zip(guesses, judged, strict=True))
    return Predictability(right / len(rows), max(counts.values()) / len(rows))
