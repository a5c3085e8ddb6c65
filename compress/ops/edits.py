"""How far a text is from another."""

import numpy as np


def edit_distance(one: str, other: str) -> int:
    """Fewest characters to put in, take out or change that make one text of the other (Levenshtein 1966).

    A column at a time: what is put in comes from the running minimum of cost less place.
    """
    if len(one) < len(other):
        one, other = other, one
    codes = np.array([ord(character) for character in other], np.int64)
    places = np.arange(len(codes) + 1)
    costs = places.copy()  # of the empty text to each beginning of the other
    for row, character in enumerate(one, start=1):
        changed = np.minimum(costs[1:] + 1, costs[:-1] + (codes != ord(character)))
        costs = np.minimum.accumulate(np.concatenate([[row], changed]) - places) + places
    return int(costs[-1])


def edit_score(one: str, other: str) -> float:
    """One less the edit distance over the length of the longer text; 1 for two empty ones."""
    longest = max(len(one), len(other))
    return 1.0 if one == other else 1 - edit_distance(one, other) / longest
