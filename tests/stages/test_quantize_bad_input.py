"""What the quantizers cannot take is one clear error, before anything is written."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.cli import main
from compress.comparing.activations import calibration_batches
from compress.errors import CompressError, InputError
from compress.graphs.read import read_float_graph
from compress.models.tokenizer import copy_tokenizer, load_tokenizer
from compress.stages import quantize_onnx_4bit, quantize_onnx_dynamic, quantize_onnx_static
from compress.store.artifacts import Artifact
from compress.tasks import load_task
from compress.trials import trial
from tests.chain import Chain, context_of, graph_of
from tests.conftest import write_reviews

WAYS = ("onnx_dynamic", "onnx_static", "onnx_4bit", "onnx_fp16")


def opset_of(model: onnx.ModelProto) -> Any:
    return next(item for item in model.opset_import if item.domain == "")


def too_new(model: onnx.ModelProto) -> None:
    opset_of(model).version = 99


def too_old(model: onnx.ModelProto) -> None:
    opset_of(model).version = 6


def foreign_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "own.ops"
    model.opset_import.append(helper.make_opsetid("own.ops", 1))


def qlinear(model: onnx.ModelProto) -> None:
    """A product of numbers that are integers already, beside the model."""
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.ones((4, 4), dtype=np.uint8), "q"),
            numpy_helper.from_array(np.array(0.1, dtype=np.float32), "q_scale"),
            numpy_helper.from_array(np.array(0, dtype=np.uint8), "q_zero"),
        ]
    )
    inputs = ["q", "q_scale", "q_zero"]
    model.graph.node.append(helper.make_node("QLinearMatMul", inputs * 2 + inputs[1:], ["q_product"], name="q"))
    model.graph.output.append(helper.make_tensor_value_info("q_product", TensorProto.UINT8, [4, 4]))


def weights_dequantized(model: onnx.ModelProto) -> None:
    """Weights in int8, which are made floats again before any arithmetic."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    table = next(node.input[0] for node in model.graph.node if node.op_type == "Gather" and node.input[0] in constants)
    values = numpy_helper.to_array(constants[table])
    scale = np.abs(values).max() / 127
    codes = numpy_helper.from_array(np.rint(values / scale).astype(np.int8), f"{table}_codes")
    constants[table].CopyFrom(codes)
    model.graph.initializer.append(numpy_helper.from_array(np.array(scale, dtype=np.float32), "scale"))
    model.graph.node.insert(0, helper.make_node("DequantizeLinear", [f"{table}_codes", "scale"], [table]))


def in_halves(model: onnx.ModelProto) -> onnx.ModelProto:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(model, keep_io_types=True)


def always_the_same(model: onnx.ModelProto) -> None:
    head = next(tensor for tensor in model.graph.initializer if tensor.name.endswith("classifier.weight"))
    head.CopyFrom(numpy_helper.from_array(np.zeros(tuple(head.dims), dtype=np.float32), head.name))


def without_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """Counts tokens, and multiplies nothing."""
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Concat", ["mean", "mean"], ["logits"], axis=1),
    ]
    graph = helper.make_graph(nodes, "g", list(model.graph.input)[:1], list(model.graph.output))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def wants_places(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("position_ids", TensorProto.INT64, ["batch", "sequence"]))
    model.graph.node.append(helper.make_node("Identity", ["position_ids"], ["places"]))
    model.graph.output.append(helper.make_tensor_value_info("places", TensorProto.INT64, ["batch", "sequence"]))


def of_one_length(model: onnx.ModelProto) -> None:
    for item in model.graph.input:
        item.type.tensor_type.shape.dim[1].dim_value = 32


def without_head(model: onnx.ModelProto) -> None:
    """Gives hidden states, one a token."""
    norm = [node for node in model.graph.node if node.op_type == "LayerNormalization"][-1]
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(norm.output[0], TensorProto.FLOAT, None))


