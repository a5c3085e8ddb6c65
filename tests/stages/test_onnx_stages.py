"""export_onnx and the ONNX quantizers, against oracles."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from compress.context import Rehearsal
from compress.errors import CompressError, InputError
from compress.models import tables
from compress.models.architectures import Shape, read_shape
from compress.models.config_file import read_config
from compress.models.load import load_model, save_model
from compress.models.matrices import gemms_to_matmuls, left_in_float, matrices
from compress.models.onnx_graph import parameters_in, read_float_graph, split_attention
from compress.models.parameters import count_parameters
from compress.models.tokenizer import copy_tokenizer, load_tokenizer
from compress.planning import make_plan
from compress.processor import instruction_sets, saturates
from compress.recipe import Recipe, Target
from compress.runner import run_plan
from compress.runtimes import load, parity
from compress.runtimes.blame import first_to_leave
from compress.stages import export_onnx, quantize_onnx_4bit, quantize_onnx_dynamic, quantize_onnx_static
from compress.store import Artifact
from compress.validation import Origin
from tests.chain import Chain, Silent, chain_recipe, context_of

TASK = "text-classification"


def graph_of(folder: Path) -> onnx.ModelProto:
    return onnx.load(str(folder / "model.onnx"))


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "electra", "modernbert"])
def test_attention_fuses_in_every_layer_of_unevenly_pruned_models(
    family: str, uneven: Callable[[str], Artifact], chain: Chain, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    facts = export_onnx.run(
        model=uneven(family), config=export_onnx.Config(), context=context_of(chain, tmp_path), out=out
    )
    operator = "MultiHeadAttention" if family == "modernbert" else "Attention"
    assert facts["fused"][operator] == 2
    attentions = [node for node in graph_of(out).graph.node if node.op_type == operator]
    assert [{item.name: item.i for item in node.attribute}["num_heads"] for node in attentions] == [1, 3]
    assert kinds(graph_of(out))["Softmax"] == 0
    assert facts["parity"]["max_abs_difference"] < 1e-5
    assert facts["parity"]["rows"] == 17


@pytest.mark.parametrize("family", ["albert", "deberta-v2"])
def test_architectures_that_are_not_known_export_without_fusion_and_equal_torch(
    family: str, make_model: Callable[..., Path], chain: Chain, tmp_path: Path
) -> None:
    folder = tmp_path / family
    save_model(load_model(make_model(family), TASK, labels=("bad", "good")), folder)
    copy_tokenizer(make_model(family), folder)
    model = Artifact(folder, "3" * 64, "torch")
    out = tmp_path / "out"
    out.mkdir()
    facts = export_onnx.run(model=model, config=export_onnx.Config(), context=context_of(chain, tmp_path), out=out)
    assert facts["fused"] is None
    assert facts["parity"]["max_abs_difference"] < 1e-5
    shape = read_shape(read_config(folder))
    with pytest.raises(InputError, match="no fusion is known for this model's architecture"):
        export_onnx.STAGE.shape(export_onnx.Config(fuse="always"), {"model": shape})


def test_modernbert_sees_its_own_window_at_any_length_and_any_padding(
    make_classifier: Callable[..., Any], make_model: Callable[..., Path], chain: Chain, tmp_path: Path
) -> None:
    model = make_classifier("modernbert")
    folders = {}
    for window in (4, 8):
        model.config.local_attention = window
        source, out = tmp_path / f"torch-{window}", tmp_path / f"onnx-{window}"
        save_model(model, source)
        copy_tokenizer(make_model("modernbert"), source)
        out.mkdir()
        artifact = Artifact(source, "4" * 64, "torch")
        facts = export_onnx.run(
            model=artifact, config=export_onnx.Config(fuse="always"), context=context_of(chain, tmp_path), out=out
        )
        assert (facts["fused"]["MultiHeadAttention"], facts["fused"]["RotaryEmbedding"]) == (2, 4)
        folders[window] = source, out
    random = np.random.default_rng(0)
    for rows, length in ((1, 1), (1, 5), (3, 17), (8, 64)):
        ids = random.integers(5, 60, (rows, length))
        mask = np.ones_like(ids)
        mask[0, : length // 3] = 0  # padding on the left
        mask[-1, 2 * length // 3 + 1 :] = 0  # and on the right
        batch = {"input_ids": ids, "attention_mask": mask}
        ours = {}
        for window, (source, out) in folders.items():
            # what sees nothing but padding in its window is anything's guess; eager attention's is the one exported
            eager = load_model(source, TASK, attention="eager")
            with torch.no_grad():
                expected = eager(**{name: torch.from_numpy(array) for name, array in batch.items()}).logits.numpy()
            ours[window] = load(out, Target(), TASK)(batch)
            assert np.abs(ours[window] - expected).max() < 1e-4, (window, rows, length)
    assert np.abs(ours[4] - ours[8]).max() > 1e-2, "the window matters"


def test_any_batch_any_length_and_any_padding_equal_torch(chain: Chain) -> None:
    ours = load(chain.artifacts["onnx"].path, Target(), TASK)
    torchs = load(chain.artifacts["pruned"].path, Target(runtime="torch"), TASK)
    random = np.random.default_rng(0)
    for rows, length in ((1, 1), (1, 5), (3, 17), (8, 64)):
        ids = random.integers(5, 60, (rows, length))
        mask = np.ones_like(ids)
        mask[0, : length // 3] = 0  # padding on the left
        mask[-1, 2 * length // 3 + 1 :] = 0  # and on the right
        batch = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        assert np.abs(ours(batch) - torchs(batch)).max() < 1e-5, (rows, length)


def test_the_folder_holds_what_other_tools_need(chain: Chain) -> None:
    from transformers import AutoConfig, AutoTokenizer

    folder = chain.artifacts["onnx"].path
    assert AutoConfig.from_pretrained(folder).id2label == {0: "bad", 1: "good"}
    assert AutoTokenizer.from_pretrained(folder)("good film")["input_ids"]
    onnx.checker.check_model(str(folder / "model.onnx"))


def test_past_the_tolerance_the_step_fails(chain: Chain, tmp_path: Path) -> None:
    with pytest.raises(CompressError, match=r"exported model differs from torch by .* allowed is [\d.]+e-12"):
        export_onnx.run(
            model=chain.artifacts["pruned"],
            config=export_onnx.Config(tolerance=1e-12),
            context=context_of(chain, tmp_path),
            out=tmp_path,
        )


def test_attention_that_does_not_fuse_fails_the_step(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnxruntime.transformers.fusion_options import FusionOptions

    original = FusionOptions.__init__

    def without_attention(self: Any, model_type: str) -> None:
        original(self, model_type)
        self.enable_attention = False

    monkeypatch.setattr(FusionOptions, "__init__", without_attention)
    with pytest.raises(CompressError, match="attention fused in 0 of 1 layers") as caught:
        export_onnx.run(
            model=chain.artifacts["pruned"],
            config=export_onnx.Config(),
            context=context_of(chain, tmp_path),
            out=tmp_path,
        )
    assert "fuse: never" in str(caught.value)


def test_without_fusion_there_is_none(chain: Chain, tmp_path: Path) -> None:
    facts = export_onnx.run(
        model=chain.artifacts["pruned"],
        config=export_onnx.Config(fuse="never"),
        context=context_of(chain, tmp_path),
        out=tmp_path,
    )
    assert facts["fused"] is None
    assert kinds(graph_of(tmp_path))["Attention"] == 0
    assert facts["parity"]["max_abs_difference"] < 1e-5


def loaded_kinds(folder: Path, scratch: Path) -> Counter[str]:
    """Operators of a graph as onnxruntime's session has them after its own fusions."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(scratch / "loaded.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    return kinds(onnx.load(options.optimized_model_filepath))


