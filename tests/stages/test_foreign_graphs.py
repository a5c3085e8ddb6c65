"""The quantizers on ONNX graphs as other tools write them: each is rounded as well as one of ours."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from compress.models.export import export
from compress.models.load import load_model
from compress.models.tokenizer import copy_tokenizer
from compress.recipe import Target
from compress.runtimes import load
from compress.stages import quantize_onnx_4bit, quantize_onnx_dynamic, quantize_onnx_static
from compress.store import Artifact
from tests.chain import Chain, context_of
from tests.foreign import FORMS, as_it_is

TASK = "text-classification"
STAGES: dict[str, tuple[Any, dict[str, Any]]] = {
    "dynamic": (quantize_onnx_dynamic, {}),
    "static": (quantize_onnx_static, {"smooth": 0.5}),
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
    )
    return facts


@pytest.mark.parametrize(
    ("form", "opset"), [(as_it_is, 11), (as_it_is, 13), *((form, 17) for form in FORMS)], ids=called
)
def test_a_graph_of_any_form_is_rounded_whole_and_agrees(
    form: Callable[[onnx.ModelProto], onnx.ModelProto],
    opset: int,
    exports: Callable[[int], Path],
    chain: Chain,
    tmp_path: Path,
) -> None:
    source = rewritten(exports(opset), tmp_path / "source", form)
    expected = logits(exports(opset))
    assert np.abs(logits(source.path) - expected).max() < 2e-2, "the rewriting is right"
    for name in STAGES:
        facts = quantize(name, source, chain, tmp_path / name)
        assert facts["left_in_float"] == [], name
        assert facts["parity"]["agreement"] >= 0.94, name
        written = onnx.load(str(tmp_path / name / "model.onnx"))
        floats = [t.dims for t in written.graph.initializer if t.data_type == TensorProto.FLOAT and len(t.dims) > 1]
        assert all(np.prod(dims) <= 64 for dims in floats), name
        assert weight_bytes(tmp_path / name) < 0.4 * weight_bytes(exports(opset)), name
        error = np.abs(logits(tmp_path / name) - logits(source.path)).max() / np.abs(expected).max()
        assert 0 < error < (0.25 if name == "4bit" else 0.1), (name, error)