BAD: dict[str, tuple[Callable[[onnx.ModelProto], onnx.ModelProto | None], str, str]] = {
    "too new": (too_new, "cannot load the graph: ", "an opset that this onnxruntime knows"),
    "too old": (too_old, "cannot load the graph: ", "an opset that this onnxruntime knows"),
    "foreign operator": (foreign_operator, "cannot load the graph: ", "with operators and an opset"),
    "QLinear": (qlinear, "the graph is quantized already (QLinearMatMul)", "start from the float export"),
    "dequantized": (
        weights_dequantized,
        "the graph is quantized already (DequantizeLinear)",
        "start from the float export",
    ),
    "halves": (in_halves, "the graph computes in float16", "start from the float32 export"),
    "constant": (always_the_same, "the float model says the same of all 8 rows", "check its training and its export"),
    "no products": (without_products, "nothing to quantize: the graph has no matrix product", "float32 export"),
    "places": (wants_places, "the graph asks for 'position_ids'; a text gives input_ids", "export it with inputs"),
    "one length": (of_one_length, "the graph's input 'input_ids' is bound to 32 tokens a row", "dynamic_axes"),
    "no head": (without_head, "logits of (batch, classes) are needed", "with its task's head"),
}


def by_turns(kinds: Iterable[str]) -> list[Any]:
    """Each kind by two ways by default, and each way by half of the kinds: all ways ask one and the same check."""
    return [
        pytest.param(kind, how, marks=[] if (number + turn) % len(WAYS) < 2 else pytest.mark.slow)
        for number, kind in enumerate(kinds)
        for turn, how in enumerate(WAYS)
    ]


@pytest.fixture(autouse=True)
def _tried_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """These graphs do no harm: they are tried in this process. That another one is started is held elsewhere."""

    def try_here(job: Mapping[str, Any], path: Path, *_: Any) -> None:
        try:
            trial._call_graph(Path(job["graph"]), job["batches"], job["seconds"], lambda _: None)
        except CompressError as error:
            raise InputError(error.what, where=error.where or str(path), fix=error.fix) from error

    monkeypatch.setattr(trial, "_try", try_here)


@pytest.fixture
def place(chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a model that can be quantized, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "model"
    folder.mkdir()
    source = chain.artifacts["onnx"].path
    for name in ("model.onnx", "config.json"):
        shutil.copyfile(source / name, folder / name)
    copy_tokenizer(source, folder)
    return folder


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str, str]]:
    """What a command says that fails for its input: one error of three parts; nothing is kept, made or half-made."""

    def refuse(*arguments: object) -> tuple[str, str, str]:
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert exit_.value.code == 2, said.err
        assert said.out == ""
        assert ("\n" + said.err).count("\nerror: ") == 1
        assert "Traceback" not in said.err
        what, where, fix = said.err[("\n" + said.err).index("\nerror: ") :].strip().splitlines()
        assert where.startswith("  where: ")
        assert fix.startswith("  fix:   ")
        assert list(Path("runs").rglob("*.onnx*")) == []
        assert not Path("out").exists()
        return what, where, fix

    return refuse


@pytest.mark.int8
@pytest.mark.parametrize(("kind", "how"), by_turns(BAD))
def test_a_graph_that_cannot_be_quantized_is_one_clear_error(
    kind: str, how: str, place: Path, refused: Callable[..., tuple[str, str, str]], reviews: Path
) -> None:
    spoil, expected, remedy = BAD[kind]
    model = graph_of(place)
    onnx.save(spoil(model) or model, str(place / "model.onnx"))
    rows = ["--train", reviews / "train.csv"] if how == "onnx_static" else []
    what, where, fix = refused("quantize", place, "--how", how, "--out", "out", *rows)
    assert (expected if rows == [] else expected.replace("8 rows", "")) in what
    assert str(place) in where
    assert remedy in fix


