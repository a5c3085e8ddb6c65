"""A linear model on 3 to 5 neighbouring characters of a word: it knows word stems, and sees through misspellings."""

from compress.fitting.linear_baseline import LinearBaseline
from compress.fitting.ngrams import NGrams

BASELINE = LinearBaseline(
    "a linear model on characters", "linear on characters", NGrams("character", 3, 5), fewest_rows=2
)
