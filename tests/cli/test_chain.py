"""`compress chain`: a recipe written on the command line."""

import json
from pathlib import Path

import pytest
import yaml

from compress.cli.chain import Segment, _chain_options, split
from compress.cli.options import option_names
from compress.cli.stages import step_options
from compress.cli.verbs import verbs
from compress.errors import InputError
from compress.planning.planner import make_plan
from compress.recipe.yaml_file import load_recipe

FAST = ("--epochs", "1", "--learning-rate", "5e-3")


@pytest.fixture
def data(reviews):
    return ("--train", reviews / "train.csv", "--test", reviews / "test.csv", "--max-length", "32")


def parted(line: str) -> list[list[str]]:
    """The head and each segment of a chain, as lists of words."""
    head, segments = split(line.split())
    return [head, *([segment.verb, *segment.arguments] for segment in segments)]


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("chain m finetune export", [["chain", "m"], ["finetune"], ["export"]]),
        (
            "chain m --train a.csv finetune --epochs 2 distill --layers 1 bench --threads 2",
            [
                ["chain", "m", "--train", "a.csv"],
                ["finetune", "--epochs", "2"],
                ["distill", "--layers", "1"],
                ["bench", "--threads", "2"],
            ],
        ),
        ("chain m --train prune finetune", [["chain", "m", "--train", "prune"], ["finetune"]]),
        ("chain m --train=a.csv prune", [["chain", "m", "--train=a.csv"], ["prune"]]),
        ("chain --train a.csv m prune", [["chain", "--train", "a.csv", "m"], ["prune"]]),
        ("chain m --json finetune", [["chain", "m", "--json"], ["finetune"]]),
        ("chain m --seed -1 finetune", [["chain", "m", "--seed", "-1"], ["finetune"]]),
        (
            "chain m quantize --per-channel bench --warmup 1",
            [["chain", "m"], ["quantize", "--per-channel"], ["bench", "--warmup", "1"]],
        ),
        (
            "chain m quantize --no-embeddings export --fuse never",
            [["chain", "m"], ["quantize", "--no-embeddings"], ["export", "--fuse", "never"]],
        ),
        (
            "chain m finetune --learning-rate -1 distill",
            [["chain", "m"], ["finetune", "--learning-rate", "-1"], ["distill"]],
        ),
        ("chain m distill --student export export", [["chain", "m"], ["distill", "--student", "export"], ["export"]]),
        ("chain m finetune --help", [["chain", "m"], ["finetune", "--help"]]),
        ("chain m export export", [["chain", "m"], ["export"], ["export"]]),
        ("run chain prune", [["run", "chain", "prune"]]),
        ("prune export --train chain", [["prune", "export", "--train", "chain"]]),
        ("", [[]]),
    ],
)
def test_a_chain_is_parted_at_its_verbs(line, parts):
    assert parted(line) == parts


def test_a_segment_keeps_its_verb_and_arguments():
    assert split(["chain", "m", "prune", "--ffn", "0.3"])[1] == [Segment("prune", ["--ffn", "0.3"])]


@pytest.mark.parametrize(
    ("line", "what", "fix"),
    [
        ("chain m finetun", "'finetun' is no step", "did you mean 'finetune'? accepted: bench, bundle, distill"),
        ("chain m finetune prun --ffn 0.5", "'prun' is no step", "did you mean 'prune'?"),
        ("chain m --json n finetune", "'n' is no step", "accepted: bench, bundle, distill"),
    ],
)
def test_a_word_that_is_neither_a_verb_nor_behind_an_option_is_refused(line, what, fix):
    with pytest.raises(InputError) as caught:
        split(line.split())
    assert (caught.value.what, caught.value.where) == (what, "compress chain")
    assert caught.value.fix.startswith(fix)


@pytest.mark.parametrize(
    ("line", "what", "where"),
    [
        ("", "the chain has no steps", "the command line"),
        ("bench", "the chain has no steps", "the command line"),
        ("finetune --epoch 1", "no such option: --epoch", "compress chain … finetune"),
        ("trim --how x", "no such option: --how", "compress chain … trim"),
        (
            "finetune bench --thread 1",
            "no such option: --thread",
            "compress chain … bench",
        ),
        ("finetune --epochs", "option '--epochs' requires an argument", "compress chain"),
        ("finetune --epochs x", "in step 'finetune': 'epochs' is 'x': a number is needed", "the command line"),
        ("finetune distill", "step 'distill': the student is not described", "the command line"),
        ("finetune distill --layers 9", "step 'distill': a student of 9 layers cannot be taken", "the command line"),
        ("finetune quantize", "step 'quantize' reads format 'onnx', but 'finetune' gives 'torch'", "the command line"),
        ("finetune export quantize --how x", "quantize has no technique 'x'", "--how"),
        ("finetune export prune", "step 'prune' reads format 'torch', but 'export' gives 'onnx'", "the command line"),
        ("finetune bench --threads 0", "in the options: 'targets.bench.threads' is 0", "the command line"),
        ("prune --ffn 1", "in step 'prune': 'ffn' is 1: input should be less than 1", "the command line"),
        ("export", "the config.json of the model 'tiny-bert", "the command line"),
    ],
)
def test_a_chain_that_does_not_fit_is_refused(refused, make_model, data, line, what, where):
    error = refused("chain", make_model(), *data, *line.split())
    assert error.what.startswith(what)
    assert error.where == where
    assert not Path("runs").exists()


