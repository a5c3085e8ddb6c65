"""What the stages for students without a transformer share: refusals before any work, and trainings that go on."""

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

NGRAMS, CONVOLUTION = "distill_ngrams", "distill_convolution"
SMALL = {NGRAMS: "longest: 2, buckets: 64, hidden: 16", CONVOLUTION: "hidden: 16, channels: 16"}


def step(stage: str) -> str:
    return f"{{name: student, stage: {stage}, {SMALL[stage]}}}"


@pytest.mark.parametrize("stage", SMALL)
def test_a_table_larger_than_memory_is_refused_in_the_plan(
    stage: str, plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    from compress.training import table_size

    monkeypatch.setattr(table_size, "free_memory", lambda: 10_000)
    with pytest.raises(InputError, match=r"and 4 times that while it is learned, where 10,000 are free"):
        plan(TEACHER, step(stage))


@pytest.mark.parametrize(("stage", "instead"), [(NGRAMS, "; or set hidden: null"), (CONVOLUTION, "")])
def test_a_teacher_without_a_table_of_tokens_is_refused_in_the_plan(
    stage: str, instead: str, plan: Callable[..., Plan], make_model: Callable[..., Path], tmp_path: Path
) -> None:
    odd = model_like(make_model(), tmp_path / "odd", vocab_size=None)
    finetune = f"{{name: teacher, stage: finetune, model: {odd}}}"
    with pytest.raises(InputError, match="'odd' has no table of token embeddings to start from") as caught:
        plan(finetune, step(stage))
    assert caught.value.fix == f"name a model that has one: student: hf://org/name@main{instead}"
    if instead:
        plan(finetune, f"{{name: student, stage: {stage}, buckets: 64, hidden: null}}")


@pytest.mark.parametrize("stage", SMALL)
def test_what_needs_layers_refuses_it_in_the_plan(stage: str, plan: Callable[..., Plan]) -> None:
    plan(TEACHER, step(stage), ONNX)
    with pytest.raises(InputError, match="architecture") as caught:
        plan(TEACHER, step(stage), "{name: pruned, stage: prune_structured, teacher: teacher}")
    assert caught.value.fix


class Killed(BaseException):
    """What ends a training in the middle."""


@pytest.mark.parametrize(
    ("stage", "sizes", "kills"),
    [
        (NGRAMS, {"buckets": 64, "hidden": 16}, (7, 12)),
        (NGRAMS, {"buckets": 64, "hidden": None}, (7, 12)),
        (CONVOLUTION, {"hidden": 16, "channels": 8}, (12,)),
    ],
)
def test_a_killed_training_goes_on_to_the_weights_that_it_would_have_had(
    stage: str,
    sizes: dict[str, Any],
    kills: tuple[int, ...],
    context: Any,
    teacher: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.0)
    config = find(stage).config.model_validate(
        {**sizes, "epochs": 3, "batch_size": 8, "soft_weight": 0, "hard_weight": 1}
    )

    def make(name: str, kill_at: int | None) -> Any:
        def progress(what: str, done: int, total: int) -> None:
            if done == kill_at:
                raise Killed

        out = tmp_path / f"{name}-{kill_at}"
        out.mkdir()
        own = replace(context, work=tmp_path / name, progress=progress)
        inputs = {"teacher": (teacher,), "student": None, "masked_model": None}
        find(stage).run(**inputs, config=config, context=own, out=out)
        return load_model(out, context.task.hub_task)

    whole = make("whole", None)
    for at in kills:
        with pytest.raises(Killed):
            make("killed", at)
    assert any((tmp_path / "killed").glob("checkpoints-*/checkpoint-*"))
    theirs = make("killed", None).state_dict()
    assert all(value.equal(theirs[name]) for name, value in whole.state_dict().items())
    assert whole.get_input_embeddings().weight.abs().max() > 0
