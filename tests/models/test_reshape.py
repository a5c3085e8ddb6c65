"""Students, pruned shapes and reloading, on tiny models of each family."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from compress.errors import InputError
from compress.formats import find
from compress.models.architectures import ARCHITECTURES, Shape, evenly_spaced, read_shape
from compress.models.config_file import read_config
from compress.models.cutting import Removed, cut, skipping
from compress.models.load import load_model, save_model
from compress.models.reshape import keep_layers, layers_of, model_shape, weight_of
from tests.families import FAMILIES, POSITIONED
from tests.fresh import fresh_logits

TASK = "text-classification"
IDS = torch.tensor([[2, 7, 9, 11, 6, 3], [2, 8, 10, 3, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model(input_ids=IDS, attention_mask=MASK).logits
    return result


def removed(before: Shape, after: Shape) -> list[Removed]:
    """Heads and neurons to remove, at random, the same for each call."""
    torch.manual_seed(5)
    return [
        (
            torch.randperm(heads)[heads_after:].sort().values.tolist(),
            torch.randperm(neurons)[left:].sort().values.tolist(),
        )
        for heads, heads_after, neurons, left in zip(
            before.heads, after.heads, before.neurons, after.neurons, strict=True
        )
    ]


@pytest.mark.parametrize("family", [*FAMILIES, *POSITIONED])
def test_pruned_logits_equal_the_model_with_those_parts_masked_to_zero(
    family: str, make_classifier: Callable[..., Any]
) -> None:
    model = make_classifier(family)
    masked = copy.deepcopy(model)
    before = model_shape(model)
    assert before is not None
    after = replace(before, heads=(1, 3), neurons=(24, 40))
    cut(model, before, removed(before, after))

    architecture = ARCHITECTURES[before.model_type]
    layers = layers_of(masked, architecture)
    for layer, (lost_heads, lost_neurons) in zip(layers, removed(before, after), strict=True):
        with torch.no_grad():
            output = layer.get_submodule(architecture.attention_output)
            for head in lost_heads:
                output.weight[:, head * 8 : (head + 1) * 8] = 0
            layer.get_submodule(architecture.down).weight[:, lost_neurons] = 0
    assert torch.allclose(logits(model), logits(masked), atol=1e-5)
    assert not torch.allclose(logits(model), logits(make_classifier(family)), atol=1e-2)
    assert model_shape(model) == after


@pytest.mark.parametrize("family", [*FAMILIES, *POSITIONED])
def test_uneven_shapes_reload_in_a_fresh_process_and_are_really_smaller(
    family: str, make_classifier: Callable[..., Any], tmp_path: Path
) -> None:
    model = make_classifier(family)
    before = model_shape(model)
    assert before is not None
    full = sum(parameter.numel() for parameter in model.parameters())
    cut(model, before, removed(before, replace(before, heads=(1, 3), neurons=(24, 40))))
    save_model(model, tmp_path)
    assert fresh_logits(tmp_path, IDS, MASK) == pytest.approx(logits(model).flatten().tolist(), abs=1e-6)
    # 3 + 1 of 8 heads (4 matrices of 8 x 32 with 3 biases) and 40 + 24 neurons (2 x 32 + 1 bias each) are gone
    gone = 4 * (4 * 8 * 32 + 3 * 8) + 64 * (2 * 32 + 1)
    if family == "deberta-v2":  # two more matrices for positions
        gone += 4 * 2 * (8 * 32 + 8)
    if family == "modernbert":  # no biases, and a gate for each neuron
        gone = 4 * (4 * 8 * 32) + 64 * (3 * 32)
    assert find("torch").parameters(tmp_path) == full - gone


def test_uniform_neurons_load_with_plain_transformers(make_classifier: Callable[..., Any], tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    model = make_classifier("bert")
    before = model_shape(model)
    assert before is not None
    cut(model, before, removed(before, replace(before, neurons=(32, 32))))
    save_model(model, tmp_path)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert "compress_shapes" not in read_config(tmp_path)
    assert plain.config.intermediate_size == 32
    assert torch.allclose(logits(plain), logits(model), atol=1e-6)


@pytest.mark.parametrize("family", [*FAMILIES, *POSITIONED])
def test_skipped_layers_are_as_if_they_were_removed(family: str, make_classifier: Callable[..., Any]) -> None:
    model, shorter = make_classifier(family), make_classifier(family)
    keep_layers(shorter, (1,))
    with skipping(model, [0]):
        assert torch.allclose(logits(model), logits(shorter), atol=1e-6)
    assert not torch.allclose(logits(model), logits(shorter), atol=1e-2)


@pytest.mark.parametrize("family", [*FAMILIES, *POSITIONED])
def test_a_student_of_kept_layers_equals_the_teacher_without_the_others(
    family: str, make_classifier: Callable[..., Any], tmp_path: Path
) -> None:
    teacher = make_classifier(family)
    student = copy.deepcopy(teacher)
    keep_layers(student, (1,))
    save_model(student, tmp_path)
    architecture = ARCHITECTURES[teacher.config.model_type]
    only = layers_of(teacher, architecture)[1]
    whole = family in POSITIONED  # whether a layer gives its attention too
    layers_of(teacher, architecture)[0].forward = lambda hidden, *_, **__: (hidden, None) if whole else hidden
    reloaded = load_model(tmp_path, TASK)
    assert len(layers_of(reloaded, architecture)) == 1
    assert torch.equal(
        layers_of(reloaded, architecture)[0].get_submodule(architecture.up).weight,
        only.get_submodule(architecture.up).weight,
    )
    assert torch.allclose(logits(reloaded), logits(teacher), atol=1e-6)


def test_parts_of_a_shared_matrix_are_its_rows(make_classifier: Callable[..., Any]) -> None:
    architecture = ARCHITECTURES["modernbert"]
    layer = layers_of(make_classifier("modernbert"), architecture)[0]
    hidden = torch.randn(1, 5, 32)
    query, key, value = layer.attn.Wqkv(hidden).view(1, 5, 3, 4, 8).unbind(2)  # as transformers does
    for name, expected in (("query", query), ("key", key), ("value", value)):
        found = hidden @ weight_of(layer, architecture, name).T
        assert torch.allclose(found, expected.flatten(2), atol=1e-6), name
    up, gate = layer.mlp.Wi(hidden).chunk(2, dim=-1)
    assert torch.allclose(hidden @ weight_of(layer, architecture, "up").T, up, atol=1e-6)
    assert torch.allclose(hidden @ weight_of(layer, architecture, "gate").T, gate, atol=1e-6)
    assert torch.equal(weight_of(layer, architecture, "down"), layer.mlp.Wo.weight)


@pytest.mark.parametrize("kept", [(0, 2), (1,), (3, 1), (2, 0)])
def test_kept_layers_of_modernbert_keep_their_own_attention_and_norms(kept: tuple[int, ...], tmp_path: Path) -> None:
    import transformers

    torch.manual_seed(2)
    config = transformers.ModernBertConfig(
        vocab_size=40,
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=64,
        local_attention=2,  # each token sees its neighbours alone, in all layers but 0 and 3
        initializer_range=0.3,
        pad_token_id=0,
    )
    teacher = transformers.ModernBertForSequenceClassification(config).eval()
    layers = layers_of(teacher, ARCHITECTURES["modernbert"])
    expected = copy.deepcopy(teacher)
    expected.model.layers = torch.nn.ModuleList(copy.deepcopy(layers[index]) for index in kept)
    student = copy.deepcopy(teacher)
    keep_layers(student, kept)
    shape = model_shape(student)
    assert shape is not None
    assert shape.attention_norms == tuple(index > 0 for index in kept)
    save_model(student, tmp_path)
    saved = read_config(tmp_path)
    kinds = ["full_attention", "sliding_attention", "sliding_attention", "full_attention"]
    assert saved["layer_types"] == [kinds[index] for index in kept]
    assert ("compress_shapes" in saved) == (kept != (0, 2))
    found = fresh_logits(tmp_path, IDS, MASK)
    assert found == pytest.approx(logits(expected).flatten().tolist(), abs=1e-6)
    expected.config.layer_types = kinds[1:2] * len(kept)
    for layer in expected.model.layers:
        layer.attention_type = "sliding_attention"
    assert (found == pytest.approx(logits(expected).flatten().tolist(), abs=1e-3)) == (kept == (1,))


def test_evenly_spaced_layers_hold_the_first_and_the_last() -> None:
    assert evenly_spaced(1, 6) == (0,)
    assert evenly_spaced(2, 6) == (0, 5)
    assert evenly_spaced(3, 6) == (0, 2, 5)
    assert evenly_spaced(6, 12) == (0, 2, 4, 7, 9, 11)
    assert all(len(set(evenly_spaced(count, 12))) == count for count in range(1, 13))


def test_shape_is_read_from_the_configuration_alone(make_model: Callable[..., Path]) -> None:
    shape = read_shape(read_config(make_model("distilbert")))
    assert shape == Shape("distilbert", 2, 32, 8, (4, 4), (64, 64))
    assert read_shape({"model_type": "unheard-of"}) is None


def test_a_missing_head_is_refused_where_none_is_to_be_made(make_model: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=r"lack classifier.*random"):
        load_model(make_model("bert"), TASK)


def test_an_encoder_without_its_weights_is_refused_even_where_a_head_is_made(
    make_model: Callable[..., Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = make_model("bert")
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "layer.1.output" not in name}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(InputError, match=r"lack bert\.encoder\.layer\.1\.output"):
        load_model(tmp_path, TASK, labels=("bad", "good"))


def test_weights_that_do_not_fit_the_configuration_are_refused(
    make_classifier: Callable[..., Any], tmp_path: Path
) -> None:
    save_model(make_classifier("bert"), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["intermediate_size"] = 48
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"intermediate.dense.bias is 64 in the file, and 48 by config.json"):
        load_model(tmp_path, TASK)


@pytest.mark.parametrize(
    ("family", "own", "problem"),
    [
        ("bert", {"bias_columns": 4}, "bias_columns, which this family does not have"),
        ("mpnet", {"bias_columns": 4, "bias_heads": [[0], [1, 2]]}, "no list of one of 4 columns for each head"),
        ("mpnet", {"bias_columns": 0, "bias_heads": [[0], [1, 2, 3]]}, "no list of one of 0 columns for each head"),
        ("mpnet", {"bias_columns": 4, "bias_heads": [[0], [1, 2, 4]]}, "which are not all from 0 to 3"),
        ("mpnet", {"bias_columns": 4, "bias_heads": [[0], [1, 2, "3"]]}, "which are not all from 0 to 3"),
    ],
)
def test_biases_that_no_head_can_have_are_refused(
    family: str, own: dict[str, Any], problem: str, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    config = read_config(make_model(family)) | {"compress_shapes": {"heads": [1, 3], "neurons": [64, 64], **own}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=problem):
        read_config(tmp_path)
