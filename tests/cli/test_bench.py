"""`compress bench`: what it refuses before it measures."""

from pathlib import Path

import pytest

from tests.plans import model_like


@pytest.fixture
def labelled(make_model, tmp_path):
    return model_like(make_model(), tmp_path / "labelled", id2label={"0": "bad", "1": "good"})


def test_without_test_rows_there_is_nothing_to_measure_on(refused, labelled):
    error = refused("bench", labelled)
    assert (error.what, error.fix) == ("there are no test rows", "add --test FILE")


@pytest.mark.parametrize(
    ("line", "what", "where"),
    [
        ("bench nowhere --test TEST", "the model 'nowhere' does not exist", "the command line"),
        ("bench LABELLED nowhere --test TEST", "the model 'nowhere' does not exist", "the command line"),
        ("bench LABELLED --test none.csv", "the data file 'none.csv' does not exist", "the command line"),
        ("bench LABELLED --test ugly.csv", "1 test rows have unknown labels: 'ugly'", "the command line"),
        ("bench LABELLED --test TEST --text-column body", "test.csv has no column 'body'", "the command line"),
        ("bench LABELLED --test TEST --runtime x", "in the options: 'runtime' is 'x': input", "the command line"),
        ("bench LABELLED --test TEST --samples 0", "in the options: 'samples' is 0: input", "the command line"),
        ("bench LABELLED --test TEST --train TEST", "no such option: --train", "compress bench"),
    ],
)
def test_wrong_options_are_refused(refused, labelled, reviews, line, what, where):
    Path("ugly.csv").write_text("text,label\na b,ugly\nc d,good\n")
    words = {"LABELLED": labelled, "TEST": reviews / "test.csv"}
    error = refused(*[words.get(word, word) for word in line.split()])
    assert error.what.startswith(what)
    assert error.where == where


def test_models_of_other_labels_are_not_compared(refused, labelled, make_model, reviews, tmp_path):
    stars = model_like(make_model(), tmp_path / "stars", id2label={"0": "1 star", "1": "5 stars"})
    error = refused("bench", labelled, stars, "--test", reviews / "test.csv")
    assert error.what == f"the model '{stars}' knows the labels '1 star', '5 stars', the data has 'bad', 'good'"
    assert error.where == str(stars)


def test_a_bench_that_measured_nothing_fails_and_says_why(cli, labelled, reviews):
    said = cli("bench", labelled, "--test", reviews / "test.csv", "--runtime", "onnxruntime")
    assert said.code == 1
    assert said.err == "error: 'labelled' skipped: the runtime 'onnxruntime' does not run the format 'torch'\n"
    assert "labelled on bench skipped: the runtime 'onnxruntime' does not run the format 'torch'" in said.out
