"""A student of one convolution: what is refused before any work, and what training and rounding make of it."""

import math
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
from tests.chain import Chain
from tests.plans import ONNX, TEACHER, model_like
from tests.training.conftest import context, fresh, teacher  # noqa: F401  fixtures

SMALL = "hidden: 16, channels: 16"


def step(settings: str) -> str:
    return f"{{name: student, stage: distill_convolution, {settings}}}"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (f"{SMALL}, hidden_weight: 1", "look inside a transformer, which this student is not: set both to 0"),
        (f"{SMALL}, relation_weight: 1", "look inside a transformer, which this student is not: set both to 0"),
        ("hidden: 33", "a table of 33 channels cannot start from token embeddings of 32"),
        (
            "hidden: 32, channels: 4096",
            r"rows of 32 channels with 393,216 weights behind it takes 1,58\d,\d\d\d bytes, and the model that",
        ),
        (f"{SMALL}, width: 0", "width"),
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
    with pytest.raises(InputError, match="'odd' has no table of token embeddings to start from") as caught:
        plan(f"{{name: teacher, stage: finetune, model: {odd}}}", step(SMALL))
    assert caught.value.fix == "name a model that has one: student: hf://org/name@main"


def test_what_needs_layers_refuses_it_in_the_plan(plan: Callable[..., Plan]) -> None:
    plan(TEACHER, step(SMALL), ONNX)
    with pytest.raises(InputError, match="architecture"):
        plan(TEACHER, step(SMALL), "{name: pruned, stage: prune_structured, teacher: teacher}")


class Killed(BaseException):
    """What ends a training in the middle."""


def test_a_killed_training_goes_on_to_the_weights_that_it_would_have_had(
    context: Any,  # noqa: F811
    teacher: Artifact,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.0)
    stage = find("distill_convolution")
    settings = {"hidden": 16, "channels": 8, "epochs": 3, "batch_size": 8, "soft_weight": 0, "hard_weight": 1}
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
    with pytest.raises(Killed):
        make("killed", 12)
    assert any((tmp_path / "killed").glob("checkpoints-*/checkpoint-*"))
    theirs = make("killed", None).state_dict()
    assert all(value.equal(theirs[name]) for name, value in whole.state_dict().items())


@pytest.mark.int8
def test_in_int8_a_weight_of_the_table_and_of_the_convolution_takes_a_byte(chain: Chain) -> None:
    import onnx

    path = chain.artifacts["convolution_int8"].path / "model.onnx"
    graph = onnx.load(path).graph
    codes = {tuple(tensor.dims) for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT8}
    sizes = load_model(chain.artifacts["convolution"].path, "text-classification").config
    assert {(sizes.vocab_size, 16), (3 * 16, 16)} <= codes
    floats = {tensor.name: math.prod(tensor.dims) for tensor in graph.initializer if tensor.data_type == 1}
    assert max(floats.values()) <= 2 * 16, floats  # the classifier's matrix of two labels at most
    nodes = [node.op_type for node in graph.node]
    assert "DynamicQuantizeMatMul" in nodes
    assert not {"Conv", "ConvInteger"} & set(nodes)
