"""Graphs of several formats in one folder: where they stand, what is measured, and what is left out."""

import json
import shutil

import numpy as np
import pytest
from pydantic import ValidationError

from compress.errors import CompressError, InputError
from compress.files.whole import file_sha256
from compress.formats import check_folder, format_of, size_of
from compress.formats.onnx import weight_files
from compress.models.files import graphs_in, layout_file, model_path
from compress.models.tokenizer import load_tokenizer
from compress.planning.planner import make_plan
from compress.recipe.schema import Step, Target
from compress.recipe.validation import Origin
from compress.runtimes import load
from compress.runtimes.onnxruntime import open_file
from compress.stages import bundle_onnx
from compress.stages.bundle_onnx import Config
from compress.store.artifacts import Artifact
from tests.chain import context_of
from tests.lineage.lineages import cut_after

pytestmark = pytest.mark.int8
FILES = {"fp32": "model.onnx", "fp16": "model_fp16.onnx", "int8": "model_quantized.onnx", "q4": "model_q4.onnx"}


@pytest.fixture
def folder(chain):
    return chain.artifacts["bundled"].path


def run(chain, tmp_path, **settings):
    out = tmp_path / "out"
    out.mkdir()
    facts = bundle_onnx.run(
        model=chain.artifacts["onnx"], config=Config(**settings), context=context_of(chain, tmp_path), out=out
    ).manifest_facts()
    return out, facts


def test_the_files_stand_where_other_loaders_look(chain, folder):
    assert {path.name for path in folder.iterdir()} >= {"config.json", "tokenizer.json", "onnx"}
    assert not any(folder.glob("*.onnx"))
    assert {path.name for path in (folder / "onnx").iterdir()} == set(FILES.values())
    assert file_sha256(folder / "onnx/model.onnx") == file_sha256(chain.artifacts["onnx"].path / "model.onnx")
    own = chain.artifacts["int8"].path / "model.onnx"
    assert file_sha256(folder / "onnx/model_quantized.onnx") == file_sha256(own)  # the step's own, not another
    assert json.loads((folder / "config.json").read_text())["transformers.js_config"] == {"dtype": "q8"}


def test_each_graph_is_held_against_the_float_one(chain, folder):
    facts = chain.artifacts["bundled"].manifest.facts
    assert (facts["left_out"], facts["main"], list(facts["formats"])) == ({}, "int8", list(FILES))
    assert facts["parity"] == facts["formats"]["int8"]["parity"]
    task, tokenizer = chain.plan.task, load_tokenizer(folder)
    batch = tokenizer.pad(task.encode(task.validation, tokenizer))
    logits = {
        name: open_file(folder / item["file"], ["CPUExecutionProvider"], 1)(batch)
        for name, item in facts["formats"].items()
    }
    for name, item in facts["formats"].items():
        assert (folder / item["file"]).stat().st_size == item["size_bytes"]
        if name != "fp32":
            same = (logits[name].argmax(-1) == logits["fp32"].argmax(-1)).mean()
            assert (item["parity"]["rows"], item["parity"]["agreement"]) == (16, same)
            assert np.abs(logits[name] - logits["fp32"]).max() > 0


def test_the_main_graph_is_what_commands_take_and_what_counts_as_its_size(chain, folder):
    main = folder / "onnx/model_quantized.onnx"
    assert (format_of(folder), model_path(folder), weight_files(folder)) == ("onnx", main, [main])
    small = sum((folder / name).stat().st_size for name in ("config.json", "tokenizer.json", "tokenizer_config.json"))
    assert size_of(folder, "onnx") == main.stat().st_size + small
    ids = np.random.default_rng(0).integers(5, 60, (2, 9))
    batch = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    both = [load(path, Target(), "text-classification")(batch) for path in (folder, chain.artifacts["int8"].path)]
    assert (both[0] == both[1]).all()


def test_what_fails_its_gate_is_left_out_with_the_reason(chain, tmp_path, monkeypatch):
    made = bundle_onnx._graph

    def graph(name, *others):
        if name == "q4":
            raise CompressError("quantization collapsed: 51% of 16 rows keep their best class")
        return made(name, *others)

    monkeypatch.setattr(bundle_onnx, "_graph", graph)
    out, facts = run(chain, tmp_path, main="fp16", formats="fp32, fp16, q4")
    assert facts["left_out"] == {"q4": "quantization collapsed: 51% of 16 rows keep their best class"}
    assert sorted(path.name for path in (out / "onnx").iterdir()) == ["model.onnx", "model_fp16.onnx"]
    assert model_path(out) == out / "onnx/model_fp16.onnx"
    with pytest.raises(CompressError, match="the main graph, q4, cannot be shipped: quantization collapsed: 51%"):
        run(chain, tmp_path / "out", main="q4", formats=("fp32", "q4"))


def given(chain, tmp_path, folder, config):
    (tmp_path / "out").mkdir()
    return bundle_onnx.run(
        model=chain.artifacts["onnx"],
        config=config,
        context=context_of(chain, tmp_path),
        out=tmp_path / "out",
        q4=Artifact(folder, "0" * 64, "onnx"),
    ).manifest_facts()


