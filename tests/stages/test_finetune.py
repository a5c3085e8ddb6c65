"""finetune with `epochs: 0`: a fine-tuned model as it is, in the order of the data's labels, or a refusal."""

import json
from dataclasses import replace

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from compress.errors import InputError
from compress.models.config_file import labels_of
from compress.models.load import save_model
from compress.models.tokenizer import copy_tokenizer, load_tokenizer
from compress.planning.planner import make_plan
from compress.recipe.schema import Recipe
from compress.recipe.validation import Origin
from compress.running.runner import run_plan
from compress.stages import finetune
from compress.store.artifacts import Artifact
from tests.chain import Chain, Silent, context_of
from tests.classifiers import TEXTS
from tests.plans import model_like

AS_IT_IS = finetune.Config(epochs=0)
FAMILIES = ["bert", "roberta", "electra", "distilbert", "albert", "deberta-v2", "mpnet", "squeezebert", "modernbert"]


@pytest.fixture
def fine_tuned(make_classifier, make_model, tmp_path):
    """Writes a classifier of a family whose labels stand in an order."""

    def write(*labels, family="bert"):
        model = make_classifier(family, seed=7)
        with torch.no_grad():  # so that the outputs of both labels differ much
            for name, parameter in model.named_parameters():
                if name.endswith("bias"):
                    parameter.uniform_(-1, 1)
        model.config.id2label, model.config.label2id = dict(enumerate(labels)), dict(map(reversed, enumerate(labels)))
        folder = tmp_path / "-".join((family, *labels))
        save_model(model, folder)
        copy_tokenizer(make_model(family), folder)
        return folder

    return write


def logits_by_label(folder):
    """What plain transformers says of a few texts, by the name of the label."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    rows = load_tokenizer(folder).encode(TEXTS, None, 32)
    with torch.no_grad():
        logits = torch.cat([model(**{name: torch.tensor([ids]) for name, ids in row.items()}).logits for row in rows])
    return {name: logits[:, number] for number, name in model.config.id2label.items()}


def take(folder, chain, out):
    finetune.run(model=Artifact(folder, "0" * 64, "torch"), config=AS_IT_IS, context=context_of(chain, out), out=out)
    return out


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("labels", [("bad", "good"), ("good", "bad")])
def test_a_model_taken_as_it_is_says_the_same_of_each_label(fine_tuned, chain: Chain, tmp_path, family, labels):
    folder = fine_tuned(*labels, family=family)
    out = take(folder, chain, tmp_path / "out")
    assert labels_of(out) == list(chain.plan.task.labels) == ["bad", "good"]
    before, after = logits_by_label(folder), logits_by_label(out)
    assert (before["good"] - before["bad"]).abs().min() > 1e-3
    for name in labels:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-6)


def test_three_labels_in_any_order_stay_with_their_outputs(fine_tuned, make_classifier, chain: Chain, tmp_path):
    names = ["c", "a", "b"]
    folder = fine_tuned("good", "bad")
    config = json.loads((folder / "config.json").read_text())
    config |= {"id2label": dict(enumerate(names)), "label2id": {name: place for place, name in enumerate(names)}}
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    weights |= {"classifier.weight": torch.randn(3, 32), "classifier.bias": torch.tensor([1.0, 20.0, 300.0])}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    context = replace(context_of(chain, tmp_path), task=replace(chain.plan.task, labels=("a", "b", "c")))
    out = tmp_path / "out"
    finetune.run(model=Artifact(folder, "0" * 64, "torch"), config=AS_IT_IS, context=context, out=out)
    assert load_file(out / "model.safetensors")["classifier.bias"].tolist() == [20.0, 300.0, 1.0]
    before, after = logits_by_label(folder), logits_by_label(out)
    for name in names:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-6)


def recipe_of(model, reviews, epochs=0, **task):
    rows = {"train": f"{reviews}/train.csv", "test": f"{reviews}/test.csv", "max_length": 32, **task}
    steps = [{"name": "teacher", "stage": "finetune", "model": str(model), "epochs": epochs}]
    return Recipe.model_validate({"name": "taken", "task": rows, "steps": steps, "device": "cpu"})


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, "its labels are 'LABEL_0', 'LABEL_1'"),
        ({"id2label": {"0": "Bad", "1": "Good"}}, "its labels are 'Bad', 'Good'"),
        ({"id2label": {"0": "bad", "1": "good", "2": "so-so"}}, "its labels are 'bad', 'good', 'so-so'"),
        ({"id2label": {str(n): f"c{n}" for n in range(9)}}, "'c5', … (9 in all)"),
        ({"id2label": None}, "its config.json names no labels"),
        ({"architectures": ["BertModel"]}, "BertModel has no head for text-classification"),
        ({"architectures": ["BertForMaskedLM"]}, "BertForMaskedLM has no head for text-classification"),
        ({"problem_type": "multi_label_classification"}, "is made for 'multi_label_classification'"),
    ],
)
def test_a_model_without_the_datas_labels_is_refused_by_the_plan(fine_tuned, reviews, tmp_path, config, problem):
    other = model_like(fine_tuned("bad", "good"), tmp_path / "other", **config)
    with pytest.raises(InputError, match="with epochs: 0 the model 'other' is taken as it is, but") as caught:
        make_plan(recipe_of(other, reviews), Origin())
    assert problem in caught.value.what
    assert caught.value.what.endswith("the data has the labels 'bad', 'good'")
    assert caught.value.fix.startswith("raise epochs above 0")
    make_plan(recipe_of(other, reviews, epochs=1), Origin())


def test_a_head_that_is_not_in_the_file_is_refused_before_anything_is_written(fine_tuned, chain: Chain, tmp_path):
    folder = fine_tuned("bad", "good")
    weights = load_file(folder / "model.safetensors")
    body = {name: weight for name, weight in weights.items() if not name.startswith("classifier")}
    save_file(body, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"lack classifier.bias, classifier.weight, .* they would be random"):
        take(folder, chain, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_its_key_depends_on_the_labels_alone_so_that_parts_of_the_rows_share_it(fine_tuned, reviews, tmp_path):
    model = fine_tuned("good", "bad")
    selecting = [{"selecting": {"part": part, "parts": 3}} for part in range(2)]

    def teachers(epochs):
        plans = [make_plan(recipe_of(model, reviews, epochs, **task), Origin()) for task in selecting]
        return {plan.step("teacher").identity.key for plan in plans}, plans[0]

    keys, plan = teachers(0)
    assert len(keys) == 1
    assert len(teachers(1)[0]) == 2
    assert plan.baseline == "teacher"
    artifact = run_plan(plan, tmp_path / "runs", Silent()).artifacts["teacher"]
    assert labels_of(artifact.path) == ["bad", "good"]
    assert artifact.facts == {}, "nothing was trained"
