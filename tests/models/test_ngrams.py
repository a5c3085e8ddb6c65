"""The classifier of n-grams of tokens: what it counts, and that its graph says the same at every length."""

from collections import Counter
from itertools import chain, product
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from compress.comparing.activations import activations
from compress.errors import InputError
from compress.export.export import export
from compress.graphs.embedding_tables import tables, worth_4_bits
from compress.graphs.quantizable import check_quantizable
from compress.graphs.read import read_float_graph
from compress.models.load import load, load_model
from compress.models.ngrams import PLACES, NgramsConfig, NgramsForSequenceClassification
from tests.models.table_classifiers import check_by_hand

TOKENS, BUCKETS = 50, 97


def classifier(longest: int = 3, seed: int = 0, **sizes: object) -> NgramsForSequenceClassification:
    """A model whose weights are all random."""
    settings = {"hidden_size": 6, "layer_size": 5, "num_labels": 3, **sizes}
    config = NgramsConfig(vocab_size=TOKENS, buckets=BUCKETS if longest > 1 else 0, longest=longest, **settings)
    torch.manual_seed(seed)
    model = NgramsForSequenceClassification(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model.eval()


def by_hand(model: NgramsForSequenceClassification, ids: list[int]) -> torch.Tensor:
    """The logits of one text without padding, n-gram by n-gram."""
    table, size = model.ngrams.table.weight, model.config.vocab_size
    rows = list(ids)
    for order in range(2, model.config.longest + 1):
        for start in range(len(ids) - order + 1):
            total = sum(factor * token for factor, token in zip(PLACES, ids[start : start + order], strict=False))
            rows.append(size + total % BUCKETS)
    hidden = table[rows].sum(dim=0) / len(rows) ** 0.5
    if model.layer is not None:
        hidden = torch.relu(model.layer(hidden))
    return hidden + model.bias if model.classifier is None else model.classifier(hidden)


@pytest.mark.parametrize("longest", [1, 2, 3, 4])
@pytest.mark.parametrize("sizes", [{}, {"layer_size": 0}, {"layer_size": 0, "hidden_size": 3, "has_classifier": False}])
def test_each_text_gets_what_a_count_by_hand_gives_on_either_side_of_padding_in_torch_and_onnx(
    longest: int, sizes: dict[str, object], tmp_path: Path
) -> None:
    model = classifier(longest, **sizes)
    check_by_hand(model, by_hand, TOKENS, tmp_path)


def test_no_sum_leaves_the_integers_and_buckets_are_filled_as_by_chance() -> None:
    assert sum(factor * (2**29 - 1) for factor in PLACES) < 2**63
    assert all(factor % 2 for factor in PLACES)
    model = classifier(2)
    model.ngrams.config.buckets = 2048
    for ids in (list(product(range(64), range(64))), list(product(range(0, 640, 10), range(64)))):
        rows, _ = model.ngrams.rows(torch.tensor(ids), torch.ones(len(ids), 2))
        counts = Counter((rows[:, 2] - TOKENS).tolist())
        share = len(counts) / 2048
        assert share > 1 - np.exp(-2) - 0.05, "4,096 pairs by chance fill 86% of the buckets"
        assert max(counts.values()) <= 12


def test_a_pair_in_another_order_has_another_bucket() -> None:
    model = classifier(2)
    rows, _ = model.ngrams.rows(torch.tensor([[3, 8], [8, 3]]), torch.ones(2, 2))
    assert rows[0, 2] != rows[1, 2]


def test_it_is_saved_and_loaded_as_any_other(tmp_path: Path) -> None:
    model = classifier()
    model.save_pretrained(tmp_path)
    ids = torch.randint(0, TOKENS, (2, 7))
    for again in (load(tmp_path), load_model(tmp_path, "text-classification")):
        assert torch.equal(again(ids, torch.ones_like(ids)).logits, model(ids, torch.ones_like(ids)).logits)


def test_a_table_of_classes_takes_no_other_classes(tmp_path: Path) -> None:
    classifier(hidden_size=3, layer_size=0, has_classifier=False).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="a table of 3 classes gives no 2"):
        load_model(tmp_path, "text-classification", labels=["a", "b"])


def test_a_graph_is_made_of_few_nodes(tmp_path: Path) -> None:
    export(classifier(2, layer_size=0), tmp_path / "model.onnx")
    nodes = [node for node in onnx.load(tmp_path / "model.onnx").graph.node if node.op_type != "Constant"]
    assert len(nodes) <= 22, [node.op_type for node in nodes]
    assert len(list(chain(*(node.input for node in nodes)))) < 60


def test_a_graph_of_a_table_alone_can_be_rounded_and_has_nothing_to_calibrate(tmp_path: Path) -> None:
    export(classifier(2, layer_size=0, hidden_size=3, has_classifier=False), tmp_path / "model.onnx")
    graph = read_float_graph(tmp_path / "model.onnx")
    check_quantizable(graph, tmp_path / "model.onnx")
    assert [table.weights.shape for table in tables(graph)] == [(TOKENS + BUCKETS, 3)]
    batch = {"input_ids": np.array([[1, 2]]), "attention_mask": np.ones((1, 2), np.int64)}
    assert list(activations(graph, [], [batch])) == [{}]


def test_a_narrow_table_keeps_8_bits() -> None:
    assert worth_4_bits(5000, 16)
    assert not worth_4_bits(5000, 8), "its codes and scales take as many bytes as in 8 bits"