@pytest.mark.int8
@pytest.mark.parametrize(("step", "how"), by_turns(["int8", "static", "int4", "half"]))
def test_what_was_quantized_here_is_not_quantized_again(
    step: str, how: str, chain: Chain, place: Path, refused: Callable[..., tuple[str, str, str]], reviews: Path
) -> None:
    rows = ["--train", reviews / "train.csv"] if how == "onnx_static" else []
    what, where, _ = refused("quantize", chain.artifacts[step].path, "--how", how, "--out", "out", *rows)
    assert ("computes in float16" if step == "half" else "is quantized already (") in what
    assert str(chain.artifacts[step].path) in where


@pytest.mark.parametrize("how", WAYS)
def test_weights_of_bitsandbytes_are_no_graph(
    how: str, chain: Chain, place: Path, refused: Callable[..., tuple[str, str, str]], reviews: Path
) -> None:
    rows = ["--train", reviews / "train.csv"] if how == "onnx_static" else []
    what, _, fix = refused("quantize", chain.artifacts["nf4"].path, "--how", how, "--out", "out", *rows)
    assert "reads format 'onnx', but" in what
    assert "gives 'torch_bnb'" in what
    assert "bitsandbytes weights neither export nor train further" in fix


def keep_weights_beside(folder: Path) -> None:
    onnx.save(graph_of(folder), str(folder / "model.onnx"), save_as_external_data=True, location="weights.bin")
    assert (folder / "weights.bin").stat().st_size > 10_000


@pytest.mark.parametrize("how", WAYS)
def test_a_missing_file_of_weights_is_told(
    how: str, place: Path, refused: Callable[..., tuple[str, str, str]], reviews: Path
) -> None:
    keep_weights_beside(place)
    (place / "weights.bin").unlink()
    rows = ["--train", reviews / "train.csv"] if how == "onnx_static" else []
    what, where, fix = refused("quantize", place, "--how", how, "--out", "out", *rows)
    assert "the graph's weights stand in 'weights.bin', which is not there" in what
    assert str(place / "model.onnx") in where
    assert "copy the graph with the weight files" in fix


