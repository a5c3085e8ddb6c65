"""factorize_low_rank on tiny models of each family, against numpy's singular value decomposition."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from compress.errors import InputError
from compress.formats import find
from compress.models.architectures import ARCHITECTURES, Shape, read_shape
from compress.models.config_file import read_config
from compress.models.cutting import cut
from compress.models.load import load_model, save_model
from compress.models.reshape import feed_forward, keep_layers, model_shape
from compress.models.tokenizer import copy_tokenizer
from compress.stages import distill, export_onnx, prune_structured, quantize_onnx_dynamic
from compress.stages.factorize_low_rank import STAGE, Config, factorize_embeddings, factorize_feed_forward
from compress.stages.trim_vocabulary import keep_tokens
from compress.store.artifacts import Artifact
from tests.chain import Chain, context_of
from tests.families import FAMILIES
from tests.fresh import fresh_logits

TASK = "text-classification"
IDS = torch.tensor([[2, 7, 9, 11, 6, 3], [2, 8, 10, 3, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
COUNTS = {7: 30, 9: 12, 11: 5, 6: 3}
BERT = Shape("bert", 2, 32, 8, (4, 4), (64, 64))


def logits(model: Any, ids: torch.Tensor = IDS) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model(input_ids=ids, attention_mask=MASK).logits
    return result


def factorized(model: Any) -> Any:
    """A copy with a table of width 4 and factors of 6 channels."""
    model = copy.deepcopy(model)
    factorize_embeddings(model, 4, COUNTS)
    factorize_feed_forward(model, 6)
    return model


def nearest(matrix: torch.Tensor, rank: int, weights: np.ndarray[Any, Any]) -> torch.Tensor:
    """By numpy, of all matrices of that rank."""
    scaled = np.sqrt(weights)[:, None] * matrix.detach().numpy().astype(np.float64)
    vectors, values, directions = np.linalg.svd(scaled, full_matrices=False)
    product = (vectors[:, :rank] * values[:rank]) @ directions[:rank] / np.sqrt(weights)[:, None]
    return torch.from_numpy(product.astype(np.float32))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_factorized_model_is_one_of_the_nearest_matrices_and_reloads(
    family: str, make_classifier: Callable[..., Any], tmp_path: Path
) -> None:
    whole = make_classifier(family)
    model = factorized(whole)
    save_model(model, tmp_path)
    assert fresh_logits(tmp_path, IDS, MASK) == pytest.approx(logits(model).flatten().tolist(), abs=1e-6)

    oracle = copy.deepcopy(whole)
    architecture = ARCHITECTURES[whole.config.model_type]
    table = oracle.get_input_embeddings().weight
    weights = np.array([1.0 + COUNTS.get(token, 0) for token in range(len(table))])
    fewer = 0
    with torch.no_grad():
        table.copy_(nearest(table, 4, weights))
        fewer += table.numel() - 4 * sum(table.shape)
        for layer, path in feed_forward(oracle, architecture):
            matrix: Any = layer.get_submodule(path).weight
            matrix.copy_(nearest(matrix, 6, np.ones(len(matrix))))
            fewer += matrix.numel() - 6 * sum(matrix.shape)
    assert torch.allclose(logits(model), logits(oracle), atol=2e-4)
    assert not torch.allclose(logits(model), logits(whole), atol=1e-2)
    assert find("torch").parameters(tmp_path) == sum(item.numel() for item in whole.parameters()) - fewer
    before = model_shape(whole)
    assert before is not None
    assert read_shape(read_config(tmp_path)) == replace(before, embedding_rank=4, ffn_rank=6) == model_shape(model)


@pytest.mark.parametrize("family", FAMILIES)
def test_at_full_rank_nothing_changes(family: str, make_classifier: Callable[..., Any]) -> None:
    whole = make_classifier(family)
    model = copy.deepcopy(whole)
    assert factorize_feed_forward(model, 32) == [1.0, 1.0]
    assert torch.allclose(logits(model), logits(whole), atol=1e-4)


@pytest.mark.int8
@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_it_exports_fused_and_quantizes(
    family: str, make_classifier: Callable[..., Any], make_model: Callable[..., Path], chain: Chain, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("torch", "onnx", "int8")]
    for folder in folders:
        folder.mkdir()
    model = factorized(make_classifier(family))
    save_model(model, folders[0])
    copy_tokenizer(make_model(family), folders[0])
    facts = export_onnx.run(
        model=Artifact(folders[0], "0" * 64, "torch"),
        config=export_onnx.Config(fuse="always"),
        context=context_of(chain, tmp_path),
        out=folders[1],
    )
    assert sum(facts["fused"].get(kind, 0) for kind in ("Attention", "MultiHeadAttention")) == 2
    quantize_onnx_dynamic.run(
        model=Artifact(folders[1], "1" * 64, "onnx"),
        config=quantize_onnx_dynamic.Config(),
        context=context_of(chain, tmp_path),
        out=folders[2],
    )
    graph = onnx.load(str(folders[2] / "model.onnx")).graph
    tokens = model.get_input_embeddings().num_embeddings
    tables = [tensor for tensor in graph.initializer if list(tensor.dims) == [tokens, 4]]
    assert [numpy_helper.to_array(table).dtype.itemsize for table in tables] == [1]
    assert [node.op_type for node in graph.node].count("MatMul") == 0
    assert [node.op_type for node in graph.node].count("DynamicQuantizeMatMul") >= 1 + 2 * 4


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_and_tokens_can_be_taken_out_afterwards(family: str, make_classifier: Callable[..., Any]) -> None:
    model = factorized(make_classifier(family))
    kept = [0, 1, 2, 3, 6, 7, 8, 9, 10, 11]
    new = torch.zeros(12, dtype=torch.long)
    new[kept] = torch.arange(len(kept))
    trimmed = keep_tokens(copy.deepcopy(model), kept)
    assert torch.allclose(logits(trimmed, new[IDS]), logits(model), atol=1e-6)
    keep_layers(model, (1,))
    shape = model_shape(model)
    assert shape is not None
    assert (shape.layers, shape.embedding_rank, shape.ffn_rank) == (1, 4, 6)


@pytest.mark.parametrize("family", FAMILIES)
def test_heads_and_neurons_can_be_taken_out_below_a_factorized_table(
    family: str, make_classifier: Callable[..., Any], tmp_path: Path
) -> None:
    whole = make_classifier(family)
    shape = model_shape(whole)
    assert shape is not None
    removed = [([0, 2, 3], list(range(40))), ([1], list(range(9, 33)))]
    one, other = copy.deepcopy(whole), copy.deepcopy(whole)
    factorize_embeddings(one, 4, COUNTS)
    cut(one, shape, removed)
    cut(other, shape, removed)
    factorize_embeddings(other, 4, COUNTS)
    assert torch.allclose(logits(one), logits(other), atol=1e-6)
    save_model(one, tmp_path)
    assert torch.allclose(logits(load_model(tmp_path, TASK)), logits(one), atol=1e-6)


def refused(settings: dict[str, Any], shape: Shape | None = BERT) -> str:
    with pytest.raises(InputError) as caught:
        STAGE.shape_of(Config.model_validate(settings), {"model": shape})
    return f"{caught.value.what}; {caught.value.fix}"


def test_what_does_not_pay_is_refused_with_the_largest_rank_that_does(make_classifier: Callable[..., Any]) -> None:
    said = refused({"ffn_rank": 22})
    assert said.startswith("ffn_rank: 22 does not pay for a feed-forward matrix of 64 x 32")
    assert said.endswith("take at most 21")
    assert 21 * (64 + 32) < 64 * 32 <= 22 * (64 + 32)
    assert STAGE.shape_of(Config(ffn_rank=21), {"model": BERT}) == replace(BERT, ffn_rank=21)
    glu = replace(BERT, model_type="modernbert")
    assert STAGE.shape_of(Config(ffn_rank=21), {"model": glu}) == replace(glu, ffn_rank=21)
    assert "embedding_rank: 32 does not pay for embeddings of width 32" in refused({"embedding_rank": 32})
    tokens = make_classifier("bert").get_input_embeddings().num_embeddings
    most = (tokens * 32 - 1) // (tokens + 32)
    with pytest.raises(InputError, match=f"the table of embeddings of {tokens} x 32") as caught:
        factorize_embeddings(make_classifier("bert"), most + 1, COUNTS)
    assert caught.value.fix == f"take at most {most}"


def test_what_cannot_be_factorized_is_refused() -> None:
    assert "parts of its architecture are not known" in refused({"ffn_rank": 4}, None)
    assert "factorized already, with ffn_rank: 8" in refused({"ffn_rank": 4}, replace(BERT, ffn_rank=8))
    with pytest.raises(ValueError, match="nothing is to be factorized"):
        Config()
    factors = replace(BERT, ffn_rank=8)
    with pytest.raises(InputError, match="feed-forward matrices are factorized") as caught:
        prune_structured.STAGE.shape_of(prune_structured.Config(), {"model": factors})
    assert caught.value.fix == "put this step before factorize_low_rank"
    with pytest.raises(InputError, match="feed-forward matrices are factorized"):
        distill.STAGE.shape_of(distill.Config(layers=1, ffn=8), {"teacher": factors})
    assert distill.STAGE.shape_of(distill.Config(layers=1), {"teacher": factors}) == factors.with_layers((0,))


def test_the_facts_say_what_was_won_and_kept(chain: Chain) -> None:
    facts = chain.artifacts["factorized"].facts
    assert facts["weights_after"] == find("torch").parameters(chain.artifacts["factorized"].path)
    assert facts["weights_before"] == find("torch").parameters(chain.artifacts["teacher"].path)
    assert facts["weights_after"] < 0.8 * facts["weights_before"]
    assert 0.3 < facts["embedding_norm_kept"] < 1
    assert len(facts["ffn_norm_kept"]) == 2
    assert all(0.2 < kept < 1 for kept in facts["ffn_norm_kept"])
