"""Narrower hidden states, on tiny models of each family."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from compress.errors import InputError
from compress.models.load import load, load_model, save_model
from compress.models.narrow import narrow_hidden
from compress.models.reshape import base_model, model_shape
from tests.families import POSITIONED

TASK = "text-classification"
FAMILIES = ["bert", "distilbert", "roberta", "electra", "modernbert", "albert", *POSITIONED, "deberta-v2-conv"]
IDS = torch.tensor([[2, 7, 9, 11, 6, 3], [2, 8, 10, 3, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
KEPT = [*range(8), *range(12, 28)]


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=IDS, attention_mask=MASK).logits
    return found


def channels(kept: list[int]) -> torch.Tensor:
    return torch.eye(32)[:, kept]


@pytest.fixture
def classifier(make_model: Callable[..., Path]) -> Callable[[str], Any]:
    def make(family: str) -> Any:
        torch.manual_seed(1)
        return load_model(make_model(family), TASK, labels=("no", "yes"))

    return make


@pytest.mark.parametrize("family", FAMILIES)
def test_all_channels_in_another_order_say_the_same(family: str, classifier: Callable[[str], Any]) -> None:
    model = classifier(family)
    before = logits(model)
    narrow_hidden(model, channels(list(reversed(range(32)))))
    assert torch.allclose(logits(model), before, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_narrower_model_reloads_to_the_same(family: str, classifier: Callable[[str], Any], tmp_path: Path) -> None:
    model = classifier(family)
    narrow_hidden(model, channels(KEPT))
    save_model(model, tmp_path)
    again = load(tmp_path)
    assert torch.allclose(logits(again), logits(model), atol=1e-6)
    shape = model_shape(again)
    assert shape is not None
    assert (shape.hidden, shape.head_size, shape.heads, shape.neurons) == (24, 8, (4, 4), (64, 64))


def test_matrices_that_read_and_write_keep_their_channels(classifier: Callable[[str], Any]) -> None:
    model = classifier("bert")
    layer = base_model(model).encoder.layer[0]
    query, written = layer.attention.self.query.weight.clone(), layer.output.dense.weight.clone()
    scale, pooled = layer.output.LayerNorm.weight.clone(), base_model(model).pooler.dense.weight.clone()
    narrow_hidden(model, channels(KEPT))
    assert torch.equal(layer.attention.self.query.weight, query[:, KEPT])
    assert torch.equal(layer.output.dense.weight, written[KEPT])
    assert torch.equal(layer.output.LayerNorm.weight, scale[KEPT])
    assert torch.equal(base_model(model).pooler.dense.weight, pooled[KEPT][:, KEPT])


def test_a_width_that_heads_do_not_divide_is_refused(classifier: Callable[[str], Any]) -> None:
    with pytest.raises(InputError, match="12 is no multiple of a head's 8 channels") as caught:
        narrow_hidden(classifier("bert"), channels(list(range(12))))
    assert caught.value.fix == "take 16"


def test_as_many_classes_as_channels_are_refused(make_model: Callable[..., Path]) -> None:
    model = load_model(make_model("bert"), TASK, labels=tuple(f"class {number}" for number in range(32)))
    with pytest.raises(InputError, match=r"as many classes as channels \(32\)"):
        narrow_hidden(model, channels(KEPT))


def test_hidden_states_as_wide_as_narrow_embeddings_are_refused(classifier: Callable[[str], Any]) -> None:
    with pytest.raises(InputError, match=r"as wide as the embeddings \(16\)") as caught:
        narrow_hidden(classifier("electra"), channels(list(range(16))))
    assert caught.value.fix == "take 24"
