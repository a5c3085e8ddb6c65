"""`compress finetune`, `distill`, `prune`, `export`, `quantize`: made from the stages' own settings."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from compress import stages
from compress.cli.options import flags, settings_from
from compress.cli.stages import step_from, step_options
from compress.cli.verbs import verbs
from compress.errors import InputError
from compress.files.whole import file_sha256, folder_files
from tests.plans import model_like


def leaves(config: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Each setting of a stage, flattened, with its help text."""
    for name, field in config.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from leaves(field.annotation, f"{prefix}{name}-")
        else:
            yield f"--{prefix}{name}".replace("_", "-"), field.description or ""


def one_line(text: str) -> str:
    """Help text without the line breaks that a narrow terminal makes."""
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("width", ["60", "80", "200"])
@pytest.mark.parametrize(("verb", "names"), verbs().items())
def test_every_setting_of_every_stage_is_an_option_of_its_verb(cli, monkeypatch, verb, names, width):
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setenv("TERMINAL_WIDTH", width)
    said = cli(verb, "--help")
    assert (said.code, said.err) == (0, "")
    text = one_line(said.out)
    for name in names:
        stage = stages.find(name)
        for option, about in leaves(stage.config):
            assert about, f"{name} {option} has no help"
            assert f" {option} " in text
        for role in list(stage.inputs)[1:]:
            assert f" --{role.replace('_', '-')} MODEL " in text
        if len(names) > 1:
            assert name.removeprefix(f"{verb}_") in text
    for option in ("--train", "--test", "--test-fraction", "--text-column", "--out", "--seed", "--runs-dir", "--json"):
        assert f"{option} " in text


def test_the_help_says_the_default_and_the_choices(cli):
    text = one_line(cli("prune", "--help").out)
    assert "--multiple-of N Neurons kept are a multiple of this, which matrix kernels like. [default: 8]" in text
    assert "--importance taylor|fisher|activation|magnitude " in text
    text = one_line(cli("quantize", "--help").out)
    hows = "bnb|onnx_4bit|onnx_auto|onnx_dynamic|onnx_fp16|onnx_static|onnx_trained"
    assert f"--how {hows} Technique. [default: onnx_dynamic]" in text
    assert "--per-channel / --no-per-channel " in text
    assert text.index("Quantize an ONNX model to 8 bits") < text.index("--how bnb: Quantize a torch model's")


def test_a_place_that_cannot_be_written_is_refused_before_any_work(refused, tmp_path):
    (tmp_path / "file").write_text("taken")
    error = refused("export", "some/model", "--out", tmp_path / "file" / "inside")
    assert (error.what, error.where) == (f"'{tmp_path}/file/inside' cannot be written", "--out")


def test_names_are_a_list_or_stand_between_commas():
    for given in ("a,b", "a, b", ["a", "b"], ("a", "b")):
        assert stages.find("quantize_onnx_dynamic").config(keep_float=given).keep_float == ("a", "b")


def test_flags_take_no_value_and_all_other_options_do():
    found = flags(step_options("quantize", verbs()["quantize"]))
    assert {"--per-channel", "--no-per-channel", "--embeddings", "--no-embeddings"} <= found
    assert not found & {"--how", "--bits", "--min-agreement", "--weight-type"}


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        ({"recover__epochs": "1", "layers": "[0, 5]"}, {"recover": {"epochs": 1}, "layers": [0, 5]}),
        ({"recover__epochs": "1", "recover__warmup": "0.2"}, {"recover": {"epochs": 1, "warmup": 0.2}}),
        ({"per_channel": False, "weight_type": "uint8"}, {"per_channel": False, "weight_type": "uint8"}),
        ({"epochs": None}, {}),
        ({"layers": "[0"}, {"layers": "[0"}),
    ],
)
def test_options_become_nested_settings(given, settings):
    assert settings_from(given) == settings


def test_an_options_value_is_read_within_the_bounds_of_a_recipe(refused):
    error = refused("finetune", "model", "--train", "t.csv", "--train-length", "[" * 50)
    assert (error.what, error.where) == ("the value is nested more than 20 deep", "--train-length")


def test_a_verb_with_several_techniques_and_no_default_asks_for_one():
    names = ["prune_structured", "quantize_bnb"]
    with pytest.raises(InputError) as caught:
        step_from("squeeze", names, {})
    assert (caught.value.what, caught.value.where) == ("squeeze has several techniques", "--how")
    assert caught.value.fix == "accepted: prune_structured, quantize_bnb"
    given = {"how": "prune_structured", "ffn": "0.3"}
    assert step_from("squeeze", names, given) == {"stage": "prune_structured", "ffn": 0.3}


