"""The quantizers on ONNX graphs as other tools write them: each is rounded as well as one of ours."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.export.export import export
from compress.graphs import embedding_tables
from compress.models.load import load_model
from compress.models.tokenizer import copy_tokenizer
from compress.recipe.schema import Target
from compress.runtimes import load
from compress.stages import quantize_onnx_4bit, quantize_onnx_dynamic, quantize_onnx_static
from compress.store.artifacts import Artifact
from tests.chain import Chain, context_of
from tests.foreign import FORMS, as_it_is, table_is_tied, weights_pass_through

pytestmark = pytest.mark.int8

TASK = "text-classification"
STAGES: dict[str, tuple[Any, dict[str, Any]]] = {
    "dynamic": (quantize_onnx_dynamic, {}),
    "static": (quantize_onnx_static, {"smooth": 0.5, "calibration_rows": 16}),
    "4bit": (quantize_onnx_4bit, {"method": "gptq", "block_size": 16}),
}


@pytest.fixture(scope="module")
def exports(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The teacher without fusion, in the operators of an opset."""
    made: dict[int, Path] = {}

    def make(opset: int) -> Path:
        if opset not in made:
            source = chain.artifacts["teacher"].path
            folder = tmp_path_factory.mktemp(f"opset{opset}")
            export(load_model(source, TASK, attention="eager"), folder / "model.onnx", opset=opset, fuses=False)
            (folder / "config.json").write_bytes((source / "config.json").read_bytes())
            copy_tokenizer(source, folder)
            made[opset] = folder
        return made[opset]

    return make


def rewritten(source: Path, folder: Path, form: Callable[[onnx.ModelProto], onnx.ModelProto]) -> Artifact:
    """A folder like `source` whose graph has another form, and computes the same."""
    folder.mkdir()
    model = form(onnx.load(str(source / "model.onnx")))
    onnx.save(model, str(folder / "model.onnx"))
    (folder / "config.json").write_bytes((source / "config.json").read_bytes())
    copy_tokenizer(source, folder)
    return Artifact(folder, "6" * 64, "onnx")


def batch() -> dict[str, np.ndarray]:
    ids = np.random.default_rng(2).integers(5, 60, (6, 20))
    mask = np.ones_like(ids)
    mask[1, 9:] = 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def logits(folder: Path) -> np.ndarray:
    return load(folder, Target(), TASK)(batch())


def weight_bytes(folder: Path) -> int:
    graph = onnx.load(str(folder / "model.onnx")).graph
    return sum(numpy_helper.to_array(tensor).nbytes for tensor in graph.initializer)


def called(value: object) -> str:
    return getattr(value, "__name__", str(value))


def quantize(name: str, source: Artifact, chain: Chain, out: Path, **settings: Any) -> dict[str, Any]:
    stage, own = STAGES[name]
    out.mkdir()
    facts: dict[str, Any] = stage.run(
        model=source, config=stage.Config(**own | settings), context=context_of(chain, out), out=out
    ).manifest_facts()
    return facts


DEFAULT = {as_it_is: tuple(STAGES), weights_pass_through: ("dynamic", "static"), table_is_tied: ("dynamic", "4bit")}
"""Stages that round a form by default. The other forms, which all stages read by the same code, one rounds."""


def rest(form: Any) -> tuple[str, ...]:
    return tuple(name for name in STAGES if name not in DEFAULT.get(form, ("dynamic",)))


CASES = [
    (as_it_is, 11, tuple(STAGES)),
    (as_it_is, 13, ("dynamic",)),
    pytest.param(as_it_is, 13, ("static", "4bit"), marks=pytest.mark.slow),
    *((form, 17, DEFAULT.get(form, ("dynamic",))) for form in FORMS),
    *(pytest.param(form, 17, rest(form), marks=pytest.mark.slow) for form in FORMS if rest(form)),
]


