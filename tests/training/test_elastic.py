"""The training of an elastic student: sub-models learn without being trained alone, and a killed training goes on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from compress.models.elastic import Size, is_sorted
from compress.models.load import load_model
from compress.models.reshape import model_shape
from compress.models.tokenizer import load_tokenizer
from compress.stages import distill, distill_elastic
from compress.store.artifacts import Artifact
from compress.training import checkpoints
from compress.training.elastic import SubModelOutputs

from .conftest import FAST, weights
from .test_checkpoints import Killed, killed_at

LABELS_ALONE = {**FAST, "soft_weight": 0.0, "hard_weight": 1.0}
SMALLEST = Size(1, 8, 1, 11)


def run(teacher, where, out, **settings):
    out.mkdir()
    config = distill_elastic.Config(**LABELS_ALONE, **settings)
    facts = distill_elastic.run(
        teacher=(teacher,), student=None, masked_model=None, config=config, context=where, out=out
    )
    return Artifact(out, "9" * 64, "torch"), facts


def right(artifact, task, size):
    logits = SubModelOutputs(artifact.path, task, task.train)(size)
    return float(np.mean(logits.argmax(1) == np.array([row.label for row in task.train])))


def test_the_smallest_learns_beside_the_largest(teacher, context, tmp_path):
    elastic, facts = run(teacher, context, tmp_path / "elastic", epochs=24)
    assert facts["sizes"] == {"layers": [2, 1], "hidden": [32, 24, 8], "heads": [4, 3, 1], "ffn": [64, 43, 21, 11]}
    assert is_sorted(load_model(elastic.path, context.task.hub_task))
    assert right(elastic, context.task, SMALLEST) > 0.8 > right(teacher, context.task, SMALLEST)
    assert right(elastic, context.task, Size(2, 32, 4, 64)) > 0.9


def test_distill_cuts_a_sub_model_out_without_a_training(teacher, context, tmp_path):
    elastic, _ = run(teacher, context, tmp_path / "elastic", epochs=2)
    sizes = {"layers": 1, "hidden": 8, "heads": 1, "ffn": 11}
    config = distill.Config(**LABELS_ALONE, **sizes, epochs=0)
    (tmp_path / "part").mkdir()
    distill.run(
        teacher=(teacher,), student=elastic, masked_model=None, config=config, context=context, out=tmp_path / "part"
    )
    part = load_model(tmp_path / "part", context.task.hub_task).eval()
    assert model_shape(part) == SMALLEST.shape(model_shape(load_model(elastic.path, context.task.hub_task)))
    tokenizer = load_tokenizer(tmp_path / "part")
    batch = context.task.collate(context.task.encode(context.task.train, tokenizer), tokenizer)
    names = ("input_ids", "attention_mask", "token_type_ids")
    with torch.no_grad():
        logits = part(**{name: torch.from_numpy(batch[name]) for name in names}).logits.numpy()
    expected = SubModelOutputs(elastic.path, context.task, context.task.train)(SMALLEST)
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_a_killed_training_goes_on_to_the_same_weights(teacher, context, monkeypatch, tmp_path):
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.0)
    whole, expected = run(teacher, replace(context, work=tmp_path / "a"), tmp_path / "whole", epochs=3)
    killed = replace(context, work=tmp_path / "b", progress=killed_at(11))
    with pytest.raises(Killed):
        run(teacher, killed, tmp_path / "killed", epochs=3)
    again, facts = run(teacher, replace(context, work=tmp_path / "b"), tmp_path / "again", epochs=3)
    assert facts == expected
    models = [load_model(one.path, context.task.hub_task) for one in (whole, again)]
    assert torch.equal(*map(weights, models))
