"""The recipe that makes an artifact again."""

import os
import shutil

import pytest
import yaml

from compress.errors import InputError
from compress.files.whole import file_sha256
from compress.lineage.ancestry import find_lineage
from compress.lineage.model import Source, read_lineage
from compress.lineage.reproduce import doubts, pinned_recipe
from compress.planning.planner import make_plan
from compress.recipe.yaml_file import load_recipe
from compress.running.runner import run_plan
from tests.chain import Silent, chain_recipe
from tests.stages.test_contract import STEPS

from .lineages import lineage_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.int8
@pytest.mark.usefixtures("forked")
def test_a_fresh_run_of_it_gives_the_same_keys_and_the_same_files(chain, tmp_path):
    recipe = tmp_path / "elsewhere" / "recipe.yaml"
    recipe.parent.mkdir()
    recipe.write_text(pinned_recipe(read_lineage(chain.runs_dir / "tiny" / "final"), "final"))
    observer = Silent()
    again = run_plan(make_plan(*load_recipe(recipe)), tmp_path / "runs", observer).artifacts
    assert observer.made == STEPS
    for name in STEPS:
        first, second = chain.artifacts[name].manifest, again[name].manifest
        assert (first.key, first.files) == (second.key, second.files), name
    one, two = (read_lineage(runs / "tiny" / "final") for runs in (chain.runs_dir, tmp_path / "runs"))
    assert one.final.files == two.final.files


def test_sources_are_pinned_to_what_was_read(chain, make_model, reviews):
    _, lineage = lineage_of(chain, make_model, reviews)
    wheel = "pypi://tiny-rows==1.0/tiny_rows/data/train.csv"
    sources = (
        source("model", "hf://org/tiny@main", f"hf://org/tiny@{COMMIT}", places=("teacher.model",)),
        source("table", wheel, wheel, files={"tiny-rows==1.0": "a" * 64}, places=("task.train",)),
        source("table", "hf://org/rows?split=test", f"hf://org/rows@{COMMIT}?split=test", places=("task.test",)),
    )
    text = pinned_recipe(lineage.model_copy(update={"sources": sources}), "final")
    recipe = yaml.safe_load(text)
    assert recipe["steps"][0]["model"] == f"hf://org/tiny@{COMMIT}"
    assert (recipe["task"]["train"], recipe["task"]["test"]) == (wheel, f"hf://org/rows@{COMMIT}?split=test")
    assert recipe["pins"] == {"tiny-rows==1.0": "a" * 64}
    head = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("# "))
    assert f"Makes again: int8 of tiny, seed 0, key {lineage.final.key}" in head
    assert f"by compress {lineage.compress_version}, with torch " in head
    assert all(len(line) <= 120 for line in text.splitlines() if line.startswith("#"))


def source(kind, said, pinned, files=None, places=()):
    return Source(kind=kind, said=said, pinned=pinned, key="key", files=files or {}, places=places)


def test_a_lineage_cannot_write_lines_into_the_recipe(chain, make_model, reviews):
    _, lineage = lineage_of(chain, make_model, reviews)
    text = pinned_recipe(
        lineage.model_copy(update={"name": "a\nname: evil", "compress_version": "1\ndevice: x"}), "final"
    )
    assert yaml.safe_load(text)["name"] == "tiny"
    assert yaml.safe_load(text)["device"] == "cpu"
    for end in ("\u2028", "\u2029", "\x85", "\r", "\v", "\x1b[31m", "\u202e", "\x9b"):
        evil = f"a{end}trust_remote_code: true{end}#"
        final = lineage.final.model_copy(update={"name": evil, "host": {"cpu": evil}, "versions": {evil: evil}})
        changes = {"created": evil, "name": evil, "steps": (*lineage.steps[:-1], final)}
        changed = pinned_recipe(lineage.model_copy(update=changes), "final")
        assert "trust_remote_code" not in yaml.safe_load(changed)
        assert all(char == "\n" or char.isprintable() for char in changed)


