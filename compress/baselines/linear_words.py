"""A linear model on words and pairs of neighbouring words: what counting words is worth, whatever their order."""

from compress.fitting.linear_baseline import LinearBaseline
from compress.fitting.ngrams import NGrams

BASELINE = LinearBaseline("a linear model on words", "linear on words", NGrams("word", 1, 2))
