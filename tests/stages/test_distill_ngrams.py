"""A student of n-grams: what is refused before any work, and that a killed training goes on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compress.errors import InputError
from compress.models.load import load_model
from compress.planning.plan import Plan
from compress.stages import find
from compress.store.artifacts import Artifact
from compress.training import checkpoints
from tests.plans import ONNX, TEACHER, model_like
from tests.training.conftest import context, fresh, teacher  # noqa: F401  fixtures

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


def test_a_table_larger_than_memory_is_refused_in_the_plan(
    plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    from compress.training import table_size

    monkeypatch.setattr(table_size, "free_memory", lambda: 10_000)
    with pytest.raises(InputError, match=r"and 4 times that while it is learned, where 10,000 are free"):
        plan(TEACHER, step(SMALL))


def test_a_teacher_without_a_table_of_tokens_is_refused_in_the_plan(
    plan: Callable[..., Plan], make_model: Callable[..., Path], tmp_path: Path
) -> None:
    odd = model_like(make_model(), tmp_path / "odd", vocab_size=None)
    with pytest.raises(InputError, match="'odd' has no table of token embeddings to start from"):
        plan(f"{{name: teacher, stage: finetune, model: {odd}}}", step(SMALL))
    plan(f"{{name: teacher, stage: finetune, model: {odd}}}", step("buckets: 64, hidden: null"))


def test_what_needs_layers_refuses_it_in_the_plan(plan: Callable[..., Plan]) -> None:
    plan(TEACHER, step(SMALL), ONNX)
    with pytest.raises(InputError, match="architecture") as caught:
        plan(TEACHER, step(SMALL), "{name: pruned, stage: prune_structured, teacher: teacher}")
    assert caught.value.fix


def test_distill_goes_on_from_a_linear_model(
    context: Any,  # noqa: F811
    teacher: Artifact,  # noqa: F811
    tmp_path: Path,
) -> None:
    for name in ("linear", "student"):
        (tmp_path / name).mkdir()
    fit, distill = find("fit_linear"), find("distill")
    fit.run(model=teacher, config=fit.config(buckets=64), context=context, out=tmp_path / "linear")
    linear = Artifact(tmp_path / "linear", "8" * 64, "torch")
    config = distill.config(epochs=1, soft_weight=0, hard_weight=1, learning_rate=1e-3, batch_size=8)
    inputs = {"teacher": (teacher,), "student": linear, "masked_model": None}
    facts = distill.run(**inputs, config=config, context=context, out=tmp_path / "student")
    assert facts["best_validation_score"] > 0.8
    before, after = (load_model(tmp_path / name, context.task.hub_task) for name in ("linear", "student"))
    changed = (before.ngrams.table.weight != after.ngrams.table.weight).any(dim=1)
    assert 0 < changed.sum() < len(changed), "rows that no text has stay as they are"


class Killed(BaseException):
    """What ends a training in the middle."""


@pytest.mark.parametrize("hidden", [16, None])
def test_a_killed_training_goes_on_to_the_weights_that_it_would_have_had(
    hidden: int | None,
    context: Any,  # noqa: F811
    teacher: Artifact,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.0)
    stage = find("distill_ngrams")
    settings = {"buckets": 64, "hidden": hidden, "epochs": 3, "batch_size": 8, "soft_weight": 0, "hard_weight": 1}
    config = stage.config.model_validate(settings)

    def make(name: str, kill_at: int | None) -> Any:
        def progress(what: str, done: int, total: int) -> None:
            if done == kill_at:
                raise Killed

        out = tmp_path / f"{name}-{kill_at}"
        out.mkdir()
        own = replace(context, work=tmp_path / name, progress=progress)
        inputs = {"teacher": (teacher,), "student": None, "masked_model": None}
        stage.run(**inputs, config=config, context=own, out=out)
        return load_model(out, context.task.hub_task)

    whole = make("whole", None)
    for at in (7, 12):
        with pytest.raises(Killed):
            make("killed", at)
    assert any((tmp_path / "killed").glob("checkpoints-*/checkpoint-*"))
    again = make("killed", None)
    theirs = again.state_dict()
    assert all(value.equal(theirs[name]) for name, value in whole.state_dict().items())
    assert whole.ngrams.table.weight.abs().max() > 0
