"""A prediction of each token of a row: `[{"tokens": [5, 9], "log_likelihoods": [-0.1, -2.3]}, …]`.

`tokens` are the most probable tokens, each after the right tokens before it. `log_likelihoods` are those of the right
tokens, in nats. The truth has the right tokens, and a log-likelihood of 0 for each.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from compress.answers import Answers, Metric, Words

if TYPE_CHECKING:
    from compress.ops.outcomes import Outcome

KEYS = {"tokens", "log_likelihoods"}
ROUNDING = 1e-6
"""The most by which a log-likelihood may be above 0, because of rounding."""


@dataclass(frozen=True)
class TokenProbabilities(Answers):
    """A prediction of each token of a row; see `compress.answers.Answers`."""

    content: list[dict[str, Any]]

    METRICS: ClassVar[Mapping[str, Metric]] = {
        "likelihood": Metric(
            "likelihood of a token",
            "likelihood",
            hint="The mean over rows of the probability of the right tokens, as their geometric mean: one over the "
            "perplexity.",
        ),
        "next_token_accuracy": Metric("next-token accuracy", "accuracy"),
    }
    WORDS: ClassVar[Words] = Words(
        within="the tokens of ", same="are foretold alike", row_quality="Likelihood of a token", scale="likelihood"
    )

    @classmethod
    def check(cls, content: Sequence[object]) -> None:
        """Refuse content without as many tokens as log-likelihoods in each row."""
        for row in content:
            if not isinstance(row, dict) or set(row) != KEYS or not all(isinstance(row[key], list) for key in KEYS):
                raise ValueError("a row has tokens and log_likelihoods")
            tokens, logs = row["tokens"], row["log_likelihoods"]
            if len(tokens) != len(logs) or not all(type(item) is int for item in tokens):
                raise ValueError("each token, a whole number, has a log-likelihood")
            if not all(type(item) in {int, float} and math.isfinite(item) and item <= ROUNDING for item in logs):
                raise ValueError("a log-likelihood is a number of at most 0")

    def by_metric(self, truth: "TokenProbabilities", metric: str) -> "Outcome":
        """The outcome over the geometric mean of each row's probabilities, or over its right tokens."""
        import numpy as np

        from compress.ops.outcomes import Counts, Values

        if metric == "likelihood":
            rows = [np.exp(np.mean(row["log_likelihoods"])) if row["tokens"] else 1.0 for row in self.content]
            return Values(np.array(rows, float))
        sizes = np.array([len(row["tokens"]) for row in truth.content], float)
        return Counts(np.array([sum(row) for row in self._hits(truth)], float), sizes)

    def _hits(self, other: "TokenProbabilities") -> list[list[bool]]:
        """Whether the most probable tokens of both are the same, for each token of each row."""
        return [
            [one == two for one, two in zip(row["tokens"], theirs["tokens"], strict=True)]
            for row, theirs in zip(self.content, other.content, strict=True)
        ]

    def same(self, other: "TokenProbabilities") -> list[float]:
        """The share of each row's tokens for which both have the same most probable token."""
        return [sum(row) / len(row) if row else 1.0 for row in self._hits(other)]

    def display(self, row: int) -> str:
        """The perplexity of the right tokens."""
        logs = self.content[row]["log_likelihoods"]
        return f"perplexity {math.exp(-sum(logs) / max(len(logs), 1)):.4g}"


ANSWERS = TokenProbabilities