@pytest.mark.parametrize("step", ["onnx", "int8"])
def test_norms_stay_apart_from_additions_also_in_a_session(step: str, chain: Chain, tmp_path: Path) -> None:
    assert kinds(graph_of(chain.artifacts[step].path))["Sum"] == 3  # of the embeddings, and two of the layer
    found = loaded_kinds(chain.artifacts[step].path, tmp_path)
    assert (found["Sum"], found["LayerNormalization"], found["SkipLayerNormalization"]) == (3, 3, 0)
    assert found["EmbedLayerNormalization"] == 0


def test_norms_fuse_with_additions_where_that_is_asked_for(chain: Chain, tmp_path: Path) -> None:
    facts = export_onnx.run(
        model=chain.artifacts["pruned"],
        config=export_onnx.Config(skip_layer_norm=True),
        context=context_of(chain, tmp_path),
        out=tmp_path,
    )
    assert facts["fused"]["SkipLayerNormalization"] == 2
    assert kinds(graph_of(tmp_path))["Sum"] == 0
    assert facts["parity"]["max_abs_difference"] < 1e-5


def test_parameters_are_counted_alike_in_torch_and_onnx(chain: Chain) -> None:
    torchs = count_parameters(chain.artifacts["pruned"].path, "torch")
    for step in ("onnx", "int8", "static", "int4"):
        ours = parameters_in(chain.artifacts[step].path / "model.onnx")
        assert ours == pytest.approx(torchs, rel=0.02), step


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
        base = name.removesuffix("_int8").partition("_of_")[0]  # a Gemm's matrix is turned when it becomes a MatMul
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
    assert checked >= 6