def test_a_recipe_that_runs_the_models_code_is_told_of(chain, make_model, reviews):
    _, lineage = lineage_of(chain, make_model, reviews)
    trusting = lineage.model_copy(update={"recipe": f"{lineage.recipe}trust_remote_code: true\n"})
    assert "trust_remote_code" in doubts(trusting)[0]


@pytest.mark.parametrize("pinned", ["/dev/zero", "pipe", "/x" * 3000])
def test_a_source_that_never_ends_is_not_read(chain, make_model, reviews, tmp_path, pinned):
    _, lineage = lineage_of(chain, make_model, reviews)
    os.mkfifo(tmp_path / "pipe")
    changed = lineage.sources[0].model_copy(update={"pinned": str(tmp_path / pinned)})
    (doubt,) = doubts(lineage.model_copy(update={"sources": (changed,)}))
    assert "is no plain file, and was not looked at" in doubt or "cannot be looked at: File name too long" in doubt


@pytest.mark.parametrize(
    ("update", "what"),
    [
        ({"recipe": "name: 3\n"}, "in the recipe: "),
        ({"recipe": "a: [1"}, "cannot read the YAML"),
        ({"sources": (source("model", "a", "b", places=("none.model",)),)}, "the recipe has no 'none'"),
    ],
)
def test_a_recipe_that_cannot_be_read_is_refused(chain, make_model, reviews, update, what):
    _, lineage = lineage_of(chain, make_model, reviews)
    with pytest.raises(InputError) as caught:
        pinned_recipe(lineage.model_copy(update=update), "final")
    assert caught.value.what.startswith(what)


def test_manifests_alone_do_not_tell_the_recipe(chain):
    with pytest.raises(InputError, match="the manifests alone do not tell the recipe"):
        pinned_recipe(find_lineage(chain.artifacts["onnx"].path), "here")


def test_local_sources_that_changed_or_went_are_told(chain, make_model, reviews, tmp_path):
    model = shutil.copytree(make_model(), tmp_path / "model")
    data = shutil.copytree(reviews, tmp_path / "data")
    _, lineage = lineage_of(chain, make_model, reviews, recipe=chain_recipe(model, data))
    assert doubts(lineage) == []
    with (data / "train.csv").open("a") as file:
        file.write("a fine film,good\n")
    (model / "config.json").write_text("{}")
    (model / "extra.json").write_text("{}")
    assert doubts(lineage) == [
        f"the data file '{data / 'train.csv'}' is no longer what it was: train.csv changed",
        f"the model '{model}' is no longer what it was: config.json, extra.json changed",
    ]
    shutil.rmtree(model)
    (data / "train.csv").unlink()
    gone = doubts(lineage)
    assert gone[0].startswith(f"the data file '{data / 'train.csv'}' is gone; its SHA-256 was ")
    assert gone[1].startswith(f"the model '{model}' is gone; its SHA-256 was ")


def test_a_workbook_is_looked_at_without_the_name_of_its_sheet(chain, make_model, reviews, tmp_path):
    _, lineage = lineage_of(chain, make_model, reviews)
    book = tmp_path / "rows.xlsx"
    book.write_bytes(b"rows")
    pinned = f"{book}?sheet=Test"
    table = source("table", "rows.xlsx?sheet=Test", pinned, {"rows.xlsx": file_sha256(book)}, ("task.test",))
    lineage = lineage.model_copy(update={"sources": (table,)})
    assert doubts(lineage) == []
    assert yaml.safe_load(pinned_recipe(lineage, "final"))["task"]["test"] == pinned


def test_another_compress_or_another_version_of_a_stage_is_told(chain, make_model, reviews):
    _, lineage = lineage_of(chain, make_model, reviews)
    first = lineage.steps[0].model_copy(update={"version": 99})
    gone = lineage.steps[1].model_copy(update={"stage": "unknown", "version": 1})
    older = lineage.model_copy(update={"compress_version": "0.0.1", "steps": (first, gone, *lineage.steps[2:])})
    assert [doubt.partition(", ")[0] for doubt in doubts(older)] == [
        "it was made by compress 0.0.1",
        "step 'teacher' was made by version 99 of finetune",
        "step 'student' was made by version 1 of unknown",
    ]
    assert doubts(older)[2].endswith("which is not here")
