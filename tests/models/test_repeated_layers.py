"""ALBERT, whose layers are one that runs again and again: what can be cut, and what cannot."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from compress.errors import InputError
from compress.formats import find
from compress.models.architectures import ARCHITECTURES, read_shape
from compress.models.config_file import read_config
from compress.models.cutting import cut, skipping
from compress.models.load import load, save_model
from compress.models.reshape import depth, keep_layers, layers_of, model_shape
from compress.ops.importance import Norms
from compress.stages.prune_structured import STAGE, Config
from compress.training.states import States
from tests.fresh import fresh_logits

ALBERT = ARCHITECTURES["albert"]
IDS = torch.tensor([[2, 7, 9, 11, 6, 3], [2, 8, 10, 3, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
LOST_HEADS, LOST_NEURONS = [0, 2], list(range(0, 64, 2))


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        values: torch.Tensor = model(input_ids=IDS, attention_mask=MASK).logits
    return values


@pytest.fixture
def model(make_classifier: Callable[..., Any]) -> Any:
    return make_classifier("albert")


def cut_in_half(model: Any) -> None:
    before = model_shape(model)
    assert before is not None
    assert before.heads == (4, 4)
    cut(model, before, [(LOST_HEADS, LOST_NEURONS)] * 2)


def test_what_is_cut_is_gone_in_every_run(model: Any) -> None:
    masked = copy.deepcopy(model)
    cut_in_half(model)
    (layer,) = layers_of(masked, ALBERT)
    with torch.no_grad():
        for head in LOST_HEADS:
            layer.get_submodule("attention.dense").weight[:, head * 8 : (head + 1) * 8] = 0
        layer.get_submodule("ffn_output").weight[:, LOST_NEURONS] = 0
    assert torch.allclose(logits(model), logits(masked), atol=1e-5)


def test_what_is_cut_is_counted_once_and_reloads_in_a_fresh_process(model: Any, tmp_path: Path) -> None:
    full = sum(parameter.numel() for parameter in model.parameters())
    cut_in_half(model)
    save_model(model, tmp_path)
    assert fresh_logits(tmp_path, IDS, MASK) == pytest.approx(logits(model).flatten().tolist(), abs=1e-6)
    assert find("torch").parameters(tmp_path) == full - 2 * (4 * 8 * 32 + 3 * 8) - 32 * (2 * 32 + 1)
    assert model_shape(load(tmp_path)) == replace(model_shape(model), heads=(2, 2), neurons=(32, 32))


def test_fewer_layers_are_fewer_runs_which_any_tool_loads(model: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    with skipping(model, [0]):
        skipped = logits(model)
    assert depth(model) == 2
    assert not torch.allclose(skipped, logits(model), atol=1e-3)
    keep_layers(model, (1,))
    save_model(model, tmp_path)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert torch.allclose(logits(plain), skipped, atol=1e-6)
    shape = read_shape(read_config(tmp_path))
    assert shape is not None
    assert (shape.layers, shape.is_plain) == (1, True)


def test_each_run_has_states_of_its_own(model: Any) -> None:
    states = States(model, [0, 1], 1)
    for _ in range(2):
        with torch.no_grad():
            hidden = model(input_ids=IDS, attention_mask=MASK, output_hidden_states=True).hidden_states
        assert torch.equal(states.hidden[0], hidden[1])
        assert torch.equal(states.hidden[1], hidden[2])
        query = functional.linear(hidden[1], *layers_of(model, ALBERT)[0].attention.query.parameters())
        assert torch.allclose(states.related["query"], query, atol=1e-6)
    states.close()


def test_activations_of_all_runs_count() -> None:
    linear = torch.nn.Linear(2, 1, bias=False)
    norms = Norms(linear, 1)
    for value in (3.0, 4.0):
        linear(torch.tensor([[[value, 0.0]]]))
    norms.collect(torch.ones(1, 1))
    scores = norms.close()
    expected = (25 / 2) ** 0.5 * linear.weight[0, 0].abs().item()
    assert scores.tolist() == pytest.approx([expected, 0.0])


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"budget": "global"}, "budget: global"),
        ({"min_speedup": 2}, "min_speedup"),
        ({"mask_tuning": True}, "mask_tuning"),
    ],
)
def test_what_treats_layers_apart_is_refused(settings: dict[str, Any], named: str, model: Any) -> None:
    assert STAGE.shape is not None
    with pytest.raises(InputError, match=f"{named} gives each layer what is its own.*albert model are one"):
        STAGE.shape(Config.model_validate(settings), {"model": model_shape(model)})


def test_an_albert_of_several_layers_is_not_known(make_model: Callable[..., Path]) -> None:
    config = read_config(make_model("albert"))
    assert read_shape(config) is not None
    assert read_shape(config | {"num_hidden_groups": 2}) is None
    assert read_shape(config | {"inner_group_num": 2}) is None