@pytest.mark.parametrize("stage", [quantize_onnx_dynamic, quantize_onnx_static])
@pytest.mark.parametrize(
    ("isa", "seven"),
    [([], True), (["avx2"], True), (["avx2", "avx512f"], True), (["avx2", "avx_vnni"], False), (["asimddp"], False)],
)
def test_int8_uses_seven_bits_where_sums_saturate_unless_told_otherwise(
    stage: Any, isa: list[str], seven: bool
) -> None:
    settle = stage.STAGE.settle
    assert settle(stage.Config(), isa).reduce_range is seven
    for forced in (True, False):
        assert settle(stage.Config(reduce_range=forced), isa).reduce_range is forced


def test_what_this_machine_decides_stands_in_the_key(chain: Chain) -> None:
    for name in ("int8", "static"):
        expected = saturates(instruction_sets())
        assert chain.plan.step(name).identity.config["reduce_range"] is expected


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
        )
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


def test_int4_weights_are_within_half_a_step(chain: Chain) -> None:
    split = read_float_graph(chain.artifacts["onnx"].path / "model.onnx")
    split_attention(split)
    gemms_to_matmuls(split)
    floats = {tensor.name: numpy_helper.to_array(tensor) for tensor in split.graph.initializer}
    model = graph_of(chain.artifacts["int4"].path)
    packed = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    checked = 0
    for node in model.graph.node:
        if node.op_type != "MatMulNBits":
            continue
        sizes = {item.name: item.i for item in node.attribute}
        name = next(name for name in floats if node.input[1].startswith(f"{name}_Q"))
        blob = packed[node.input[1]]  # (outputs, blocks, block / 2)
        codes = np.stack([blob & 15, blob >> 4], axis=-1).reshape(sizes["N"], -1, sizes["block_size"])
        scale = np.abs(packed[node.input[2]].reshape(sizes["N"], -1, 1))
        signed = packed[node.input[2]].reshape(sizes["N"], -1, 1)
        restored = ((codes.astype(int) - 8) * signed).reshape(sizes["N"], -1)[:, : sizes["K"]]
        error = np.abs(restored - floats[name].T).reshape(sizes["N"], -1, sizes["block_size"])
        clipped = codes == 15  # the range is -8 to 7: what lies above 7.5 steps is cut to 7
        assert (error[~clipped] <= np.broadcast_to(0.5001 * scale, error.shape)[~clipped] + 1e-9).all(), name
        assert (error <= 1.0001 * scale).all(), name
        checked += 1
    assert checked >= 6
    assert kinds(model)["MatMul"] == 0
    assert kinds(model)["GatherBlockQuantized"] == 0, "its tables are too small to be worth it"
    assert len(tables.tables(model)) == 0


