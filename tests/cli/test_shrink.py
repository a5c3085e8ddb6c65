"""`compress shrink`: what it refuses, and what it prints."""

import json

import pytest

from tests.conftest import write_reviews


@pytest.fixture
def shrink(make_model, tmp_path):
    write_reviews(tmp_path / "train.csv", 96, seed=1)
    write_reviews(tmp_path / "test.csv", 40, seed=2)
    return ("shrink", make_model(), "--train", "train.csv", "--test", "test.csv")


@pytest.mark.parametrize(
    ("options", "what", "where", "fix"),
    [
        (("--budget", "soon"), "'soon' is no time", "--budget", "write 90m, 2h or 600s"),
        (("--minimize", "speed"), "'search.minimize' is 'speed'", "--set search.minimize=speed", ""),
        (("--target", "thread=4"), "unknown key 'targets.cpu.thread'", "--set targets.cpu.thread=4", "'threads'"),
        (("--target", "runtime=torch"), "a search makes ONNX graphs, and torch runs none", "", "onnxruntime"),
        (("--family", "lstm"), "'search.families.0' is 'lstm'", "", ""),
        (("--store", "s4:bucket"), "'s4:bucket' is no URL of a folder", "--store", "s3://BUCKET/FOLDER"),
        (("--store", "sftpp://me:s3cr3t@host"), "'sftpp' is no protocol", "--store", "did you mean 'sftp'?"),
        (("--store", "memory://x", "--on", "ray"), "other processes cannot see", "--store", "s3://BUCKET/FOLDER"),
        (("--store", "file:///dev/null/x"), "the store file:///dev/null/x cannot be used", "--store", "check its name"),
        (("--save-recipe", "train.csv"), "'train.csv' is there already", "--save-recipe", "name another file"),
        (("--label-column", "sort"), "sort", "", "label"),
    ],
)
def test_wrong_options_are_refused_before_any_work(refused, shrink, tmp_path, options, what, where, fix):
    error = refused(*shrink, *options)
    assert what in error.what
    assert where in error.where
    assert fix in error.fix
    assert not (tmp_path / "runs").exists()


FEW = (
    "teacher.epochs=2",
    "bench.rounds=3",
    "bench.processes=1",
    "bench.samples=2",
    "search.folds=2",
    "search.families=[linear, layers]",
)


def test_the_recipe_of_init_searches_and_tells_of_each_candidate(cli, shrink, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert cli("init", "--model", *shrink[1:]).code == 0
    settings = [word for setting in (*FEW, "goal.max_drop_pp=50", "baselines=none") for word in ("--set", setting)]
    said = cli("run", "recipe.yaml", *settings)
    assert said.code == 0, said.err
    (best,) = [line for line in said.err.splitlines() if "MB  best, about" in line]
    assert best.split()[1] == "linear-1"
    assert best.endswith(" left")
    assert len(best) <= 80
    words = " ".join(said.out.split())
    assert "the fastest finalist that is proved to lose at most 50 points of accuracy is linear-1" in words
    assert max(map(len, said.out.splitlines())) <= 80
    again = cli("run", "recipe.yaml", *settings, "--json")
    *events, report = map(json.loads, again.out.splitlines())
    assert [(event["name"], event["seconds_left"]) for event in events] == [("linear-1", None)], "nothing was made"
    assert report["event"] == "report"
    assert report["search"]["selection"]["winner"] == "linear-1"


@pytest.mark.slow
def test_shrink_saves_the_winners_recipe_which_makes_it_again(cli, shrink, tmp_path):
    options = ("--max-drop-pp", "50", "--family", "linear", "--save-recipe", "mine.yaml")
    assert cli(*shrink, *options).code == 0
    plan = json.loads(cli("plan", "mine.yaml", "--no-forecast", "--json").out)
    assert all(step["done"] for step in plan["steps"])
    assert not plan["searches"]
    assert json.loads((tmp_path / "runs/train-shrunk/report.json").read_text())["search"]["folds"] == 3
