"""`compress lineage` and `compress reproduce` on a run with figures: one run, read by all tests."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from tests.fresh import fork_children

from .test_run import compress_in

FAST = {"epochs": 3, "learning_rate": 5e-3, "head_learning_rate": 5e-3, "batch_size": 8}


@pytest.fixture(scope="module")
def home(tmp_path_factory, make_model, reviews):
    home = tmp_path_factory.mktemp("lineage")
    recipe = {
        "name": "tiny",
        "task": {"train": str(reviews / "train.csv"), "test": str(reviews / "test.csv"), "max_length": 32},
        "steps": [
            {"name": "teacher", "stage": "finetune", "model": str(make_model()), **FAST},
            {"name": "onnx", "stage": "export_onnx"},
            {"name": "int8", "stage": "quantize_onnx_dynamic", "min_agreement": 0.1},
        ],
        "targets": {"cpu": {"threads": 1, "sequence_length": 16}},
        "baselines": "none",
        "bench": {"warmup": 1, "rounds": 2, "samples": 2},
        "device": "cpu",
    }
    (home / "tiny.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch:
        fork_children(patch)
        said = compress_in(home, ["run", "tiny.yaml", "--set", "teacher.batch_size=16"])
    assert said.code == 0, said.err
    assert said.out.endswith(
        "artifacts: runs/tiny/steps\n"
        "final: runs/tiny/final\n"
        'use it: compress predict runs/tiny/final "a text"\n'
        '        compress.Classifier("runs/tiny/final")("a text")  # in Python\n'
    )
    return home


@pytest.fixture
def shipped(home, tmp_path):
    """The final folder, where somebody else has put it."""
    return shutil.copytree(home / "runs" / "tiny" / "final", tmp_path / "shipped")


def int8_of_the_report(home):
    rows = json.loads((home / "runs/tiny/report.json").read_text())["rows"]
    return next(row for row in rows if row["step"] == "int8")


def test_the_tree_leads_from_the_artifact_to_its_sources_in_80_columns(cli, shipped, home, reviews, make_model):
    said = cli("lineage", shipped)
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    row = int8_of_the_report(home)
    manifest = json.loads((home / "runs/tiny/steps/int8/manifest.json").read_text())
    assert lines[0] == f"int8  onnx  key {manifest['key'][:12]}"
    text = " ".join(line.strip("│├└─ ") for line in lines)
    assert "files: all as they were made" in text
    assert f"model.onnx {manifest['files']['model.onnx'][:12]}" in " ".join(text.split())
    assert f"accuracy {100 * row['quality']['value']:.2f}%" in text
    assert f"p50 {row['latency_ms']['p50']:.2f} ms, p90 {row['latency_ms']['p90']:.2f} ms" in text
    assert f"accuracy {-row['versus_baseline']['drop_pp']['value']:+z.2f} (" in text
    order = ["made by", "int8", "model: onnx", "model: teacher  finetune", f"{make_model()}  model"]
    places = [text.replace(" ", "").rindex(part.replace(" ", "")) for part in order]
    assert places[2:] == sorted(places[2:])
    assert f"{reviews / 'train.csv'}  train".replace(" ", "") in text.replace(" ", "")
    assert "torch" in text


def test_json_is_the_file(cli, shipped):
    said = cli("lineage", shipped, "--json")
    assert said.code == 0
    assert json.loads(said.out) == json.loads((shipped / "lineage.json").read_text())


def test_the_card_holds_the_reports_numbers(home, shipped):
    row = int8_of_the_report(home)
    (result,) = ModelCard.load(shipped / "README.md").data.eval_results
    assert (result.metric_value, result.dataset_name) == (row["quality"]["value"], "test.csv")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_file_that_is_not_as_it_was_made_is_an_error(cli, shipped, options):
    (shipped / "config.json").write_text("{}")
    (shipped / "model.onnx").unlink()
    said = cli("lineage", shipped, *options)
    assert said.code == 1
    first, second = said.err.splitlines()
    assert first.startswith(f"error: {shipped}: 'config.json' differs: its SHA-256 is 44136fa355b3…, ")
    assert second == f"error: {shipped}: 'model.onnx' is missing"
    assert options or "files: 2 not as they were made" in said.out


def test_a_file_that_came_later_is_told(cli, shipped):
    (shipped / "LICENSE").touch()
    said = cli("lineage", shipped)
    assert said.code == 0
    assert "LICENSE  added since" in said.out


def test_a_step_of_a_run_is_told_as_far_as_the_store_knows_it(cli, home):
    said = cli("lineage", home / "runs/tiny/steps/onnx")
    assert said.code == 0
    assert "figures are not known here" in said.out
    assert "teacher  finetune" in said.out
    assert "from outside, or no longer in the store" in " ".join(said.out.split())


def test_what_a_lineage_from_outside_says_moves_no_cursor(cli, shipped):
    content = json.loads((shipped / "lineage.json").read_text())
    content["name"] = "\x1b[2Jgone"
    (shipped / "lineage.json").write_text(json.dumps(content))
    said = cli("lineage", shipped)
    assert said.code == 0
    assert "\x1b" not in said.out
    assert "\\x1b[2Jgone" in said.out


def test_a_folder_that_tells_nothing_is_refused(refused, tmp_path):
    error = refused("lineage", tmp_path)
    assert error.what == f"'{tmp_path}' has neither lineage.json nor manifest.json"
    assert error.fix.startswith("give runs/NAME/final")
    assert refused("reproduce", tmp_path).what == error.what


def test_reproduce_gives_the_recipe_as_it_ran(cli, home, shipped):
    said = cli("reproduce", shipped)
    assert (said.code, said.err) == (0, "")
    assert yaml.safe_load(said.out) == yaml.safe_load((home / "runs/tiny/recipe.yaml").read_text())
    assert yaml.safe_load(said.out)["steps"][0]["batch_size"] == 16  # what --set said
    assert cli("reproduce", shipped, "-o", "again.yaml").out == "recipe: again.yaml\n"
    assert Path("again.yaml").read_text() == said.out


def test_reproduce_overwrites_nothing(refused, shipped):
    Path("mine.yaml").write_text("mine")
    error = refused("reproduce", shipped, "-o", "mine.yaml")
    assert (error.what, error.where) == ("'mine.yaml' is there already", "--out")
    assert Path("mine.yaml").read_text() == "mine"


def test_reproduce_warns_of_a_source_that_changed(cli, shipped, reviews, tmp_path):
    data = shutil.copytree(reviews, tmp_path / "data")
    path = shipped / "lineage.json"
    path.write_text(path.read_text().replace(str(reviews), str(data)))
    assert cli("reproduce", shipped).err == ""
    (data / "test.csv").unlink()
    said = cli("reproduce", shipped)
    assert said.code == 0
    assert said.err.startswith(f"warning: the data file '{data / 'test.csv'}' is gone; its SHA-256 was ")
    assert yaml.safe_load(said.out)["task"]["test"] == str(data / "test.csv")


@pytest.mark.int8
def test_the_recipe_runs_in_a_fresh_place_to_the_same_files(home, shipped, tmp_path):
    compress_in(tmp_path, ["reproduce", str(shipped), "-o", "again.yaml"])
    said = compress_in(tmp_path, ["run", "again.yaml", "--set", "targets={}", "--json"])
    assert said.code == 0, said.err
    first, second = (
        json.loads((place / "runs/tiny/final/lineage.json").read_text())["steps"] for place in (home, tmp_path)
    )
    assert [(step["name"], step["key"], step["files"]) for step in first] == [
        (step["name"], step["key"], step["files"]) for step in second
    ]