def test_int8_takes_embedding_tables_in_4_bits(chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LARGE", 17)  # the table of segments has 2 rows
    facts = quantize_onnx_dynamic.run(
        model=chain.artifacts["onnx"],
        config=quantize_onnx_dynamic.Config(embedding_bits=4),
        context=context_of(chain, tmp_path),
        out=tmp_path,
    )
    found, whole = kinds(graph_of(tmp_path)), kinds(graph_of(chain.artifacts["int8"].path))
    assert (found["GatherBlockQuantized"], whole["GatherBlockQuantized"]) == (2, 0)
    assert found["DynamicQuantizeMatMul"] == whole["DynamicQuantizeMatMul"]
    assert facts["left_in_float"] == []
    assert facts["parity"]["agreement"] >= 0.8
    assert parameters_in(tmp_path / "model.onnx") == parameters_in(chain.artifacts["int8"].path / "model.onnx")


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("method", ["rtn", "gptq", "hqq"])
def test_4_bit_products_are_those_of_the_weights_that_the_codes_stand_for(
    method: str, symmetric: bool, chain: Chain, tmp_path: Path
) -> None:
    quantize_onnx_4bit.run(
        model=chain.artifacts["onnx"],
        config=quantize_onnx_4bit.Config(
            method=method, symmetric=symmetric, block_size=16, accuracy_level=1, embeddings=False
        ),
        context=context_of(chain, tmp_path),
        out=tmp_path,
    )
    written = graph_of(tmp_path)
    packed = {tensor.name: numpy_helper.to_array(tensor) for tensor in written.graph.initializer}
    floats = read_float_graph(chain.artifacts["onnx"].path / "model.onnx")
    split_attention(floats)
    assert gemms_to_matmuls(floats) == 2
    weights = {tensor.name: tensor for tensor in floats.graph.initializer}
    restored = 0
    for node in written.graph.node:
        if node.op_type != "MatMulNBits":
            continue
        sizes = {item.name: item.i for item in node.attribute}
        blob, scales = packed[node.input[1]], packed[node.input[2]].reshape(sizes["N"], -1, 1)
        codes = np.stack([blob & 15, blob >> 4], axis=-1).reshape(sizes["N"], -1, 16).astype(np.float32)
        zeros: Any = 8.0
        if len(node.input) > 3:
            zeros = packed[node.input[3]]
            if zeros.dtype == np.uint8:
                pairs = zeros.reshape(sizes["N"], -1)
                zeros = np.stack([pairs & 15, pairs >> 4], axis=-1).reshape(sizes["N"], -1)[:, : codes.shape[1]]
            zeros = zeros.reshape(sizes["N"], -1, 1)
        assert (len(node.input) > 3) == (method == "hqq" or not symmetric)
        name = node.input[1].removesuffix("_Q4")
        stood_for = ((codes - zeros) * scales).reshape(sizes["N"], -1)[:, : sizes["K"]]
        weights[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(stood_for.T), name))
        restored += 1
    assert restored >= 6
    other = tmp_path / "restored"
    other.mkdir()
    onnx.save(floats, str(other / "model.onnx"))
    ids = np.random.default_rng(2).integers(5, 60, (4, 20))
    batch = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    ours, expected = (load(folder, Target(), TASK)(batch) for folder in (tmp_path, other))
    assert np.abs(ours - expected).max() < 1e-4


def test_only_gptq_reads_training_rows() -> None:
    for method in ("rtn", "hqq", "gptq"):
        config = quantize_onnx_4bit.Config(method=method)
        assert quantize_onnx_4bit.STAGE.reads_data(config) == (method == "gptq")


@pytest.mark.parametrize("stage", [quantize_onnx_dynamic, quantize_onnx_4bit])
def test_a_quantized_graph_is_not_quantized_again(stage: Any, chain: Chain, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="quantized already"):
        stage.run(
            model=chain.artifacts["int8"],
            config=stage.Config(),
            context=context_of(chain, tmp_path),
            out=tmp_path,
        )


def test_a_collapse_fails_the_gate(chain: Chain, tmp_path: Path) -> None:
    model = graph_of(chain.artifacts["onnx"].path)
    bias = next(tensor for tensor in model.graph.initializer if tensor.name.endswith("classifier.bias"))
    bias.CopyFrom(numpy_helper.from_array(np.array([100, 0], dtype=np.float32), bias.name))
    onnx.save(model, str(tmp_path / "model.onnx"))
    copy_tokenizer(chain.artifacts["onnx"].path, tmp_path)
    with pytest.raises(CompressError, match=r"quantization collapsed: \d+% of 16 rows.*float model: \S*classifier"):
        parity.gate(chain.artifacts["onnx"].path, tmp_path, context_of(chain, tmp_path), 0.8)
    rehearsed = replace(context_of(chain, tmp_path), rehearsal=Rehearsal(64, 16, 0, 1))
    assert parity.gate(chain.artifacts["onnx"].path, tmp_path, rehearsed, 0.8).agreement < 0.8


