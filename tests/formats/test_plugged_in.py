"""A format of somebody else with its runtime, one file each: planned, refused, listed and loaded as others are."""

import json
import shutil
from typing import get_args

import numpy as np
import pytest

import compress
from compress.cli.options import model_options
from compress.data.sources import Sources, folder_hashes
from compress.doctor.examination import _examined
from compress.doctor.examined import Examination
from compress.errors import InputError
from compress.formats import check_folder, find, format_of, size_of, why_not
from compress.planning.feasibility import check_feasible
from compress.planning.json_schema import recipe_schema
from compress.recipe.schema import Target
from compress.running.bench_folders import default_runtimes
from compress.use.asked import check_to_answer

FORMAT = '''"""A table of what each token says of each class: `model.npy`."""

from compress.formats import Format

INTERFACE = 1


def parameters(folder):
    import numpy

    return int(numpy.load(folder / "model.npy").size)


FORMAT = Format(
    title="a table of tokens",
    recognises=lambda path: (path / "model.npy").is_file(),
    instead_of=("torch",),
    weights=("*.npy",),
    weight_files=lambda folder: [folder / "model.npy"],
    parameters=parameters,
    runtime="adding",
    export="tabulate",
    is_last="a table forgets the order of tokens",
    tags=("bag-of-words",),
)
'''
RUNTIME = '''"""Adds up the rows of a table."""

INTERFACE = 1
FORMATS = ("token_table",)


def refuse(target):
    return "adding takes one row at a time" if target.batch_size > 1 else None


def unavailable(target):
    return "this machine has no fingers" if target.threads > 10 else None


def load(folder, target, hub_task, *, trust_remote_code, exclusive):
    import numpy

    table = numpy.load(folder / "model.npy")
    return lambda batch: (table[batch["input_ids"]] * batch["attention_mask"][..., None]).sum(axis=1)
'''
STAGE = '''"""Writes a model as a table of tokens."""

from compress.stages import Input, Stage, StageConfig

INTERFACE = 1


class Config(StageConfig):
    pass


def run(*, model, config, context, out): ...


STAGE = Stage(Config, run, {"model": Input("torch")}, "token_table", 1, needs_data=False)
'''
TEACHER = "{name: teacher, stage: finetune, model: MODEL}"
TABLE = "{name: table, stage: tabulate}"
ON_TABLE = "targets: {table: {runtime: adding, threads: 1, sequence_length: 32}}"


@pytest.fixture
def tables(install):
    """The package, installed."""
    entries = {
        "compress.formats": {"token_table": "table_format"},
        "compress.runtimes": {"adding": "table_runtime"},
        "compress.stages": {"tabulate": "table_stage"},
    }
    return install("tables", entries, table_format=FORMAT, table_runtime=RUNTIME, table_stage=STAGE)


@pytest.fixture
def folder(tables, make_model, tmp_path):
    """A model of that format, whose table says of each token how odd its number is."""
    path = shutil.copytree(make_model(), tmp_path / "table")
    (path / "model.safetensors").unlink()
    config = json.loads((path / "config.json").read_text()) | {"id2label": {"0": "even", "1": "odd"}}
    (path / "config.json").write_text(json.dumps(config))
    odd = np.arange(config["vocab_size"]) % 2
    np.save(path / "model.npy", np.stack([1 - odd, odd], axis=1).astype(np.float32))
    return path


def test_a_folder_of_it_is_recognised_counted_and_loaded(folder):
    assert format_of(folder) == "token_table"
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    assert find("token_table").parameters(folder) == 2 * vocabulary
    assert size_of(folder, "token_table") > (folder / "model.npy").stat().st_size
    classifier = compress.Classifier(folder)
    tokens = classifier._tokenizer.encode(["good"], None, 32)[0]["input_ids"]
    odd = sum(token % 2 for token in tokens)
    given = classifier.predict_proba(["good"])[0]
    assert np.log(given[1] / given[0]) == pytest.approx(odd - (len(tokens) - odd))


def test_what_is_read_of_it_is_checked_and_counts_in_its_key(folder, plan, tmp_path):
    source = Sources().model(str(folder))
    assert "model.npy" in folder_hashes(folder)
    np.save(folder / "model.npy", np.load(folder / "model.npy") + 1)
    assert Sources().model(str(folder)).key != source.key
    assert check_folder(folder) == []
    (folder / "model.npy").rename(tmp_path / "outside.npy")
    with pytest.raises(InputError, match="has no weights"):
        Sources().model(str(folder))
    (folder / "model.npy").symlink_to(tmp_path / "outside.npy")
    with pytest.raises(InputError, match=r"'model[.]npy' is a link that leads out of the model's folder"):
        check_folder(folder)