@pytest.mark.parametrize(
    ("line", "what", "where"),
    [
        ("finetune MODEL", "step 'finetune' (finetune) needs training rows", "the command line"),
        ("finetune MODEL DATA --epochs -1", "in step 'finetune': 'epochs' is -1: input should be", "the command line"),
        ("finetune MODEL DATA --text-column body", "train.csv has no column 'body'", "the command line"),
        ("finetune MODEL DATA --train-rows 2", "in the options: 'task.train_rows' is 2", "the command line"),
        ("finetune MODEL --train folder", "cannot read 'folder': it is a folder", "the command line"),
        ("finetune MODEL --train none.csv", "the data file 'none.csv' does not exist", "the command line"),
        ("finetune nowhere DATA", "the model 'nowhere' does not exist", "the command line"),
        ("distill MODEL DATA --layers 1", "the config.json of the model 'tiny-bert", "the command line"),
        ("prune MODEL DATA --heads 1 --ffn=-1", "in step 'prune': 'heads' is 1: input should be", "the command line"),
        ("export folder", "the model 'folder' has no config.json", "the command line"),
        ("quantize MODEL", "step 'quantize' reads format 'onnx', but 'tiny-bert", "the command line"),
        ("quantize MODEL --how nope", "quantize has no technique 'nope'", "--how"),
        ("quantize MODEL --how bnb --per-channel", "in step 'quantize': unknown key 'per_channel'", "the command line"),
        ("export MODEL --out folder", "'folder' is there already", "--out"),
        ("export MODEL --fuse sometimes", "in step 'export': 'fuse' is 'sometimes'", "the command line"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused_before_any_work(refused, make_model, reviews, line, what, where):
    Path("folder").mkdir()
    Path("folder/file").touch()
    words = {"MODEL": [make_model()], "DATA": ["--train", reviews / "train.csv", "--max-length", "32"]}
    error = refused(*[part for word in line.split() for part in words.get(word, [word])])
    assert error.what.startswith(what)
    assert error.where == where
    assert not Path("runs").exists()


def test_a_model_without_its_head_does_not_export(refused, make_model):
    error = refused("export", make_model())
    assert error.what.startswith("step 'export' failed: the weights lack classifier.bias, classifier.weight")
    assert error.fix == "fine-tune the model first (stage finetune)"


def test_a_stage_command_makes_an_artifact_and_copies_it_out(cli, refused, make_model, reviews):
    line = ("finetune", make_model(), "--train", reviews / "train.csv", "--max-length", "32", "--epochs", "1")
    said = cli(*line, "--json", "--out", "new/teacher")
    assert said.code == 0, said.err
    assert json.loads(said.out) == {"artifacts": {"finetune": "runs/finetune/steps/finetune"}, "facts": {}}
    assert said.err.endswith("copied to: new/teacher\n")
    made, copied = Path("runs/finetune/steps/finetune"), Path("new/teacher")
    assert set(folder_files(copied)) == {*folder_files(made), "lineage.json", "README.md"}
    assert all((copied / name).stat().st_nlink == 1 for name in folder_files(copied))  # the user may change them
    assert all((copied / name).stat().st_mode & 0o200 for name in folder_files(copied))
    assert {"config.json", "model.safetensors"} <= set(folder_files(copied))
    changed = {name for name in folder_files(made) if file_sha256(copied / name) != file_sha256(made / name)}
    assert changed == {"tokenizer.json", "tokenizer_config.json"}
    assert json.loads((copied / "tokenizer_config.json").read_text())["model_max_length"] == 32
    assert json.loads((copied / "config.json").read_text())["id2label"] == {"0": "bad", "1": "good"}

    assert refused(*line, "--out", "new/teacher").what == "'new/teacher' is there already"
    again = cli(*line)
    assert (again.code, again.out.splitlines()[0]) == (0, "nothing to do: every step is done")


def test_a_result_may_be_put_into_the_empty_current_folder(cli, make_model, tmp_path, monkeypatch, reviews):
    labelled = model_like(make_model(), tmp_path / "labelled", id2label={"0": "bad", "1": "good"})
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    line = ("finetune", labelled, "--train", reviews / "train.csv", "--max-length", "32", "--epochs", "1")
    said = cli(*line, "--runs-dir", "../runs", "--out", ".")
    assert (said.code, said.out.splitlines()[-1]) == (0, "copied to: .")
    assert (tmp_path / "here" / "model.safetensors").is_file()


def test_several_teachers_are_named_one_after_the_other(cli, make_model, reviews):
    teacher = make_model("bert")
    said = cli("distill", teacher, teacher, "--layers", "1", "--train", reviews / "train.csv")
    assert said.code == 2
    assert "'teacher' is ['" in one_line(said.err)
    assert "name one step or model, or several once each" in one_line(said.err)


def test_the_form_of_int8_chooses_the_technique_that_has_it():
    names = verbs()["quantize"]
    assert step_from("quantize", names, {"form": "qdq"}) == {"stage": "quantize_onnx_static", "form": "qdq"}
    assert step_from("quantize", names, {"form": "qdq", "how": "onnx_static"})["stage"] == "quantize_onnx_static"
    for given, fix in (
        ({"how": "onnx_dynamic"}, "give --how onnx_static"),
        ({"auto": True}, "--target-runtime openvino"),
    ):
        with pytest.raises(InputError, match="--form is a setting of onnx_static alone") as caught:
            step_from("quantize", names, {"form": "qdq", **given})
        assert fix in str(caught.value.fix)
