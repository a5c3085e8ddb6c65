"""The classifier of one convolution: what it computes, and that its graph says the same at every length."""

from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch

from compress.export.export import export
from compress.formats.torch import needs_compress
from compress.models.convolution import ConvolutionConfig, ConvolutionForSequenceClassification
from compress.models.load import load, load_model
from tests.models.table_classifiers import check_by_hand

TOKENS = 50


def classifier(width: int = 3, **sizes: int) -> ConvolutionForSequenceClassification:
    """A model whose weights are all random."""
    settings = {"hidden_size": 6, "channels": 5, "num_labels": 3, **sizes}
    torch.manual_seed(0)
    model = ConvolutionForSequenceClassification(ConvolutionConfig(vocab_size=TOKENS, width=width, **settings))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model.eval()


def by_hand(model: ConvolutionForSequenceClassification, ids: list[int]) -> torch.Tensor:
    """The logits of one text without padding, token by token; beside the text there is nothing."""
    table, filters = model.convolution.table.weight, model.convolution.filters
    width, channels = model.config.width, model.config.channels
    weights = filters.weight.view(channels, width, -1)  # (channels, places, hidden)
    best = torch.zeros(channels)
    for middle in range(len(ids)):
        total = filters.bias.clone()
        for place in range(width):
            neighbour = middle + place - (width - 1) // 2
            if 0 <= neighbour < len(ids):
                total += weights[:, place] @ table[ids[neighbour]]
        best = torch.maximum(best, total)
    return model.classifier(best)


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_each_text_gets_what_a_loop_by_hand_gives_on_either_side_of_padding_in_torch_and_onnx(
    width: int, tmp_path: Path
) -> None:
    model = classifier(width)
    check_by_hand(model, by_hand, TOKENS, tmp_path)


def test_it_is_torchs_own_convolution_and_knows_the_order_of_neighbours() -> None:
    model = classifier(3)
    own, ids = model.convolution, torch.randint(0, TOKENS, (2, 7))
    kernels = own.filters.weight.view(5, 3, 6).transpose(1, 2)  # (channels, hidden, places)
    found = torch.nn.functional.conv1d(own.table(ids).transpose(1, 2), kernels, own.filters.bias, padding=1)
    torch.testing.assert_close(own(ids).pooler_output, found.relu().amax(dim=2))
    assert not torch.allclose(model(ids).logits, model(ids.flip(1)).logits)
    alone = classifier(1)
    torch.testing.assert_close(alone(ids).logits, alone(ids.flip(1)).logits)


def test_it_is_saved_and_loaded_as_any_other(tmp_path: Path) -> None:
    model = classifier()
    model.save_pretrained(tmp_path)
    assert needs_compress(tmp_path)
    ids = torch.randint(0, TOKENS, (2, 7))
    for again in (load(tmp_path), load_model(tmp_path, "text-classification")):
        assert torch.equal(again(ids, torch.ones_like(ids)).logits, model(ids, torch.ones_like(ids)).logits)
    other = load_model(tmp_path, "text-classification", labels=["a", "b"])
    assert other(ids).logits.shape == (2, 2)


def test_a_call_computes_few_nodes(tmp_path: Path) -> None:
    export(classifier(), tmp_path / "model.onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC  # constants are computed
    options.optimized_model_filepath = str(tmp_path / "computed.onnx")
    onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), options, providers=["CPUExecutionProvider"])
    nodes = [node.op_type for node in onnx.load(tmp_path / "computed.onnx").graph.node]
    assert len(nodes) <= 15, nodes
    assert nodes.count("Gather") == nodes.count("MatMul") == 1, nodes
