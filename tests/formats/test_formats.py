"""What is of which format, what it is called, and how many weights it holds."""

import json
import shutil
from pathlib import Path

import onnx
import pytest
from safetensors.numpy import load_file

from compress import formats
from compress.errors import InputError
from compress.formats import check_folder, find, format_of, runs, unfit, why_not
from compress.recipe.schema import Target
from compress.runtimes.torch import OWN_PRECISION
from tests.chain import Chain

FORMATS = {"onnx": ("onnx", "int8"), "torch": ("teacher", "student", "pruned"), "torch_bnb": ("nf4",)}


def put(folder: Path, config: dict | None = None, *names: str) -> Path:
    """A folder with a config.json and empty files of these names."""
    folder.mkdir(parents=True, exist_ok=True)
    if config is not None:
        (folder / "config.json").write_text(json.dumps({"model_type": "bert", **config}))
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def test_a_format_is_a_file() -> None:
    assert formats.names() == ["onnx", "torch", "torch_bnb"]
    assert [find(name).title for name in formats.names()] == ["ONNX", "PyTorch", "PyTorch with bitsandbytes weights"]
    with pytest.raises(InputError, match="unknown format 'onx'") as refusal:
        find("onx")
    assert refusal.value.fix == "did you mean 'onnx'? accepted: onnx, torch, torch_bnb"


def test_each_recognises_what_this_tool_writes_of_it_and_nothing_else(chain: Chain) -> None:
    for name, steps in FORMATS.items():
        for step in steps:
            artifact = chain.artifacts[step]
            assert [other for other in formats.names() if find(other).recognises(artifact.path)] == [name], step
            assert format_of(artifact.path) == artifact.format == name


@pytest.mark.parametrize(
    ("config", "names", "known"),
    [
        ({}, ["model.safetensors"], "torch"),
        ({}, [], "torch"),
        ({"quantization_config": {}}, ["model.safetensors"], "torch"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, ["model.safetensors"], "torch_bnb"),
        ({}, ["model.onnx"], "onnx"),
        ({}, ["model.onnx", "model.safetensors"], "onnx"),
        ({}, ["onnx/model.onnx"], "onnx"),
        ({}, ["onnx/model.onnx", "model.safetensors"], "torch"),  # a hub's repository, with an export beside
        ({"quantization_config": {"quant_method": "gptq"}}, ["model.onnx"], "onnx"),
        (None, ["model.onnx"], "onnx"),
    ],
)
def test_of_each_folder_one_recognises_it(config: dict | None, names: list[str], known: str, tmp_path: Path) -> None:
    folder = put(tmp_path / "model", config, *names)
    assert [name for name in formats.names() if find(name).recognises(folder)] == [known]
    assert format_of(folder) == known


def test_a_file_that_a_person_names_has_a_format_whatever_lies_beside_it(tmp_path: Path) -> None:
    folder = put(tmp_path / "model", {}, "onnx/model.onnx", "model.safetensors")
    assert (format_of(folder), format_of(folder / "onnx/model.onnx")) == ("torch", "onnx")
    with pytest.raises(InputError, match="the model is of no known format") as refusal:
        format_of(folder / "model.safetensors")
    assert refusal.value.fix == "known are ONNX, PyTorch, PyTorch with bitsandbytes weights"


def test_what_no_format_recognises_is_told_by_the_one_that_it_is_like(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="quantized by 'gptq', which is not known here") as refusal:
        format_of(put(tmp_path / "gptq", {"quantization_config": {"quant_method": "gptq"}}))
    assert refusal.value.fix == (
        "take the float model that it was made from; of quantized torch weights, only bitsandbytes' are read"
    )
    with pytest.raises(InputError, match=r"config\.json"):
        format_of(put(tmp_path / "empty"))


def test_weights_are_counted_without_loading_the_model(chain: Chain) -> None:
    teacher, graph, nf4 = (chain.artifacts[name] for name in ("teacher", "onnx", "nf4"))
    floats = sum(array.size for array in load_file(teacher.path / "model.safetensors").values())
    assert find("torch").parameters(teacher.path) == floats
    assert find("torch_bnb").parameters(nf4.path) == find("torch").parameters(Path(_source(chain, "nf4")))
    written = sum(
        int(onnx.numpy_helper.to_array(item).size)
        for item in onnx.load(str(graph.path / "model.onnx")).graph.initializer
        if item.data_type == onnx.TensorProto.FLOAT and item.dims
    )
    assert 0.95 * written <= find("onnx").parameters(graph.path) <= 1.05 * written


def _source(chain: Chain, step: str) -> str:
    """The folder of the model that a step has read."""
    read = chain.plan.step(step).base
    return str(chain.artifacts[str(read)].path)


def test_a_folder_is_refused_by_its_format_with_the_files_that_it_reads_beside(tmp_path: Path, chain: Chain) -> None:
    folder = Path(shutil.copytree(chain.artifacts["onnx"].path, tmp_path / "model"))
    assert check_folder(folder) == []
    (folder / "onnx").mkdir()
    (folder / "model.onnx").rename(folder / "onnx/model.onnx")
    assert check_folder(folder) == ["onnx/model.onnx"]
    assert check_folder(chain.artifacts["teacher"].path) == []


@pytest.mark.parametrize(
    ("name", "target", "reason"),
    [
        ("torch", {"runtime": "torch", "precision": "bf16"}, None),
        ("torch_bnb", {"runtime": "torch"}, None),
        ("torch_bnb", {"runtime": "torch", "precision": "bf16"}, OWN_PRECISION),
        ("torch_bnb", {"runtime": "torch_compile"}, "the runtime 'torch_compile' does not run the format 'torch_bnb'"),
        ("onnx", {"runtime": "torch", "precision": "bf16"}, "the runtime 'torch' does not run the format 'onnx'"),
    ],
)
def test_a_format_refuses_targets_as_a_runtime_does(name: str, target: dict[str, str], reason: str | None) -> None:
    asked = Target.model_validate(target)
    assert unfit(name, asked) == reason
    assert runs(name, asked) is (reason in {None, OWN_PRECISION})
    if reason is not None:
        assert why_not(name, asked) == reason


def test_what_runs_a_format_where_nobody_names_a_runtime_takes_it() -> None:
    for name in formats.names():
        assert runs(name, Target(runtime=find(name).runtime)), name