def test_a_model_that_says_the_same_of_all_rows_is_no_measure(chain: Chain, tmp_path: Path) -> None:
    model = graph_of(chain.artifacts["onnx"].path)
    head = next(tensor for tensor in model.graph.initializer if tensor.name.endswith("classifier.weight"))
    head.CopyFrom(numpy_helper.from_array(np.zeros(tuple(head.dims), dtype=np.float32), head.name))
    onnx.save(model, str(tmp_path / "model.onnx"))
    (tmp_path / "config.json").write_bytes((chain.artifacts["onnx"].path / "config.json").read_bytes())
    copy_tokenizer(chain.artifacts["onnx"].path, tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(InputError, match="the float model says the same of all 16 rows"):
        quantize_onnx_4bit.run(
            model=Artifact(tmp_path, "8" * 64, "onnx"),
            config=quantize_onnx_4bit.Config(),
            context=context_of(chain, tmp_path),
            out=out,
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


def test_the_node_whose_matrix_was_spoilt_is_the_first_to_blame(chain: Chain, tmp_path: Path) -> None:
    before = read_float_graph(chain.artifacts["onnx"].path / "model.onnx")
    split_attention(before)
    after = onnx.ModelProto()
    after.CopyFrom(before)
    spoilt = matrices(after)[4]
    tensor = next(item for item in after.graph.initializer if item.name == spoilt.name)
    tensor.CopyFrom(numpy_helper.from_array(spoilt.weights[::-1].copy(), spoilt.name))
    batches, _ = parity.sample_batches(chain.plan.task, load_tokenizer(chain.artifacts["onnx"].path))
    assert first_to_leave(before, before, batches) == []
    name, error = first_to_leave(before, after, batches)[0]
    assert name == spoilt.node.name
    assert 0.5 < error < 3


def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(InputError, match="not a readable ONNX file"):
        read_float_graph(tmp_path / "model.onnx")
    with pytest.raises(CompressError, match="onnxruntime cannot load the model"):
        load(tmp_path, Target(), TASK)


def test_the_session_uses_the_threads_of_the_target(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    original = onnxruntime.InferenceSession

    def watch(path: str, options: onnxruntime.SessionOptions, **rest: Any) -> onnxruntime.InferenceSession:
        seen.append(options.intra_op_num_threads)
        return original(path, options, **rest)

    monkeypatch.setattr(onnxruntime, "InferenceSession", watch)
    load(chain.artifacts["onnx"].path, Target(threads=1), TASK)
    assert seen == [1]


def test_modernbert_goes_through_the_whole_chain(
    make_model: Callable[..., Path], reviews: Path, tmp_path: Path
) -> None:
    recipe = chain_recipe(make_model("modernbert"), reviews)
    names = ("teacher", "student", "pruned", "onnx", "int8", "int4")
    steps = [step.model_dump() for step in recipe.steps if step.name in names]
    steps[0]["epochs"] = 4
    steps[1] |= {"layers": [1], "epochs": 1}  # the one that has a norm before its attention
    steps[2] |= {"importance": "magnitude", "recover": {"epochs": 0}}
    plan = make_plan(Recipe.model_validate({**recipe.model_dump(), "steps": steps}), Origin())
    artifacts = run_plan(plan, tmp_path, Silent()).artifacts
    shape = read_shape(read_config(artifacts["pruned"].path))
    assert shape == Shape("modernbert", 1, 32, 8, (2,), (32,), (True,))
    assert artifacts["onnx"].facts["fused"]["MultiHeadAttention"] == 1
    before, after = (count_parameters(artifacts[name].path, "torch") for name in ("student", "pruned"))
    assert before - after == 2 * 4 * 8 * 32 + 32 * 3 * 32
    for name in ("int8", "int4"):
        assert artifacts[name].facts["parity"]["agreement"] >= 0.8
        assert kinds(graph_of(artifacts[name].path))["MatMul"] == 0
