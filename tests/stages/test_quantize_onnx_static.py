"""Static int8, against the float model and against what onnxruntime makes of it."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from compress.comparing.activations import activations, calibration_batches
from compress.errors import CompressError
from compress.graphs.divide import divide, readers
from compress.graphs.matrices import gemms_to_matmuls, matrices
from compress.graphs.read import read_float_graph, split_attention
from compress.models.tokenizer import copy_tokenizer
from compress.recipe.schema import Target
from compress.runtimes import load
from compress.stages import quantize_onnx_dynamic, quantize_onnx_static
from compress.store.artifacts import Artifact
from tests.chain import Chain, context_of
from tests.processors import SATURATES, reduced_or_not

pytestmark = pytest.mark.int8

TASK = "text-classification"
Config = quantize_onnx_static.Config


def quantized(source: Artifact, chain: Chain, out: Path, **settings: Any) -> onnx.ModelProto:
    out.mkdir(exist_ok=True)
    quantize_onnx_static.run(model=source, config=Config(**settings), context=context_of(chain, out), out=out)
    return onnx.load(str(out / "model.onnx"))


def batch() -> dict[str, np.ndarray]:
    ids = np.random.default_rng(2).integers(5, 60, (6, 20))
    mask = np.ones_like(ids)
    mask[1, 9:] = 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def error(folder: Path, source: Artifact) -> float:
    ours, expected = (load(path, Target(), TASK)(batch()) for path in (folder, source.path))
    return float(np.abs(ours - expected).max() / np.abs(expected).max())


def test_every_constant_matrix_and_table_becomes_int8_and_a_session_multiplies_integers(
    chain: Chain, tmp_path: Path
) -> None:
    written = onnx.load(str(chain.artifacts["static"].path / "model.onnx"))
    onnx.checker.check_model(written)
    kinds = Counter(node.op_type for node in written.graph.node)
    assert (matrices(written), kinds["Gemm"], kinds["Attention"]) == ([], 0, 0)
    floats = [
        tensor.name
        for tensor in written.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 2
    ]
    assert floats == []
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(
        str(chain.artifacts["static"].path / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    loaded = Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)
    assert loaded["MatMul"] == 0, loaded
    assert (loaded["MatMulIntegerToFloat"], loaded["QAttention"]) == (3 + 2, 1), loaded
    assert loaded["Add"] == 1, "the embeddings': biases are added by the products"


def test_codes_are_within_half_a_step_of_the_weights(chain: Chain) -> None:
    written = onnx.load(str(chain.artifacts["static"].path / "model.onnx"))
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in written.graph.initializer}
    source = read_float_graph(chain.artifacts["onnx"].path / "model.onnx")
    gemms_to_matmuls(source)
    for product in matrices(source, attention=True):
        codes, scale = constants[f"{product.name}_int8"].astype(np.float32), constants[f"{product.name}_scale"]
        assert np.abs(codes).max() == (64 if SATURATES else 127), "each column uses all of its bits"
        assert (np.abs(codes * scale - product.weights) <= 0.5001 * scale).all()


def test_both_forms_compute_the_same(chain: Chain, tmp_path: Path) -> None:
    source = chain.artifacts["onnx"]
    written = {form: quantized(source, chain, tmp_path / form, form=form) for form in ("operators", "qdq")}
    kinds = {form: Counter(node.op_type for node in graph.graph.node) for form, graph in written.items()}
    assert (kinds["operators"]["MatMulIntegerToFloat"], kinds["operators"]["QAttention"]) == (5, 1)
    assert (kinds["qdq"]["MatMul"], kinds["qdq"]["QAttention"], kinds["qdq"]["MultiHeadAttention"]) == (3 + 5, 0, 1)
    ours, others = (load(tmp_path / form, Target(), TASK)(batch()) for form in written)
    assert np.abs(ours - others).max() < 1e-4


@reduced_or_not
@pytest.mark.parametrize("calibration", ["minmax", "percentile", "entropy"])
def test_outputs_are_near_the_float_models(calibration: str, reduce_range: bool, chain: Chain, tmp_path: Path) -> None:
    source = chain.artifacts["onnx"]
    quantized(source, chain, tmp_path / "q", calibration=calibration, reduce_range=reduce_range)
    assert 0 < error(tmp_path / "q", source) < 0.1


def test_percentiles_lie_inside_of_all_numbers_and_more_rows_see_more(chain: Chain, tmp_path: Path) -> None:
    source = chain.artifacts["onnx"]
    settings: dict[str, dict[str, Any]] = {
        "all": {"calibration": "minmax"},
        "some": {"calibration": "percentile", "percentile": 90.0},
        "few": {"calibration": "minmax", "calibration_rows": 2},
    }
    ranges = {}
    for name, own in settings.items():
        written = quantized(source, chain, tmp_path / name, min_agreement=0, **own)
        ranges[name] = {
            tensor.name: float(numpy_helper.to_array(tensor))
            for tensor in written.graph.initializer
            if not tensor.dims and tensor.name.endswith("_scale")
        }
    assert all(ranges["some"][name] <= scale for name, scale in ranges["all"].items())
    assert sum(ranges["some"].values()) < 0.8 * sum(ranges["all"].values())
    assert all(ranges["few"][name] <= scale for name, scale in ranges["all"].items())


def test_padding_is_not_calibrated_on(chain: Chain, tmp_path: Path) -> None:
    graph = read_float_graph(chain.artifacts["onnx"].path / "model.onnx")
    split_attention(graph)
    name = matrices(graph)[0].reads
    padded = batch()
    (seen,) = activations(graph, [name], [padded])
    assert seen[name].shape == (6 * 20 - 11, 32)
    rows = []
    for row in range(6):
        length = int(padded["attention_mask"][row].sum())
        alone = {key: array[row : row + 1, :length] for key, array in padded.items()}
        rows.append(next(activations(graph, [name], [alone]))[name])
    assert np.allclose(seen[name], np.concatenate(rows), atol=1e-5)


def test_what_stands_for_a_whole_row_is_kept_where_there_are_as_many_tokens_as_channels(chain: Chain) -> None:
    graph = read_float_graph(chain.artifacts["onnx"].path / "model.onnx")
    gemms_to_matmuls(graph)
    pooled = matrices(graph)[-1].reads
    ids = np.random.default_rng(2).integers(5, 60, (3, 32))
    mask = np.ones_like(ids)
    mask[0, 20:] = 0
    full = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    (seen,) = activations(graph, [pooled], [full])
    assert seen[pooled].shape == (3, 32)


def with_outliers(chain: Chain, folder: Path, factor: float) -> Artifact:
    """A model that computes the same, but in whose norms some channels are many times larger.

    The matrices that read a norm are made up for it; the residual stream, which reads it too, gets it divided.
    """
    graph = read_float_graph(chain.artifacts["onnx"].path / "model.onnx")
    split_attention(graph)
    products = matrices(graph)
    scales = {name: np.ones(group[0].weights.shape[0]) for name, group in readers(graph, products).items()}
    for by in scales.values():
        by[::11] = 1 / factor
    divide(graph, products, scales)
    folder.mkdir()
    onnx.save(graph, str(folder / "model.onnx"))
    source = chain.artifacts["onnx"].path
    (folder / "config.json").write_bytes((source / "config.json").read_bytes())
    copy_tokenizer(source, folder)
    return Artifact(folder, "7" * 64, "onnx")


@pytest.mark.parametrize("stage", [quantize_onnx_static, quantize_onnx_dynamic])
def test_smoothing_computes_the_same_and_makes_up_for_outliers(stage: Any, chain: Chain, tmp_path: Path) -> None:
    spiky = with_outliers(chain, tmp_path / "spiky", 300.0)
    assert error(spiky.path, chain.artifacts["onnx"]) < 1e-4
    errors = {}
    for smooth in (None, 0.5):
        out = tmp_path / f"smooth-{smooth}"
        out.mkdir()
        settings = {"smooth": smooth, "min_agreement": 0, "embeddings": False}
        stage.run(model=spiky, config=stage.Config(**settings), context=context_of(chain, out), out=out)
        errors[smooth] = error(out, spiky)
    assert errors[0.5] < 0.2 * errors[None]


def test_numbers_that_are_not_finite_are_told(chain: Chain, tmp_path: Path) -> None:
    graph = read_float_graph(chain.artifacts["onnx"].path / "model.onnx")
    bias = next(tensor for tensor in graph.graph.initializer if len(tensor.dims) == 1 and tensor.dims[0] == 32)
    bias.CopyFrom(numpy_helper.from_array(np.full(32, np.inf, dtype=np.float32), bias.name))
    split_attention(graph)
    batches = calibration_batches(context_of(chain, tmp_path), _tokenizer(chain), 8)
    with pytest.raises(CompressError, match="numbers that are not finite, in"):
        list(activations(graph, [product.reads for product in matrices(graph)], batches))


def _tokenizer(chain: Chain) -> Any:
    from compress.models.tokenizer import load_tokenizer

    return load_tokenizer(chain.artifacts["onnx"].path)