def test_it_answers_after_it_was_looked_at(folder):
    assert check_to_answer(folder, ["good", "bad"], None) is None
    assert default_runtimes([folder]) == ["adding"]


def test_doctor_says_that_it_cannot_look_into_it(folder):
    with pytest.raises(InputError, match="doctor does not know how to look into the format 'token_table'"):
        _examined(Examination(str(folder), None, 1, 1), lambda *_: None)


def test_a_model_is_measured_through_the_export_to_what_the_runtime_takes(tables, plan):
    planned = plan(TEACHER, more=ON_TABLE)
    assert [step.name for step in planned.steps] == ["teacher", "teacher as token_table"]
    assert planned.steps[-1].stage_name == "tabulate"
    assert planned.baselines == {"table": "teacher as token_table"}
    both = plan(TEACHER, TABLE, more=ON_TABLE)
    assert [step.name for step in both.steps] == ["teacher", "table"]  # the recipe's own step is that export
    assert {subject.measured for subject in both.subjects} == {"table"}


def test_what_the_runtime_does_not_take_is_skipped_with_the_reason(tables, plan):
    skipped = check_feasible(plan(TEACHER, "{name: onnx, stage: export_onnx}", more=ON_TABLE), set()).skipped
    assert [str(skip) for skip in skipped] == [
        "target 'table': onnx will be skipped: the runtime 'adding' does not run the format 'onnx'"
    ]
    assert why_not("token_table", Target(runtime="adding", threads=11)) == "this machine has no fingers"
    assert why_not("token_table", Target()) == "the runtime 'onnxruntime' does not run the format 'token_table'"


@pytest.mark.parametrize(
    ("steps", "what", "fix"),
    [
        (
            (TEACHER, TABLE, "{name: small, stage: distill, layers: 1}"),
            "step 'small' reads format 'torch', but 'table' gives 'token_table'",
            "move 'small' before the export that 'table' stands for",
        ),
        (
            (TEACHER, TABLE, "{name: int8, stage: quantize_onnx_dynamic}"),
            "step 'int8' reads format 'onnx', but 'table' gives 'token_table'",
            "let 'int8' read an earlier step; a table forgets the order of tokens",
        ),
    ],
)
def test_a_step_that_cannot_read_it_is_refused(steps, what, fix, tables, plan):
    with pytest.raises(InputError) as refusal:
        plan(*steps, more="")
    assert (refusal.value.what, refusal.value.fix) == (what, fix)
    assert str(refusal.value.where).endswith("recipe.yaml:6")


def test_a_target_that_its_runtime_refuses_is_refused_with_its_line(tables, plan):
    with pytest.raises(InputError, match=r"'targets[.]table': adding takes one row at a time") as refusal:
        plan(TEACHER, more="targets: {table: {runtime: adding, batch_size: 2}}")
    assert str(refusal.value.where).endswith("recipe.yaml:5")


def test_its_runtime_stands_in_the_schema_and_in_the_options_among_the_others(tables):
    known = recipe_schema()["$defs"]["Target"]["properties"]["runtime"]
    assert known["enum"] == ["adding", "onnxruntime", "openvino", "tensorrt", "torch", "torch_compile"]
    (option,) = model_options(Target, only=["runtime"])
    assert get_args(option.annotation)[1].metavar == "|".join(known["enum"])
    assert (known["type"], known["default"]) == ("string", "onnxruntime")


def test_a_folder_of_two_formats_is_refused_with_their_names(install, folder):
    install("others", {"compress.formats": {"other": "other_format"}}, other_format=FORMAT)
    with pytest.raises(InputError, match="the model is of 2 formats at once: other, token_table"):
        format_of(folder)


def test_a_runtime_that_cannot_be_imported_is_named_with_its_package(install, plan):
    install("broken", {"compress.runtimes": {"fast": "fast_runtime"}}, fast_runtime="import nowhere_at_all")
    with pytest.raises(InputError, match=r"'fast' of the package 'broken 1[.]0' cannot be imported") as refusal:
        plan(TEACHER, more="targets: {table: {runtime: fast}}")
    assert "pip uninstall broken" in refusal.value.what
    assert str(refusal.value.where).endswith("recipe.yaml:5")
    assert Target(runtime="torch").runtime == "torch"