def test_a_chain_without_a_model_or_with_a_wrong_one_is_refused(refused, data):
    assert refused("chain", *data, "finetune").what == "missing argument 'MODEL'"
    assert refused("chain", "nowhere", *data, "finetune").what == "the model 'nowhere' does not exist"
    assert refused("chain", "nowhere", "--name", "a/b", "finetune").what.startswith("in the options: 'name' is 'a/b'")


def test_a_chain_measures_only_with_test_rows(refused, make_model, reviews):
    error = refused("chain", make_model(), "--train", reviews / "train.csv", "finetune", "bench")
    assert error.what == "there are targets, but no test rows to measure on"
    assert "--test-fraction" in error.fix


def test_the_help_of_a_step_lists_its_options(cli):
    said = cli("chain", "model", "finetune", "--help")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("Usage: compress chain … finetune [OPTIONS]\n")
    assert "--gradient-accumulation N" in said.out
    assert cli("chain", "--help", "finetune").out.startswith("Usage: compress chain [OPTIONS] {MODEL}\n")


def test_a_saved_recipe_that_cannot_be_written_is_told_before_any_work(refused, make_model, data):
    Path("file").touch()
    error = refused("chain", make_model(), *data, "--save-recipe", "file/a.yaml", "finetune", code=1)
    assert (error.what, error.where) == ("cannot write: Not a directory", "file/a.yaml")
    assert not Path("runs").exists()


def test_a_saved_recipe_plans_to_the_keys_of_the_chain_from_any_folder(cli, make_model, data, tmp_path, monkeypatch):
    steps = (
        "finetune",
        *FAST,
        "distill",
        "--layers",
        "[1]",
        *FAST,
        "prune",
        "--heads",
        "0.25",
        "--recover-epochs",
        "0",
    )
    said = cli("chain", make_model(), *data, "--seed", "3", "--json", "--save-recipe", "my.yaml", *steps)
    assert said.code == 0, said.err
    assert json.loads(said.out)["artifacts"]["prune"] == "runs/chain/steps/prune"
    assert "recipe: my.yaml\n" in said.err
    recipe = yaml.safe_load(Path("my.yaml").read_text())
    assert [step["name"] for step in recipe["steps"]] == ["finetune", "distill", "prune"]
    assert recipe["steps"][2]["teacher"] == "finetune"
    made = {path.name for path in Path("runs/store").glob("*-*")}

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    plan = json.loads(cli("plan", "../my.yaml", "--runs-dir", "../runs", "--json").out)
    assert [step["done"] for step in plan["steps"]] == [True, True, True]
    again = make_plan(*load_recipe(tmp_path / "my.yaml"))
    names = {f"{step.stage_name}-{step.identity.key[:16]}" for step in again.steps}
    assert names < made
    assert made - names == {name for name in made if name.startswith("teacher_logits-")}


def test_each_bench_is_a_target_and_steps_of_one_verb_are_numbered(refused, make_model, data):
    Path("file").touch()
    steps = ("finetune", "--epochs", "1", "finetune", "export", "--fuse", "never", "quantize", "--no-per-channel")
    targets = ("bench", "--threads", "1", "bench", "--runtime", "torch")
    place = ("--name", "mine", "--runs-dir", "file/runs", "--save-recipe", "my.yaml")
    error = refused("chain", make_model(), *data, *place, *steps, *targets, code=1)
    assert error.what == "cannot write: Not a directory"
    recipe = yaml.safe_load(Path("my.yaml").read_text())
    assert recipe["name"] == "mine"
    assert recipe["targets"] == {"bench": {"threads": 1}, "bench2": {"runtime": "torch"}}
    assert recipe["steps"] == [
        {"name": "finetune", "stage": "finetune", "epochs": 1, "model": str(make_model())},
        {"name": "finetune2", "stage": "finetune"},
        {"name": "export", "stage": "export_onnx", "fuse": "never"},
        {"name": "quantize", "stage": "quantize_onnx_dynamic", "per_channel": False},
    ]


def test_the_chains_own_options_may_stand_anywhere():
    kept, segments = split("chain M finetune --epochs 2 bench --save-recipe prune --json --threads 2 --seed=3".split())
    assert kept == ["chain", "M", "--save-recipe", "prune", "--json", "--seed=3"]
    assert segments == [Segment("finetune", ["--epochs", "2"]), Segment("bench", ["--threads", "2"])]


@pytest.mark.parametrize("verb", verbs())
def test_no_step_has_an_option_of_the_chain(verb):
    assert not option_names(step_options(verb, verbs()[verb])) & option_names(_chain_options())