@pytest.mark.int8
@pytest.mark.parametrize("how", WAYS)
def test_weights_in_a_file_are_quantized(
    how: str, place: Path, reviews: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_weights_beside(place)
    with pytest.raises(SystemExit) as exit_:
        main(["quantize", str(place), "--how", how, "--out", "out", "--train", str(reviews / "train.csv")])
    assert exit_.value.code == 0, capsys.readouterr().err
    made = sorted(path.name for path in Path("out").iterdir())
    assert "model.onnx" in made
    assert "weights.bin" not in made
    assert Path("out/model.onnx").stat().st_size < 0.7 * (place / "weights.bin").stat().st_size + 30_000


def two_thirds_leaked(reviews: Path, folder: Path) -> tuple[Path, Path]:
    """Training rows, and test rows of which most also stand there."""
    train = folder / "train.csv"
    shutil.copyfile(reviews / "train.csv", train)
    test = folder / "test.csv"
    lines = train.read_text().splitlines()
    test.write_text("\n".join(lines[:49]) + "\n")
    return train, test


@pytest.mark.parametrize("how", ["onnx_static", "onnx_4bit --method gptq", "onnx_dynamic --smooth 0.5"])
def test_nothing_is_calibrated_on_rows_of_the_test(
    how: str, place: Path, reviews: Path, refused: Callable[..., tuple[str, str, str]]
) -> None:
    rows = ["--train", reviews / "train.csv", "--test", reviews / "train.csv", "--max-length", "32"]
    way = ["--how", *how.split()]
    what, _, fix = refused("quantize", place, *way, "--out", "out", *rows)
    assert "64 of 64 test rows also stand in train" in what
    assert "task.overlap: drop" in fix
    what, _where, fix = refused("quantize", place, *way, "--out", "out", *rows, "--overlap", "allow")
    assert "training rows also stand in test, so none is left to calibrate on" in what
    assert "give test rows of their own" in fix


def test_rows_that_also_stand_in_test_are_left_out_where_they_are_allowed(
    chain: Chain, reviews: Path, tmp_path: Path
) -> None:
    from compress.data.sources import Sources
    from compress.recipe.validation import Origin

    train, test = two_thirds_leaked(reviews, tmp_path)
    spec = chain.plan.task.spec.model_copy(update={"train": str(train), "test": str(test), "overlap": "allow"})
    task = load_task(spec, Sources(tmp_path, {}, False, lambda _: None).table, 0, Origin())
    assert task.overlap == 48
    tokenizer = load_tokenizer(chain.artifacts["onnx"].path)
    context = replace(context_of(chain, tmp_path), task=task)
    seen = sum(len(batch["input_ids"]) for batch in calibration_batches(context, tokenizer, 1000))
    apart = set(task.texts(task.train)[0]) - set(task.texts(task.test)[0])
    assert seen == len(apart)
    assert 0 < seen < len(task.train) / 2


def test_other_rows_of_the_test_make_another_calibration(chain: Chain, reviews: Path, tmp_path: Path) -> None:
    from compress.data.sources import Sources
    from compress.recipe.validation import Origin

    train, test = two_thirds_leaked(reviews, tmp_path)
    apart = write_reviews(tmp_path / "apart.csv", 16, seed=9)
    keys = {}
    for overlap, rows in (("allow", test), ("allow", apart), ("refuse", apart)):
        spec = chain.plan.task.spec.model_copy(update={"train": str(train), "test": str(rows), "overlap": overlap})
        keys[overlap, rows] = load_task(spec, Sources(tmp_path, {}, False, lambda _: None).table, 0, Origin()).train_key
    assert keys["allow", apart] == keys["refuse", apart]
    assert keys["allow", test] != keys["allow", apart]


def test_a_folder_without_a_graph_is_no_onnx_model(place: Path, refused: Callable[..., tuple[str, str, str]]) -> None:
    (place / "model.onnx").write_bytes(b"not a graph")
    what, where, _ = refused("quantize", place, "--out", "out")
    assert "not a readable ONNX file (11 bytes)" in what
    assert "model.onnx" in where


def test_all_errors_of_a_graph_are_input_errors() -> None:
    from compress.graphs.quantizable import check_quantizable

    with pytest.raises(InputError, match="nothing to quantize"):
        check_quantizable(onnx.ModelProto(), Path("model.onnx"))


@pytest.mark.int8
@pytest.mark.parametrize("stage", [quantize_onnx_dynamic, quantize_onnx_4bit])
def test_a_quantized_graph_is_not_quantized_again(stage: Any, chain: Chain, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="quantized already"):
        stage.run(
            model=chain.artifacts["int8"],
            config=stage.Config(),
            context=context_of(chain, tmp_path),
            out=tmp_path,
        )


def test_weights_that_stand_in_a_file_are_read_and_missed(chain: Chain, tmp_path: Path) -> None:
    model = graph_of(chain.artifacts["onnx"].path)
    path = tmp_path / "model.onnx"
    onnx.save(model, str(path), save_as_external_data=True, location="weights.bin")
    assert {tensor.name for tensor in read_float_graph(path).graph.initializer if tensor.raw_data}
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(InputError, match=r"weights stand in 'weights.bin', which is not there"):
        read_float_graph(path)


def test_operators_that_are_too_old_are_refused_with_what_is_needed(chain: Chain, tmp_path: Path) -> None:
    model = graph_of(chain.artifacts["onnx"].path)
    next(item for item in model.opset_import if item.domain == "").version = 12
    onnx.save(model, str(tmp_path / "model.onnx"))
    with pytest.raises(InputError, match=r"cannot load the graph: .*invalid model") as caught:  # its nodes are newer
        quantize_onnx_static.run(
            model=Artifact(tmp_path, "9" * 64, "onnx"),
            config=quantize_onnx_static.Config(),
            context=context_of(chain, tmp_path),
            out=tmp_path,
        )
    assert "export it again, with operators and an opset" in str(caught.value.fix)