@pytest.mark.parametrize(("form", "opset", "names"), CASES, ids=called)
def test_a_graph_of_any_form_is_rounded_whole_and_agrees(
    form: Callable[[onnx.ModelProto], onnx.ModelProto],
    opset: int,
    names: tuple[str, ...],
    exports: Callable[[int], Path],
    chain: Chain,
    tmp_path: Path,
) -> None:
    source = rewritten(exports(opset), tmp_path / "source", form)
    expected = logits(exports(opset))
    assert np.abs(logits(source.path) - expected).max() < 2e-2, "the rewriting is right"
    for name in names:
        facts = quantize(name, source, chain, tmp_path / name)
        assert facts["left_in_float"] == [], name
        assert facts["parity"]["agreement"] >= 0.94, name
        written = onnx.load(str(tmp_path / name / "model.onnx"))
        floats = [t.dims for t in written.graph.initializer if t.data_type == TensorProto.FLOAT and len(t.dims) > 1]
        assert all(np.prod(dims) <= 64 for dims in floats), name
        assert weight_bytes(tmp_path / name) < 0.4 * weight_bytes(exports(opset)), name
        error = np.abs(logits(tmp_path / name) - logits(source.path)).max() / np.abs(expected).max()
        assert 0 < error < (0.25 if name == "4bit" else 0.1), (name, error)


def attentions_share_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """As a model whose layers are one layer again and again."""
    first, *rest = (node for node in model.graph.node if node.op_type == "Attention")
    for node in rest:
        node.input[1], node.input[2] = first.input[1], first.input[2]
    return model


def attentions_have_no_bias(model: onnx.ModelProto) -> onnx.ModelProto:
    """As models whose projections have none."""
    for node in model.graph.node:
        if node.op_type == "Attention":
            node.input[2] = ""
    return model


def table_is_multiplied_by(model: onnx.ModelProto) -> onnx.ModelProto:
    """Half of each token's row is gathered; the other half is a product of a row of one 1 and the same tensor."""
    gather = next(node for node in model.graph.node if node.op_type == "Gather" and "word" in node.input[0])
    table, tokens = gather.input
    rows = next(tensor.dims[0] for tensor in model.graph.initializer if tensor.name == table)
    output, gather.output[0] = gather.output[0], "gathered"
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(rows, dtype=np.int64), "rows"),
            numpy_helper.from_array(np.array([0, 1], dtype=np.float32), "no_yes"),
            numpy_helper.from_array(np.array(0.5, dtype=np.float32), "half"),
        ]
    )
    made = [
        helper.make_node("OneHot", [tokens, "rows", "no_yes"], ["chosen"]),
        helper.make_node("MatMul", ["chosen", table], ["multiplied"], name="soft_embedding"),
        helper.make_node("Add", ["gathered", "multiplied"], ["both"]),
        helper.make_node("Mul", ["both", "half"], [output]),
    ]
    place = next(index for index, node in enumerate(model.graph.node) if node.output[0] == "gathered")
    nodes = [*model.graph.node[: place + 1], *made, *model.graph.node[place + 1 :]]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


@pytest.mark.parametrize(
    "form", [attentions_share_weights, attentions_have_no_bias, table_is_multiplied_by], ids=called
)
def test_fused_graphs_of_others_are_rounded_by_every_writer(
    form: Callable[[onnx.ModelProto], onnx.ModelProto], chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding_tables, "LARGE", 17)  # so that tables of this small model are worth 4 bits
    source = rewritten(chain.artifacts["onnx"].path, tmp_path / "source", form)
    expected = logits(source.path)
    ways: list[tuple[str, dict[str, Any]]] = [
        ("dynamic", {"smooth": 0.5}),
        ("dynamic", {"embedding_bits": 4}),
        ("static", {}),
        ("static", {"form": "qdq"}),
        ("4bit", {"method": "rtn"}),
    ]
    for number, (name, settings) in enumerate(ways):
        out = tmp_path / str(number)
        facts = quantize(name, source, chain, out, min_agreement=0.0, **settings)
        assert facts["left_in_float"] == [], settings
        error = np.abs(logits(out) - expected).max() / np.abs(expected).max()
        assert 0 < error < (0.4 if name == "4bit" or "embedding_bits" in settings else 0.1), (name, settings, error)
