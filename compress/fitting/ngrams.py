"""The n-grams of a row's texts: of words, or of the characters inside words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

_WORD = re.compile(r"\b\w\w+\b")
SECOND = "\t"
"""What stands before the n-grams of a row's second text; no n-gram has it."""


@dataclass(frozen=True)
class NGrams:
    """A kind of n-grams; they are those of scikit-learn's analyzers `word` and `char_wb`.

    Attributes:
        unit: words of two letters and more; or characters, of words with a space at both ends.
        shortest, longest: number of units in an n-gram.
    """

    unit: Literal["word", "character"]
    shortest: int
    longest: int

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """All n-grams of a row, each as often as it stands there.

        Args:
            texts: the row's text, and its second one in a task of pairs.
        """
        split = self._of_words if self.unit == "word" else self._of_characters
        first, *others = (split(text.lower()) for text in texts)
        return [*first, *(SECOND + gram for other in others for gram in other)]

    def _of_words(self, text: str) -> list[str]:
        words = _WORD.findall(text)
        return [
            " ".join(words[start : start + size])
            for size in range(self.shortest, self.longest + 1)
            for start in range(len(words) - size + 1)
        ]

    def _of_characters(self, text: str) -> list[str]:
        grams: list[str] = []
        for word in text.split():
            padded = f" {word} "
            for size in range(self.shortest, self.longest + 1):
                grams += [padded[start : start + size] for start in range(max(len(padded) - size, 0) + 1)]
                if len(padded) <= size:  # the whole word counts once
                    break
        return grams
