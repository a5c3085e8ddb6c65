"""Graphs of the families whose attention is written as operators of onnxruntime: right at any length, and small."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from compress.export.export import export
from compress.models.cutting import cut
from compress.models.load import load_model
from compress.models.narrow import narrow_hidden
from compress.models.reshape import model_shape
from tests.conftest import LABELS

FAMILIES = [
    "albert",
    "mpnet",
    "deberta-v3",
    *(pytest.param(f"deberta-v2{name}", marks=pytest.mark.slow) for name in ("", "-conv")),
]
UNEVEN = [([0, 2], [1, 5, 9]), ([3], list(range(0, 64, 2)))]


@pytest.fixture
def classifier(make_model: Callable[..., Path]) -> Callable[[str], Any]:
    def make(family: str) -> Any:
        torch.manual_seed(1)
        model = load_model(make_model(family), "text-classification", labels=LABELS, attention="eager")
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 2:
                    parameter.mul_(5)
        return model

    return make


def largest_difference(network: Any, path: Path, lengths: tuple[int, ...]) -> float:
    """Of the graph's logits from torch's, as a share of the largest, for padded rows of each length."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = {item.name for item in session.get_inputs()}
    differences = []
    for length in lengths:
        ids = torch.from_numpy(np.random.default_rng(length).integers(5, 40, (3, length)))
        mask = torch.ones_like(ids)
        mask[1, (length + 1) // 2 :] = 0
        ids[mask == 0] = network.config.pad_token_id
        with torch.no_grad():
            expected = network(input_ids=ids, attention_mask=mask).logits.numpy()
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
        (logits,) = session.run(None, {name: feed[name].numpy() for name in names})
        differences.append(np.abs(logits - expected).max() / np.abs(expected).max())
    return float(max(differences))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cut_and_narrowed_model_says_the_same_at_any_length(
    family: str, classifier: Callable[[str], Any], tmp_path: Path
) -> None:
    network = classifier(family)
    shape = model_shape(network)
    assert shape is not None
    cut(network, shape, UNEVEN[:1] * 2 if family == "albert" else UNEVEN)
    narrow_hidden(network, torch.eye(32)[:, :24])
    counts = export(copy.deepcopy(network), tmp_path / "model.onnx")
    assert counts is not None
    assert counts["MultiHeadAttention"] == 2
    nodes = onnx.load(tmp_path / "model.onnx").graph.node
    assert not [node for node in nodes if node.op_type in ("Softmax", "GatherElements", "Einsum", "Log")][
        family == "mpnet" :
    ]
    assert largest_difference(network, tmp_path / "model.onnx", (1, 2, 7, 16, 33, 200)) < 1e-5


@pytest.mark.parametrize(("family", "share"), [("albert", 0.4), ("mpnet", 0.5), ("deberta-v3", 0.25)])
def test_few_nodes_are_left(family: str, share: float, classifier: Callable[[str], Any], tmp_path: Path) -> None:
    network = classifier(family)
    counts = []
    for name, fuses in (("whole", False), ("fused", True)):
        export(copy.deepcopy(network), tmp_path / name, fuses=fuses)
        counts.append(len(onnx.load(tmp_path / name).graph.node))
    assert counts[1] < share * counts[0]


def test_what_layers_share_stands_in_the_graph_once(classifier: Callable[[str], Any], tmp_path: Path) -> None:
    network = classifier("albert")
    weights = sum(parameter.numel() for parameter in network.parameters())
    export(network, tmp_path / "model.onnx")
    floats = [item for item in onnx.load(tmp_path / "model.onnx").graph.initializer if item.data_type == 1]
    assert sum(np.prod(item.dims) for item in floats) < weights + 100


@pytest.mark.parametrize(
    "settings",
    [
        {"pos_att_type": ["c2p"], "max_relative_positions": 5, "position_buckets": -1},
        {"pos_att_type": ["p2c"], "share_att_key": True},
        {"relative_attention": False, "pos_att_type": ["c2p"]},
    ],
    ids=str,
)
def test_every_kind_of_disentangled_attention_is_right_beyond_its_furthest_distance(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    import transformers

    torch.manual_seed(0)
    usual = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    own = {"relative_attention": True, "position_buckets": 8, "position_biased_input": False, **settings}
    config = transformers.DebertaV2Config(
        vocab_size=64, max_position_embeddings=24, initializer_range=0.3, **usual, **own
    )
    network = transformers.DebertaV2ForSequenceClassification(config).eval()
    export(copy.deepcopy(network), tmp_path / "model.onnx")
    assert largest_difference(network, tmp_path / "model.onnx", (1, 7, 23, 64)) < 1e-5
