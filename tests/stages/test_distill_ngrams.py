"""A student of n-grams: what is refused before any work, and that a killed training goes on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from compress.errors import InputError
from compress.models.load import load_model, save_model
from compress.planning.plan import Plan
from compress.stages import find
from compress.store.artifacts import Artifact
from tests.plans import TEACHER

SMALL = "longest: 2, buckets: 64, hidden: 16"


def step(settings: str) -> str:
    return f"{{name: student, stage: distill_ngrams, {settings}}}"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("buckets: 0", "n-grams of 2 tokens need buckets: give buckets: 32768, or set longest: 1"),
        (f"{SMALL}, hidden_weight: 1", "look inside a transformer, which this student is not: set both to 0"),
        (f"{SMALL}, relation_weight: 1", "look inside a transformer, which this student is not: set both to 0"),
        ("buckets: 64, hidden: 33", "a table of 33 channels cannot start from token embeddings of 32"),
        ("hidden: null, layer: 8", "layer does nothing without hidden; leave it out, or take hidden: 32"),
        (
            "buckets: 20000",
            r"20,0\d\d rows of 2 channels takes 160,\d\d\d bytes, and the model that it replaces \d",
        ),
        (f"{SMALL}, augment: {{copies: 1, masked: 1}}", "augment.masked needs a masked language model"),
    ],
)
def test_what_cannot_be_is_refused_in_the_plan(settings: str, message: str, plan: Callable[..., Plan]) -> None:
    with pytest.raises(InputError, match=message):
        plan(TEACHER, step(settings))


def test_distill_goes_on_from_a_linear_model(
    context: Any,
    teacher: Artifact,
    tmp_path: Path,
) -> None:
    for name in ("linear", "student"):
        (tmp_path / name).mkdir()
    fit, distill = find("fit_linear"), find("distill")
    fit.run(model=teacher, config=fit.config(buckets=64), context=context, out=tmp_path / "linear")
    unsure = load_model(tmp_path / "linear", context.task.hub_task)  # a sure one, always right, has nothing to learn
    with torch.no_grad():
        unsure.ngrams.table.weight.mul_(0.01)
        unsure.bias.mul_(0.01)
    save_model(unsure, tmp_path / "linear")
    linear = Artifact(tmp_path / "linear", "8" * 64, "torch")
    config = distill.config(epochs=1, soft_weight=0, hard_weight=1, learning_rate=1e-3, batch_size=8)
    inputs = {"teacher": (teacher,), "student": linear, "masked_model": None}
    facts = distill.run(**inputs, config=config, context=context, out=tmp_path / "student")
    assert facts["best_validation_score"] > 0.8
    before, after = (load_model(tmp_path / name, context.task.hub_task) for name in ("linear", "student"))
    changed = (before.ngrams.table.weight != after.ngrams.table.weight).any(dim=1)
    assert 0 < changed.sum() < len(changed), "rows that no text has stay as they are"