def test_a_steps_own_graph_passes_the_gate_too(chain, tmp_path):
    import onnx

    other = tmp_path / "other"
    shutil.copytree(chain.artifacts["int8"].path, other)
    graph = onnx.load(str(other / "model.onnx"))
    (last,) = (node for node in graph.graph.node if "logits" in node.output)
    last.output[:] = ["turned"]
    graph.graph.node.append(onnx.helper.make_node("Neg", ["turned"], ["logits"]))
    (other / "model.onnx").unlink()
    onnx.save(graph, str(other / "model.onnx"))
    facts = given(chain, tmp_path, other, Config(formats=("fp32", "q4"), main="fp32"))
    assert facts["left_out"]["q4"].startswith("quantization collapsed: 0% of 16 rows keep their best class")
    assert list(facts["formats"]) == ["fp32"]


def test_a_steps_own_graph_with_another_tokenizer_is_refused(chain, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(chain.artifacts["int8"].path, other)
    shutil.copyfile(chain.artifacts["trimmed"].path / "tokenizer.json", other / "tokenizer.json")
    with pytest.raises(InputError, match="'q4' has another tokenizer than 'model'"):
        given(chain, tmp_path, other, Config())


def test_a_steps_own_graph_that_stayed_float_is_left_out(chain, tmp_path):
    facts = given(chain, tmp_path, chain.artifacts["onnx"].path, Config(formats=("fp32", "q4"), main="fp32"))
    assert facts["left_out"] == {"q4": "the step's own graph is no smaller than the float one"}


def test_a_model_that_is_quantized_is_refused(chain, tmp_path):
    with pytest.raises(InputError, match="the graph is quantized already"):
        bundle_onnx.run(
            model=chain.artifacts["int8"],
            config=Config(formats=("fp32",), main="fp32"),
            context=context_of(chain, tmp_path),
            out=tmp_path,
        )


def test_a_graph_of_a_format_that_is_left_out_is_refused(make_model, reviews):
    recipe = cut_after("bundled", make_model(), reviews)
    last = {**recipe.steps[-1].model_dump(), "formats": ["fp32"], "main": "fp32"}
    changed = recipe.model_copy(update={"steps": (*recipe.steps[:-1], Step.model_validate(last))})
    with pytest.raises(InputError, match="'int8' names a graph, and formats leaves int8 out: fp32"):
        make_plan(changed, Origin())


def test_large_weights_keep_a_file_of_their_own_under_the_graphs_name(chain, tmp_path):
    import onnx

    source = tmp_path / "large"
    shutil.copytree(chain.artifacts["onnx"].path, source)
    graph = onnx.load(str(source / "model.onnx"))
    onnx.save(graph, str(source / "model.onnx"), save_as_external_data=True, location="weights.bin")
    out = tmp_path / "out"
    out.mkdir()
    bundle_onnx.run(
        model=Artifact(source, "0" * 64, "onnx"),
        config=Config(formats=("fp32",), main="fp32"),
        context=context_of(chain, tmp_path),
        out=out,
    )
    assert weight_files(out) == [out / "onnx/model.onnx", out / "onnx/model.onnx_data"]
    assert check_folder(out) == ["onnx/model.onnx", "onnx/model.onnx_data"]
    told = json.loads((out / "config.json").read_text())["transformers.js_config"]
    assert told == {"dtype": "fp32", "use_external_data_format": {"model.onnx": 1}}


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"formats": "fp32, int4"}, "formats names 'int4'; there are fp32, fp16, int8, q4"),
        ({"formats": "fp32"}, "main is int8, which is not among formats: fp32"),
        ({"formats": ("int8", "int8")}, "formats names one twice"),
    ],
)
def test_formats_that_cannot_be_are_refused(settings, what):
    with pytest.raises(ValidationError, match=what):
        Config(**settings)


def test_a_folder_of_others_with_this_layout_is_read(folder, tmp_path):
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(folder / name, tmp_path / name)
    (tmp_path / "onnx").mkdir()
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "transformers.js_config": {"dtype": ["q8"]}}))
    for name in ("model_int8.onnx", "model.onnx"):
        shutil.copyfile(folder / "onnx/model.onnx", tmp_path / "onnx" / name)
    assert model_path(tmp_path) == tmp_path / layout_file("fp32")
    (tmp_path / "onnx/model.onnx").unlink()
    assert model_path(tmp_path) == tmp_path / "onnx/model_int8.onnx"  # the only one
    shutil.copyfile(folder / "onnx/model_q4.onnx", tmp_path / "onnx/model_q4.onnx")
    with pytest.raises(InputError, match=r"2 .onnx files, and none is called onnx/model.onnx"):
        model_path(tmp_path)
    (tmp_path / "model.safetensors").touch()
    assert (graphs_in(tmp_path), format_of(tmp_path)) == ([], "torch")


def test_a_link_out_of_the_folder_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "there")
    (tmp_path / "here" / "onnx").mkdir(parents=True)
    (tmp_path / "here/config.json").write_text("{}")
    (tmp_path / "here/onnx/model.onnx").symlink_to(tmp_path / "there/onnx/model.onnx")
    with pytest.raises(InputError, match="leads out of the model's folder"):
        check_folder(tmp_path / "here")
