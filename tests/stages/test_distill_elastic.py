"""An elastic student: its parts are sorted without a change, and each sub-model is what is cut out of it."""

import copy
from pathlib import Path

import pytest
import torch

from compress.errors import InputError
from compress.models.architectures import Shape
from compress.models.elastic import Size, SubModels, cut_to, is_sorted, sort_parts
from compress.models.reshape import model_shape
from compress.planning.planner import make_plan
from compress.recipe.schema import Recipe
from compress.recipe.validation import Origin
from compress.stages import distill
from compress.stages.distill_elastic import Config, sizes_of
from compress.training.elastic import all_sizes

SIZES = [Size(2, 32, 4, 64), Size(1, 32, 4, 64), Size(2, 24, 2, 32), Size(1, 8, 1, 8), Size(2, 24, 3, 40)]
IDS = torch.tensor([[2, 7, 9, 11, 3], [2, 8, 3, 0, 0]])
INPUTS = {"input_ids": IDS, "attention_mask": (IDS > 0).long()}


@pytest.fixture(params=["bert", "distilbert", "roberta", "electra", "xlm-roberta", "camembert"])
def classifier(request, make_classifier):
    return make_classifier(request.param).eval()


def random_orders(seed=0):
    generator = torch.Generator().manual_seed(seed)
    layers = [(torch.randperm(4, generator=generator), torch.randperm(64, generator=generator)) for _ in range(2)]
    return layers, torch.randperm(32, generator=generator)


def test_sorting_changes_no_output_and_puts_the_best_first(classifier):
    before = classifier(**INPUTS).logits
    layers, hidden = random_orders()
    embeddings = classifier.get_input_embeddings().weight.detach().clone()
    sort_parts(classifier, layers, hidden)
    torch.testing.assert_close(classifier(**INPUTS).logits, before, atol=1e-5, rtol=1e-5)
    assert is_sorted(classifier)
    if embeddings.shape[1] == 32:  # ELECTRA's are narrower than its hidden states
        best = int(hidden[0])
        torch.testing.assert_close(classifier.get_input_embeddings().weight[:, 0], embeddings[:, best])


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_sub_model_is_what_is_cut_out(classifier, size):
    model = classifier
    sort_parts(model, *random_orders())
    shared = SubModels(model).logits(size, INPUTS, training=False)
    separate = copy.deepcopy(model)
    cut_to(separate, size)
    shape = model_shape(separate)
    assert (shape.layers, shape.hidden) == (size.layers, size.hidden)
    assert shape == size.shape(model_shape(model))
    torch.testing.assert_close(separate(**INPUTS).logits, shared, atol=1e-5, rtol=1e-5)


def test_gradients_reach_the_first_parts_alone(make_classifier):
    model = make_classifier("bert")
    sort_parts(model, *random_orders())
    SubModels(model).logits(Size(1, 16, 2, 32), INPUTS, training=True).sum().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    up = next(gradients[name] for name in gradients if "layer.0.intermediate.dense.weight" in name)
    assert up[:32, :16].abs().sum() > 0
    assert up[32:].abs().sum() == up[:, 16:].abs().sum() == 0
    assert all(gradients[name] is None for name in gradients if "layer.1." in name)


def test_sizes_are_those_asked_for_and_the_whole(make_classifier):
    shape = model_shape(make_classifier("bert"))
    assert sizes_of(Config(layers=(1,), heads=(1, 3)), shape) == ((2, 1), (32, 24, 8), (4, 3, 1), (64, 43, 21, 11))
    assert len(all_sizes([(2, 1), (32,), (4, 2), (64,)])) == 4


@pytest.mark.parametrize(
    ("settings", "what"),
    [({"layers": (3,)}, "3 is more than the 2"), ({"hidden": (12,)}, "no multiple of a head's 8 channels")],
)
def test_sizes_that_the_model_does_not_have_are_refused(make_classifier, settings, what):
    with pytest.raises(InputError, match=what):
        sizes_of(Config(**settings), model_shape(make_classifier("bert")))


@pytest.mark.parametrize("family", ["albert", "modernbert", "mpnet", "deberta-v2"])
def test_families_whose_parts_are_shared_are_refused(family):
    shape = Shape(family, 2, 32, 8, (4, 4), (64, 64))
    with pytest.raises(InputError, match="shared"):
        sizes_of(Config(), shape)


def test_inner_states_are_refused():
    with pytest.raises(ValueError, match="outputs alone"):
        Config(hidden_weight=1.0)


@pytest.mark.parametrize(("stage", "hidden"), [("distill_elastic", [16]), ("distill", 16)])
def test_a_width_that_would_not_reload_is_refused_by_the_plan(make_model, reviews: Path, stage, hidden):
    task = {"train": str(reviews / "train.csv"), "max_length": 16}
    steps = [
        {"name": "teacher", "stage": "finetune", "model": str(make_model("electra"))},
        {"name": "student", "stage": stage, "teacher": "teacher", "hidden": hidden},
    ]
    recipe = {"name": "narrow", "task": task, "steps": steps, "device": "cpu"}
    with pytest.raises(InputError, match=r"as wide as the embeddings \(16\)") as caught:
        make_plan(Recipe.model_validate(recipe), Origin())
    assert caught.value.fix == "take 24"
    steps[1]["hidden"] = [24] if stage == "distill_elastic" else 24
    make_plan(Recipe.model_validate(recipe), Origin())


def test_a_distill_that_changes_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing is trained"):
        distill.Config(epochs=0)
