"""The n-grams against scikit-learn's analyzers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from compress.fitting.ngrams import SECOND, NGrams

TEXTS = st.text(st.sampled_from("ab É\tİß1_'-.\n  文\u0301"), max_size=30)


@pytest.mark.parametrize(("unit", "analyzer"), [("word", "word"), ("character", "char_wb")])
@pytest.mark.parametrize("sizes", [(1, 1), (1, 2), (2, 2), (3, 5)])
@given(text=TEXTS)
def test_they_are_those_of_scikit_learn(unit, analyzer, sizes, text):
    theirs = CountVectorizer(analyzer=analyzer, ngram_range=sizes).build_analyzer()
    assert sorted(NGrams(unit, *sizes)([text])) == sorted(theirs(text))


def test_those_of_a_second_text_are_others():
    ngrams = NGrams("word", 1, 2)
    assert ngrams(["very good", "good"]) == ["very", "good", "very good", SECOND + "good"]
    assert not set(ngrams(["a\tfine day", ""])) & set(ngrams(["", "a\tfine day"]))
