"""The distance between two texts."""

import numpy as np


def edit_distance(one: str, other: str) -> int:
    """Fewest insertions, deletions and changes of characters that turn one text into the other (Levenshtein 1966).

    It is computed a column at a time; insertions are the running minimum of cost minus position.
    """
    if len(one) < len(other):
        one, other = other, one
    codes = np.array([ord(character) for character in other], np.int64)
    places = np.arange(len(codes) + 1)
    costs = places.copy()  # costs from the empty text to each beginning of the other
    for row, character in enumerate(one, start=1):
        changed = np.minimum(costs[1:] + 1, costs[:-1] + (codes != ord(character)))
        costs = np.minimum.accumulate(np.concatenate([[row], changed]) - places) + places
    return int(costs[-1])


def edit_score(one: str, other: str) -> float:
    """One minus the edit distance divided by the length of the longer text; 1 for two empty texts."""
    longest = max(len(one), len(other))
    return 1.0 if one == other else 1 - edit_distance(one, other) / longest
