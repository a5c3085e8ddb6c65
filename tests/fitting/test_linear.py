"""The linear model against scikit-learn's own predictions, and the choice of its one setting."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from compress.errors import InputError
from compress.fitting import linear
from compress.fitting.linear import LinearModel, fit, refuse
from compress.fitting.ngrams import NGrams
from compress.fitting.rows import Rows
from tests.conftest import BAD, FILLER, GOOD

WORDS = NGrams("word", 1, 2)


def accuracy(predictions, truth):
    return float(np.mean(np.array(predictions) == np.array(truth)))


def rows_of(count: int, classes: int = 2, seed: int = 0) -> Rows:
    """Rows whose first word says the label."""
    random_ = random.Random(seed)
    marks = [GOOD, BAD, ["ocean", "river"]]
    labels = [number % classes for number in range(count)]
    texts = [(" ".join([random_.choice(marks[label]), *random_.choices(FILLER, k=5)]),) for label in labels]
    return Rows(texts, labels, classes, accuracy)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("ngrams", [WORDS, NGrams("character", 3, 5)])
def test_it_answers_what_scikit_learn_answers(classes, ngrams, tmp_path):
    rows, test = rows_of(30, classes), rows_of(40, classes, seed=1)
    model, choice = fit(rows, ngrams, 3, fewest_rows=2)
    vectorizer = TfidfVectorizer(analyzer=ngrams, sublinear_tf=True, min_df=2)
    solver = LinearSVC(C=choice.c, random_state=3).fit(vectorizer.fit_transform(rows.texts), rows.labels)
    theirs = solver.decision_function(vectorizer.transform(test.texts)).reshape(len(test.texts), -1)
    model.save(tmp_path)
    loaded = LinearModel.load(tmp_path)
    ours = np.array([loaded.scores(texts) for texts in test.texts])
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert [loaded.label(texts) for texts in test.texts] == solver.predict(vectorizer.transform(test.texts)).tolist()
    assert accuracy([loaded.label(texts) for texts in test.texts], test.labels) > 0.8
    assert loaded.label(("unheard",)) in range(classes)


def test_two_fits_give_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        fit(rows_of(30), WORDS, 1)[0].save(tmp_path / name)
    for file in (linear.SETTINGS, linear.WEIGHTS):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_its_files_are_plain(tmp_path):
    model, _ = fit(rows_of(30), WORDS, 1)
    model.save(tmp_path)
    content = json.loads((tmp_path / linear.SETTINGS).read_text())
    assert len(content["vocabulary"]) == len(model.vocabulary)
    assert model.parameters == 2 * len(model.vocabulary) + 1
    sizes = {path.name: path.stat().st_size for path in Path(tmp_path).iterdir()}
    assert sizes.keys() == {linear.SETTINGS, linear.WEIGHTS}
    assert 4 * model.parameters < sizes[linear.WEIGHTS] < 4 * model.parameters + 400  # float32, and a head


def test_c_is_chosen_by_rows_that_were_held_out(monkeypatch):
    asked = []

    def score(predictions, truth):
        asked.append(len(truth))
        return accuracy(predictions, truth)

    rows = rows_of(30)
    _, choice = fit(Rows(rows.texts, rows.labels, 2, score), WORDS, 0)
    assert asked == [10] * 3 * len(choice.scores)
    assert choice.folds == 3
    assert choice.scores[f"{choice.c:g}"] == max(choice.scores.values())


@pytest.mark.parametrize(
    ("scores", "tried", "best"),
    [([0.5, 0.6, 0.7, 0.7, 0.8], 5, 10.0), ([0.5, 0.7, 0.6, 0.9, 0.9], 3, 0.3), ([0.5, 0.4, 0.9, 0.9, 0.9], 2, 0.1)],
)
def test_no_larger_c_is_tried_after_one_that_is_worse(scores, tried, best):
    each = iter([score for score in scores for _ in range(3)])
    rows = rows_of(30)
    _, choice = fit(Rows(rows.texts, rows.labels, 2, lambda *_: next(each)), WORDS, 0)
    assert (len(choice.scores), choice.c) == (tried, best)


def test_of_values_as_good_the_smallest_is_taken():
    _, choice = fit(rows_of(60), WORDS, 0)
    best = max(choice.scores.values())
    assert choice.c == min(float(c) for c, value in choice.scores.items() if value == best)


@pytest.mark.parametrize(("labels", "folds"), [([0, 1], 0), ([0, 0, 1, 1], 2), ([0, 0, 0, 1], 2), ([0, 0, 0, 1, 1], 3)])
def test_few_rows_of_a_label_make_fewer_folds(labels, folds):
    texts = [(f"{'good' if label else 'bad'} film{number}",) for number, label in enumerate(labels)]
    _, choice = fit(Rows(texts, labels, 2, accuracy), WORDS, 0)
    assert choice.folds == folds
    assert (choice.scores == {}) == (folds == 0)
    assert choice.c == linear.WITHOUT_CHOICE or folds


def test_rows_that_cannot_do_are_refused_in_a_sentence():
    assert refuse([0, 1], 3) == "2 training rows are fewer than the 3 labels that a linear model is to tell apart"
    assert "all training rows have one label" in str(refuse([1, 1, 1], 2))
    assert refuse([0, 1, 1], 2) is None
    with pytest.raises(InputError, match="no words that a linear model could count"):
        fit(Rows([("!",), ("?",)], [0, 1], 2, accuracy), WORDS, 0)


def test_progress_ends_with_the_last_fit():
    told = []
    fit(rows_of(12), WORDS, 0, progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-2:] == [(15, 16), (16, 16)]
