"""ONNX graphs whose weights stand in other files: only those of their own folder are read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.errors import CompressError, InputError
from compress.formats import check_folder
from compress.graphs.read import check_external_data
from compress.recipe.schema import Target
from compress.runtimes import onnxruntime

BYTES = 64 * 64 * 4


def external(location: str, **more: Any) -> TensorProto:
    """A matrix whose numbers stand elsewhere."""
    tensor = TensorProto(name="weight", dims=[64, 64], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def value(name: str, shape: tuple[int, ...] = (1, 64), kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def in_graph(tensor: TensorProto) -> onnx.ModelProto:
    node = helper.make_node("MatMul", ["x", "weight"], ["y"])
    return model_of(helper.make_graph([node], "g", [value("x")], [value("y")], [tensor]))


def in_attribute(tensor: TensorProto) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Constant", [], ["weight"], value=tensor),
        helper.make_node("MatMul", ["x", "weight"], ["y"]),
    ]
    return model_of(helper.make_graph(nodes, "g", [value("x")], [value("y")]))


def in_subgraph(tensor: TensorProto) -> onnx.ModelProto:
    branch = helper.make_graph([helper.make_node("Identity", ["weight"], ["z"])], "b", [], [value("z")], [tensor])
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    return model_of(helper.make_graph([node], "g", [value("c", (), TensorProto.BOOL)], [value("y")]))


def in_function(tensor: TensorProto) -> onnx.ModelProto:
    own = in_attribute(tensor).graph.node
    function = helper.make_function("own", "F", ["x"], ["y"], own, [helper.make_opsetid("", 17)])
    graph = helper.make_graph([helper.make_node("F", ["x"], ["y"], domain="own")], "g", [value("x")], [value("y")])
    model = model_of(graph)
    model.functions.append(function)
    return model


def in_sparse(tensor: TensorProto) -> onnx.ModelProto:
    model = in_graph(numpy_helper.from_array(np.ones((64, 64), np.float32), "weight"))
    model.graph.sparse_initializer.add(values=tensor)
    return model


def model_of(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


PLACES = {
    "graph": in_graph,
    "attribute": in_attribute,
    "subgraph": in_subgraph,
    "function": in_function,
    "sparse": in_sparse,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    for file in (folder / "in.bin", folder / "sub" / "in.bin", tmp_path / "out.bin"):
        file.write_bytes(np.ones((64, 64), np.float32).tobytes())
    (folder / "link.bin").symlink_to(Path("..") / "out.bin")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "loop.bin").symlink_to("loop.bin")
    (folder / "inside.bin").symlink_to("in.bin")
    return folder


def save(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("location", ["in.bin", "./in.bin", "sub/in.bin", "inside.bin"])
def test_files_of_the_folder_are_read(folder: Path, place: str, location: str) -> None:
    path = save(PLACES[place](external(location)), folder)
    assert check_external_data(path) == [location.removeprefix("./")]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ("../out.bin", "outside of the model's folder"),
        ("sub/../../out.bin", "outside of the model's folder"),
        ("/etc/hosts", "outside of the model's folder"),
        ("C:in.bin", "outside of the model's folder"),
        ("..\\out.bin", "outside of the model's folder"),
        ("", "outside of the model's folder"),
        ("in.bin\0", "outside of the model's folder"),
        ("link.bin", "a link that leads out of the model's folder"),
        ("linked/out.bin", "a link that leads out of the model's folder"),
        ("loop.bin", "which is not there"),
        ("none.bin", "which is not there"),
        ("sub", "which is not there"),
        ("*/_ORT_MEM_ADDR_/*", "which is not there"),  # onnxruntime's mark for an address in its memory
    ],
)
def test_a_graph_that_leads_out_of_its_folder_is_refused(folder: Path, place: str, location: str, problem: str) -> None:
    path = save(PLACES[place](external(location)), folder)
    with pytest.raises(InputError) as caught:
        check_external_data(path)
    shown = location.replace("\0", "\\x00")
    assert caught.value.what == f"the graph's weights stand in '{shown}', {problem}"
    assert caught.value.where == str(path)
    assert "copy the graph with the weight files" in str(caught.value.fix)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"offset": -8}, "from byte -8 to 16,384, where the file has 16,384"),
        ({"offset": 0, "length": -1}, "from byte 0 to -1, where the file has 16,384"),
        ({"length": BYTES + 1}, "from byte 0 to 16,385, where the file has 16,384"),
        ({"offset": 1, "length": BYTES}, "from byte 1 to 16,385, where the file has 16,384"),
        ({"offset": 2**70}, "where the file has 16,384"),
        ({"offset": "0x10"}, "at a place that is no number"),
    ],
)
def test_bytes_that_the_file_does_not_have_are_refused(folder: Path, more: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        check_external_data(save(in_graph(external("in.bin", **more)), folder))
    assert problem in caught.value.what


@pytest.mark.parametrize("more", [{}, {"offset": 0}, {"offset": 0, "length": BYTES}, {"offset": BYTES, "length": 0}])
def test_bytes_that_the_file_has_are_let_through(folder: Path, more: dict[str, Any]) -> None:
    assert check_external_data(save(in_graph(external("in.bin", **more)), folder)) == ["in.bin"]


def test_a_place_that_is_said_twice_is_refused(folder: Path) -> None:
    tensor = external("in.bin")
    tensor.external_data.add(key="location", value="../out.bin")
    tensor.external_data.add(key="location", value="in.bin")
    with pytest.raises(InputError, match="or elsewhere: that is said twice"):
        check_external_data(save(in_graph(tensor), folder))


def test_weights_in_the_hubs_cache_are_read(folder: Path) -> None:
    snapshot = folder / "models--o--n" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    blobs = snapshot.parents[1] / "blobs"
    blobs.mkdir()
    (blobs / "1").write_bytes(in_graph(external("model.onnx_data")).SerializeToString())
    (blobs / "2").write_bytes((folder / "in.bin").read_bytes())
    for name, blob in (("model.onnx", "1"), ("model.onnx_data", "2")):
        (snapshot / name).symlink_to(Path("..") / ".." / "blobs" / blob)
    assert check_folder(snapshot) == ["model.onnx_data"]
    predict = onnxruntime.load(snapshot, Target(), "", trust_remote_code=False, exclusive=False)
    assert predict({"x": np.ones((1, 64), np.float32)})[0, 0] == 64
    (snapshot / "model.onnx_data").unlink()
    (snapshot / "model.onnx_data").symlink_to(folder / "in.bin")
    with pytest.raises(InputError, match=r"'model\.onnx_data' is a link that leads out of the model's folder"):
        check_folder(snapshot)


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"not a protobuf", "not a readable ONNX file (14 bytes)"),
        (b"", "the ONNX file holds no graph"),
        (b"\x0a" * 100_001, "not a readable ONNX file (100,001 bytes)"),
        (bytes(range(240, 256)), "not a readable ONNX file (16 bytes)"),
    ],
    ids=["text", "empty", "nested", "bytes"],
)
def test_what_is_no_onnx_is_one_clear_error(folder: Path, raw: bytes, what: str) -> None:
    (folder / "model.onnx").write_bytes(raw)
    with pytest.raises(InputError) as caught:
        check_folder(folder)
    assert caught.value.what.startswith(what)


def test_a_compiled_engine_is_refused(folder: Path) -> None:
    node = helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft", ep_cache_context="../engine.bin")
    model = model_of(helper.make_graph([node], "g", [value("x")], [value("y")]))
    with pytest.raises(InputError, match=r"holds a compiled engine \(EPContext\), which is code"):
        check_external_data(save(model, folder))


def test_an_operator_of_a_foreign_library_does_not_load(folder: Path) -> None:
    node = helper.make_node("Evil", ["x"], ["y"], domain="evil.ops")
    model = model_of(helper.make_graph([node], "g", [value("x")], [value("y")]))
    model.opset_import.append(helper.make_opsetid("evil.ops", 1))
    save(model, folder)
    with pytest.raises(CompressError, match=r"onnxruntime cannot load the model: .*evil\.ops.*Evil"):
        onnxruntime.load(folder, Target(), "", trust_remote_code=False, exclusive=False)


@pytest.fixture
def foreign(folder: Path, make_model: Callable[..., Path]) -> Path:
    """An ONNX model in whose folder all else is as it should be."""
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_bytes((make_model() / name).read_bytes())
    save(in_graph(external("../out.bin")), folder)
    return folder


@pytest.mark.parametrize("command", ["plan", "bench", "compare", "doctor"])
def test_every_command_refuses_it(
    command: str, foreign: Path, reviews: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from compress.cli import main

    test = reviews / "test.csv"
    recipe = foreign.parent / "r.yaml"
    recipe.write_text(
        f"name: r\ntask: {{test: {test}}}\nsteps: [{{name: q, stage: quantize_onnx_dynamic, model: model}}]"
    )
    arguments = {
        "plan": [recipe],
        "bench": [foreign, "--data", test],
        "compare": [foreign, foreign, "--data", test],
        "doctor": [foreign],
    }[command]
    with pytest.raises(SystemExit) as exit_:
        main([command, *map(str, arguments)])
    error = capsys.readouterr().err
    assert exit_.value.code == 2, error
    assert "error: the graph's weights stand in '../out.bin', outside of the model's folder\n" in error
