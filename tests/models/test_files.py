"""Which files of a model's folder count as its weights and its size."""

import json
import shutil
from pathlib import Path

import onnx
import pytest
from safetensors.numpy import load_file, save_file

from compress.errors import InputError
from compress.files.whole import folder_bytes
from compress.formats import find, size_of
from tests.chain import Chain


def copy_of(chain: Chain, name: str, folder: Path) -> Path:
    path: Path = shutil.copytree(chain.artifacts[name].path, folder, copy_function=shutil.copyfile)
    return path


def pad(folder: Path) -> None:
    """What a clone of a hub's repository holds besides the model."""
    for name in (".git/pack", "onnx/model_fp16.onnx", "pytorch_model.bin", "tf_model.h5", "example.json", "notes.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(bytes(100_000))


def test_of_what_this_tool_makes_every_file_counts(chain: Chain) -> None:
    for name in chain.artifacts.keys() - {"bundled"}:  # it holds several graphs, of which one is taken
        artifact = chain.artifacts[name]
        assert size_of(artifact.path, artifact.format) == folder_bytes(artifact.path), name


@pytest.mark.parametrize("name", ["teacher", "onnx", "int8", "nf4"])
def test_what_no_runtime_reads_does_not_count(name: str, chain: Chain, tmp_path: Path) -> None:
    artifact = chain.artifacts[name]
    copy = copy_of(chain, name, tmp_path / "copy")
    pad(copy)
    assert size_of(copy, artifact.format) == folder_bytes(artifact.path)
    assert find(artifact.format).parameters(copy) == find(artifact.format).parameters(artifact.path)


def test_another_graph_beside_model_onnx_does_not_count(chain: Chain, tmp_path: Path) -> None:
    copy = copy_of(chain, "onnx", tmp_path / "copy")
    shutil.copyfile(copy / "model.onnx", copy / "model_quantized.onnx")
    shutil.copyfile(chain.artifacts["teacher"].path / "model.safetensors", copy / "model.safetensors")
    assert size_of(copy, "onnx") == folder_bytes(chain.artifacts["onnx"].path)
    assert find("onnx").parameters(copy) == find("onnx").parameters(chain.artifacts["onnx"].path)


def test_a_graphs_weights_in_other_files_count_whatever_their_names(chain: Chain, tmp_path: Path) -> None:
    copy = copy_of(chain, "onnx", tmp_path / "copy")
    whole = (copy / "model.onnx").stat().st_size
    model = onnx.load(str(copy / "model.onnx"))
    (copy / "model.onnx").unlink()
    pad(copy)
    (copy / "notes.txt").unlink()
    onnx.save(model, str(copy / "model.onnx"), save_as_external_data=True, location="notes.txt", size_threshold=64)
    assert find("onnx").weight_files(copy) == [copy / "model.onnx", copy / "notes.txt"]
    rest = folder_bytes(chain.artifacts["onnx"].path) - whole
    weights = sum(path.stat().st_size for path in find("onnx").weight_files(copy))
    assert weights > 0.9 * whole
    assert size_of(copy, "onnx") == weights + rest


def test_shards_count_by_their_index_and_a_whole_file_before_them(chain: Chain, tmp_path: Path) -> None:
    copy = copy_of(chain, "teacher", tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    names = sorted(weights)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for shard, chosen in shards.items():
        save_file({name: weights[name] for name in chosen}, copy / shard)
    index = {"weight_map": {name: shard for shard, chosen in shards.items() for name in chosen}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    assert find("torch").weight_files(copy) == [copy / "model.safetensors"]  # as transformers takes them
    assert size_of(copy, "torch") == folder_bytes(chain.artifacts["teacher"].path)
    (copy / "model.safetensors").unlink()
    save_file(weights, copy / "old.safetensors")
    assert find("torch").weight_files(copy) == [copy / "a.safetensors", copy / "b.safetensors"]
    assert size_of(copy, "torch") == folder_bytes(copy) - (copy / "old.safetensors").stat().st_size
    assert find("torch").parameters(copy) == find("torch").parameters(chain.artifacts["teacher"].path)


@pytest.mark.parametrize("artifact_format", ["onnx", "torch"])
def test_without_weights_there_is_no_size(artifact_format: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        size_of(tmp_path, artifact_format)
