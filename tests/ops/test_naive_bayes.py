"""Naive Bayes on words against scikit-learn's, and by hand."""

import random

import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB

from compress.ops.naive_bayes import guess_labels

WORDS = "Über été 東京 film films a I x1 good GOOD bad dull lovely town people music".split()


@pytest.mark.parametrize("seed", range(6))
def test_it_guesses_what_scikit_learn_guesses(seed: int) -> None:
    draw = random.Random(seed)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(1, 8))) for _ in range(60)]
    labels = [draw.choice("abc") for _ in texts]
    counter = CountVectorizer(binary=True)
    model = MultinomialNB().fit(counter.fit_transform(texts[:40]), labels[:40])
    expected = model.predict(counter.transform(texts[40:])).tolist()
    assert guess_labels(texts[:40], labels[:40], texts[40:]) == expected
    assert len(set(expected)) > 1


def test_by_hand() -> None:
    # words of a: good film (2 texts), of b: bad film; "good" is 2 + 1 of 4 + 3 in a, 0 + 1 of 2 + 3 in b
    guess = guess_labels(["good film", "film good good", "bad film"], ["a", "a", "b"], ["good", "bad bad bad", "new"])
    assert guess == ["a", "b", "a"]  # bad: 2/3 * 1/7 against 1/3 * 2/5; of unseen words, the commoner label


def test_texts_without_a_word_tell_nothing() -> None:
    assert guess_labels(["a !", "?"], ["x", "y"], ["film"]) is None
