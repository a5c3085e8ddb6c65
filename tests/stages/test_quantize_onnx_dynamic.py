"""quantize_onnx_dynamic, against the weights that it rounds."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from pydantic import ValidationError

from compress.graphs import embedding_tables
from compress.graphs.matrices import gemms_to_matmuls, left_in_float
from compress.graphs.read import parameters_in, read_float_graph, split_attention
from compress.recipe.schema import Target
from compress.runtimes import load
from compress.stages import quantize_onnx_4bit, quantize_onnx_dynamic, quantize_onnx_static
from tests.chain import Chain, context_of, graph_of
from tests.processors import SATURATES

pytestmark = pytest.mark.int8

TASK = "text-classification"


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def test_int8_weights_are_within_half_a_step(chain: Chain) -> None:
    floats = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph_of(chain.artifacts["onnx"].path).graph.initializer
    }
    eights = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph_of(chain.artifacts["int8"].path).graph.initializer
    }
    checked = 0
    for name, quantized in eights.items():
        tensor = name.removesuffix("_int8").removesuffix("_rows")
        base = tensor.partition("_of_")[0]  # a Gemm's matrix is turned when it becomes a MatMul
        if not name.endswith("_int8") or base not in floats:
            continue
        scale = eights[f"{name.removesuffix('_int8')}_scale"]
        restored = quantized.astype(np.int32) * scale
        turned = floats[base].T if floats[base].ndim == 2 else floats[base]
        assert any(
            expected.shape == restored.shape and (np.abs(restored - expected) <= 0.5001 * scale + 1e-9).all()
            for expected in (floats[base], turned)
        ), base
        checked += 1
    assert checked >= 9


@pytest.mark.parametrize("stage", [quantize_onnx_dynamic, quantize_onnx_static])
@pytest.mark.parametrize(
    ("isa", "seven"),
    [([], True), (["avx2"], True), (["avx2", "avx512f"], True), (["avx2", "avx_vnni"], False), (["asimd"], False)],
)
def test_int8_uses_seven_bits_where_sums_saturate_unless_told_otherwise(
    stage: Any, isa: list[str], seven: bool
) -> None:
    settle = stage.STAGE.settle
    assert settle(stage.Config(), isa).reduce_range is seven
    for forced in (True, False):
        assert settle(stage.Config(reduce_range=forced), isa).reduce_range is forced


def test_uint8_keeps_its_eighth_bit_unless_told_otherwise() -> None:
    settle = quantize_onnx_dynamic.STAGE.settle
    assert settle is not None
    for isa in (["avx2"], ["avx2", "avx512_vnni"]):
        assert settle(quantize_onnx_dynamic.Config(weight_type="uint8"), isa).reduce_range is False
    assert settle(quantize_onnx_dynamic.Config(weight_type="uint8", reduce_range=True), ["avx2"]).reduce_range is True


@pytest.mark.parametrize(
    ("stage", "settings", "said"),
    [
        (quantize_onnx_dynamic, {"calibration_rows": 8}, "calibration_rows does nothing without smooth"),
        (
            quantize_onnx_dynamic,
            {"embedding_bits": 4, "embeddings": False},
            "embedding_bits does nothing with embeddings: false; leave it out, or take embeddings: true",
        ),
        (
            quantize_onnx_static,
            {"percentile": 99.0},
            "percentile does nothing with calibration: mse; leave it out, or take calibration: percentile",
        ),
    ],
)
def test_settings_that_do_nothing_are_refused(stage: Any, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        stage.Config(**settings)


def test_settings_that_do_something_are_taken() -> None:
    assert quantize_onnx_dynamic.Config(calibration_rows=8, smooth=0.5).calibration_rows == 8
    assert quantize_onnx_static.Config(calibration="percentile", percentile=99.0).percentile == 99


def test_what_this_machine_decides_stands_in_the_key(chain: Chain) -> None:
    for name in ("int8", "static"):
        assert chain.plan.step(name).identity.config["reduce_range"] is SATURATES


def test_seven_bits_are_used_where_they_are_asked_for(chain: Chain, tmp_path: Path) -> None:
    quantize_onnx_dynamic.run(
        model=chain.artifacts["onnx"],
        config=quantize_onnx_dynamic.Config(reduce_range=True),
        context=context_of(chain, tmp_path),
        out=tmp_path,
    )
    model = graph_of(tmp_path)
    weights = [
        numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 2 and "embeddings" not in tensor.name
    ]
    assert len(weights) == 6
    assert max(np.abs(weight.astype(int)).max() for weight in weights) <= 64
    assert (kinds(model)["DynamicQuantizeMatMul"], kinds(model)["QAttention"]) == (3 + 2, 1)
    assert kinds(model)["MatMul"] == 0


def test_unsigned_codes_give_the_products_of_signed_ones(chain: Chain, tmp_path: Path) -> None:
    outputs = []
    for kind in ("int8", "uint8"):
        out = tmp_path / kind
        out.mkdir()
        settings = quantize_onnx_dynamic.Config(weight_type=kind, reduce_range=True)
        quantize_onnx_dynamic.run(
            model=chain.artifacts["onnx"], config=settings, context=context_of(chain, tmp_path), out=out
        )
        ids = np.random.default_rng(1).integers(5, 60, (4, 20))
        batch = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        outputs.append(load(out, Target(), TASK)(batch))
    assert np.abs(outputs[0] - outputs[1]).max() < 1e-5
    assert {tensor.data_type for tensor in graph_of(tmp_path / "uint8").graph.initializer} >= {onnx.TensorProto.UINT8}


def test_split_attention_computes_the_same(chain: Chain, tmp_path: Path) -> None:
    source = chain.artifacts["onnx"].path / "model.onnx"
    model = read_float_graph(source)
    assert split_attention(model) == 1
    onnx.save(model, str(tmp_path / "model.onnx"))
    onnx.checker.check_model(str(tmp_path / "model.onnx"))
    before = load(source.parent, Target(), TASK)
    after = load(tmp_path, Target(), TASK)
    ids = np.random.default_rng(1).integers(5, 60, (4, 20))
    mask = np.ones_like(ids)
    mask[1, 11:] = 0
    mask[2, :5] = 0
    batch = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    assert np.abs(before(batch) - after(batch)).max() < 1e-5


@pytest.mark.parametrize("step", ["int8", "static", "int4"])
def test_nothing_that_can_be_rounded_is_left_in_float_unseen(step: str, chain: Chain) -> None:
    assert chain.artifacts[step].facts["left_in_float"] == []
    assert left_in_float(graph_of(chain.artifacts[step].path)) == []
    assert len(left_in_float(graph_of(chain.artifacts["onnx"].path))) == 3 + 1 + 3 + 2  # tables, attention, layer, head


def test_tables_that_are_not_quantized_are_told(chain: Chain, tmp_path: Path) -> None:
    for stage in (quantize_onnx_dynamic, quantize_onnx_static, quantize_onnx_4bit):
        out = tmp_path / stage.__name__
        out.mkdir()
        facts = stage.run(
            model=chain.artifacts["onnx"],
            config=stage.Config(embeddings=False),
            context=context_of(chain, tmp_path),
            out=out,
        ).manifest_facts()
        assert len(facts["left_in_float"]) == 3
        assert all("embeddings" in name for name in facts["left_in_float"])


def test_gemms_become_products_that_compute_the_same(chain: Chain, tmp_path: Path) -> None:
    source = chain.artifacts["onnx"].path / "model.onnx"
    model = read_float_graph(source)
    assert gemms_to_matmuls(model) == 2
    assert kinds(model)["Gemm"] == 0
    onnx.checker.check_model(model)
    onnx.save(model, str(tmp_path / "model.onnx"))
    ids = np.random.default_rng(1).integers(5, 60, (4, 20))
    batch = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    before, after = (load(folder, Target(), TASK)(batch) for folder in (source.parent, tmp_path))
    assert np.abs(before - after).max() < 1e-6


def test_int8_takes_embedding_tables_in_4_bits(chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_tables, "LARGE", 17)  # the table of segments has 2 rows
    facts = quantize_onnx_dynamic.run(
        model=chain.artifacts["onnx"],
        config=quantize_onnx_dynamic.Config(embedding_bits=4),
        context=context_of(chain, tmp_path),
        out=tmp_path,
    ).manifest_facts()
    found, whole = kinds(graph_of(tmp_path)), kinds(graph_of(chain.artifacts["int8"].path))
    assert (found["GatherBlockQuantized"], whole["GatherBlockQuantized"]) == (2, 0)
    assert found["DynamicQuantizeMatMul"] == whole["DynamicQuantizeMatMul"]
    assert facts["left_in_float"] == []
    assert facts["parity"]["agreement"] >= 0.8
    assert parameters_in(tmp_path / "model.onnx") == parameters_in(chain.artifacts["int8"].path / "model.onnx")
