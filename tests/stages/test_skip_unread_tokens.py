"""skip_unread_tokens: the same outputs from less work."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from compress.errors import CompressError, InputError
from compress.graphs.unread_tokens import skip_unread_tokens
from compress.recipe.schema import Target
from compress.runtimes import load
from compress.stages import export_onnx, quantize_onnx_dynamic
from compress.stages import skip_unread_tokens as stage
from compress.store.artifacts import Artifact
from tests.chain import Chain, context_of
from tests.families import ALIKE

pytestmark = pytest.mark.usefixtures("exported_once")

TASK = "text-classification"
FAMILIES = ["bert", "distilbert", *ALIKE]


@pytest.fixture
def exported(uneven: Callable[[str], Artifact], chain: Chain, tmp_path: Path) -> Callable[..., Artifact]:
    """A fused export of a classifier whose two layers have 1 and 3 heads."""

    def make(family: str, **settings: Any) -> Artifact:
        out = tmp_path / f"{family}-onnx"
        out.mkdir()
        export_onnx.run(
            model=uneven(family),
            config=export_onnx.Config(**settings),
            context=context_of(chain, tmp_path),
            out=out,
        )
        return Artifact(out, "1" * 64, "onnx")

    return make


def run(model: Artifact, chain: Chain, out: Path, **settings: Any) -> dict[str, Any]:
    out.mkdir()
    return stage.run(model=model, config=stage.Config(**settings), context=context_of(chain, out), out=out)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_the_same_at_any_length_and_padding(
    family: str, exported: Callable[..., Artifact], chain: Chain, tmp_path: Path
) -> None:
    model = exported(family)
    facts = run(model, chain, tmp_path / "out")
    assert facts["parity"]["max_abs_difference"] < 1e-5
    before, after = load(model.path, Target(), TASK), load(tmp_path / "out", Target(), TASK)
    random = np.random.default_rng(0)
    for rows, length in ((1, 1), (1, 7), (5, 33)):
        ids = random.integers(5, 60, (rows, length))
        mask = np.ones_like(ids)
        mask[-1, 2 * length // 3 + 1 :] = 0
        batch = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        assert np.abs(before(batch) - after(batch)).max() < 1e-5, (rows, length)


def test_the_last_layer_works_on_one_token(exported: Callable[..., Artifact], chain: Chain, tmp_path: Path) -> None:
    model = exported("bert")
    facts = run(model, chain, tmp_path / "out")
    before, after = (onnx.load(str(folder / "model.onnx")) for folder in (model.path, tmp_path / "out"))
    kinds = [node.op_type for node in before.graph.node], [node.op_type for node in after.graph.node]
    assert [found.count("Attention") for found in kinds] == [2, 1]
    last = list(before.graph.node)[kinds[0].index("Attention", kinds[0].index("Attention") + 1) :]
    per_token = [node for node in last if node.op_type not in ("Attention", "Gather", "Gemm", "Tanh")]
    assert facts["nodes_of_one_token"] == len(per_token) > 4


@pytest.mark.int8
def test_it_quantizes_after(exported: Callable[..., Artifact], chain: Chain, tmp_path: Path) -> None:
    run(exported("bert"), chain, tmp_path / "out")
    folder = tmp_path / "int8"
    folder.mkdir()
    facts = quantize_onnx_dynamic.run(
        model=Artifact(tmp_path / "out", "2" * 64, "onnx"),
        config=quantize_onnx_dynamic.Config(),
        context=context_of(chain, tmp_path),
        out=folder,
    ).manifest_facts()
    assert facts["parity"]["agreement"] >= 0.8
    left = {
        tensor.name: list(tensor.dims)
        for tensor in onnx.load(str(folder / "model.onnx")).graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1
    }
    assert list(left.values()) == [[3, 24]]  # which channels belong to which of 3 heads


def test_a_head_that_reads_all_tokens_is_refused(exported: Callable[..., Artifact]) -> None:
    graph = onnx.load(str(exported("bert").path / "model.onnx"))
    (read,) = [node for node in graph.graph.node if node.op_type == "Gather" and "pooler" in node.output[0]]
    mean = onnx.helper.make_node("ReduceMean", [read.input[0]], list(read.output), axes=[1], keepdims=0)
    graph.graph.node.insert(list(graph.graph.node).index(read), mean)
    graph.graph.node.remove(read)
    with pytest.raises(InputError, match="does not read the first token alone"):
        skip_unread_tokens(graph)


def test_attention_that_is_not_fused_is_refused(exported: Callable[..., Artifact]) -> None:
    graph = onnx.load(str(exported("bert", fuse="never").path / "model.onnx"))
    with pytest.raises(InputError, match="no attention that onnxruntime has fused") as caught:
        skip_unread_tokens(graph)
    assert caught.value.fix == "export it with fuse: always"


def test_hidden_states_that_something_else_reads_too_are_refused(exported: Callable[..., Artifact]) -> None:
    graph = onnx.load(str(exported("bert").path / "model.onnx"))
    (read,) = [node for node in graph.graph.node if node.op_type == "Gather" and "pooler" in node.output[0]]
    graph.graph.node.append(onnx.helper.make_node("Identity", [read.input[0]], ["states"]))
    with pytest.raises(InputError, match="does not read the first token alone"):
        skip_unread_tokens(graph)


def test_past_the_tolerance_the_step_fails(exported: Callable[..., Artifact], chain: Chain, tmp_path: Path) -> None:
    with pytest.raises(CompressError, match=r"the rewritten model differs by .* allowed is [\d.]+e-12"):
        run(exported("bert"), chain, tmp_path / "out", tolerance=1e-12)
