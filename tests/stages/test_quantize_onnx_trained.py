"""Training with the rounding of the graph: the graph says what the trained network said, with the scales it learned."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from compress.context import Context
from compress.models import tables
from compress.models.tokenizer import load_tokenizer
from compress.recipe import Target
from compress.runtimes import load
from compress.stages import quantize_onnx_trained
from compress.store import Artifact
from compress.training.fake_quantization import FakeQuantization
from tests.chain import Chain, context_of
from tests.training.conftest import Kept

TASK = "text-classification"
SCHEMES: list[dict[str, Any]] = [
    {"scheme": "int8_dynamic"},
    {"scheme": "int8_static"},
    {"scheme": "int4", "block_size": 16},
    {"scheme": "int4", "symmetric": False, "accuracy_level": 1},
]
FAST = {"epochs": 2, "learning_rate": 2e-3, "scale_learning_rate": 2e-2, "batch_size": 8}
NONE = {"epochs": 0}


class Trained:
    """What the stage wrote, and the network as it was when its training ended, still rounding."""

    def __init__(self, graph: onnx.ModelProto, facts: dict[str, Any], network: Any, fake: FakeQuantization) -> None:
        self.graph, self.facts, self.network, self.fake = graph, facts, network, fake
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}


@pytest.fixture
def train(chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the stage on the chain's student, or another model."""

    def run(model: Artifact | None = None, **settings: Any) -> Trained:
        seen: list[Any] = []
        detach = FakeQuantization.detach

        def watch(self: FakeQuantization, network: Any) -> None:
            seen.extend([network, self])
            detach(self, network)

        monkeypatch.setattr(FakeQuantization, "detach", watch)
        out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
        out.mkdir()
        facts = quantize_onnx_trained.run(
            model=model or chain.artifacts["student"],
            teacher=chain.artifacts["teacher"],
            config=quantize_onnx_trained.Config(**{"min_agreement": 0, "reduce_range": False, **settings}),
            context=in_context(chain, tmp_path),
            out=out,
        )
        return Trained(onnx.load(str(out / "model.onnx")), facts | {"folder": out}, *seen)

    return run


def in_context(chain: Chain, work: Path) -> Context:
    return replace(context_of(chain, work), cached=Kept(work / "kept"))


def logits_of(chain: Chain, folder: Path) -> np.ndarray:
    """Of the validation rows, one by one."""
    tokenizer = load_tokenizer(folder)
    predict = load(folder, Target(), TASK)
    rows = chain.plan.task.encode(chain.plan.task.validation, tokenizer)
    return np.concatenate([predict(tokenizer.pad([row])) for row in rows])


def fake_logits(chain: Chain, trained: Trained) -> np.ndarray:
    """The same of the network while it rounds; in one batch, with padding."""
    tokenizer = load_tokenizer(trained.facts["folder"])
    rows = chain.plan.task.encode(chain.plan.task.validation, tokenizer)
    batch = {name: torch.from_numpy(array) for name, array in tokenizer.pad(rows).items()}
    trained.fake.attach(trained.network)
    with torch.no_grad():
        return trained.network(**batch).logits.numpy()


@pytest.mark.parametrize("recover", [NONE, FAST], ids=["started", "trained"])
@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_the_graph_computes_what_the_network_computed_in_training(
    scheme: dict[str, Any], recover: dict[str, Any], train: Any, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "LARGE", 64)  # so that 4 bits are used for the words' table
    trained = train(**scheme, recover=recover)
    ours, expected = logits_of(chain, trained.facts["folder"]), fake_logits(chain, trained)
    floats = logits_of(chain, chain.artifacts["student"].path) if False else None
    assert floats is None
    print(scheme, recover, np.abs(ours - expected).max(), np.abs(expected).max())
    assert np.abs(ours - expected).max() < 1e-3 * max(1.0, np.abs(expected).max())
    assert trained.facts["left_in_float"] == []
