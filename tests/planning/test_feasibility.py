"""What a plan says, before any work, of targets and steps that this machine cannot have."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from compress import runtimes
from compress.errors import InputError
from compress.planning.feasibility import check_feasible
from compress.planning.plan import Plan
from tests.plans import CPU, INT8, ONNX, PRUNED, STUDENT, TEACHER

NF4 = "{name: nf4, stage: quantize_bnb}"
NO_CUDA = "this onnxruntime has no CUDAExecutionProvider (install onnxruntime-gpu, and what it needs of CUDA)"
NO_TENSORRT = NO_CUDA.replace("CUDAE", "TensorrtE")
NO_OPENVINO = "openvino is not installed"
NO_DEVICE = "this machine has no CUDA device that torch can use"


@pytest.fixture(autouse=True)
def _bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No CUDA, no OpenVINO, two cores."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(runtimes.find("openvino"), "find_spec", lambda name: None)
    monkeypatch.setattr("compress.planning.feasibility.cores_here", lambda: 2)


def targets(**named: str) -> str:
    return "targets: {" + ", ".join(f"{name}: {settings}" for name, settings in named.items()) + "}"


IMPOSSIBLE = {
    "{device: cuda}": NO_CUDA,
    "{runtime: tensorrt, device: cuda}": NO_TENSORRT,
    "{runtime: openvino}": NO_OPENVINO,
    "{runtime: torch, device: cuda}": NO_DEVICE,
    "{runtime: torch_compile, device: cuda, precision: bf16}": NO_DEVICE,
}


@pytest.mark.parametrize(("settings", "reason"), IMPOSSIBLE.items())
def test_a_target_that_cannot_be_had_is_skipped_and_said(settings: str, reason: str, plan: Callable[..., Plan]) -> None:
    found = check_feasible(plan(TEACHER, ONNX, more=targets(cpu="{threads: 1}", odd=settings)), ())
    assert list(found.targets) == ["odd"]
    assert found.targets["odd"].startswith(reason)
    (warning,) = found.warnings
    assert warning.startswith(f"target 'odd' will be skipped: {reason}")


def test_where_no_target_can_be_had_the_plan_is_refused(plan: Callable[..., Plan], tmp_path: Path) -> None:
    both = targets(one="{device: cuda}", two="{runtime: openvino}")
    with pytest.raises(InputError) as caught:
        check_feasible(plan(TEACHER, ONNX, more=both), ())
    assert caught.value.what.startswith(
        f"nothing can be measured here: target 'one': {NO_CUDA}; target 'two': {NO_OPENVINO}"
    )
    assert caught.value.where == f"{tmp_path / 'recipe.yaml'}:6"
    with pytest.raises(InputError, match=r"^nothing can be measured here: targets 'one', 'two': openvino is"):
        check_feasible(plan(TEACHER, ONNX, more=targets(one="{runtime: openvino}", two="{runtime: openvino}")), ())
    assert "without targets" in str(caught.value.fix)


@pytest.mark.parametrize(
    ("settings", "steps", "reason"),
    [
        ("{}", ("nf4",), "the runtime 'onnxruntime' does not run the format 'torch_bnb'"),
        ("{runtime: torch_compile}", ("nf4",), "the runtime 'torch_compile' does not run the format 'torch_bnb'"),
        ("{runtime: torch, precision: bf16}", ("nf4",), "bitsandbytes weights bring their own precision"),
    ],
)
def test_a_step_that_does_not_run_on_a_target_is_named(
    settings: str, steps: tuple[str, ...], reason: str, plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimes.find("torch_compile"), "unavailable", lambda target: None)
    found = check_feasible(plan(TEACHER, NF4, more=targets(odd=settings)), ())
    assert [(skip.target, skip.steps, skip.reason) for skip in found.skipped] == [("odd", steps, reason)]
    assert str(found.skipped[0]) == f"target 'odd': nf4 will be skipped: {reason}"
    assert found.targets == {}


def test_a_target_that_runs_nothing_of_the_recipe_counts_as_a_whole(plan: Callable[..., Plan], labelled: Path) -> None:
    packed = f"{{name: nf4, stage: quantize_bnb, model: {labelled}}}"
    recipe = plan(packed, more=targets(odd="{runtime: torch, precision: fp16}") + "\nbaseline: nf4")
    with pytest.raises(InputError, match="nothing can be measured here: target 'odd': bitsandbytes weights bring"):
        check_feasible(recipe, ())


def test_a_goal_that_nothing_can_reach_and_too_many_threads_are_cautioned_of(plan: Callable[..., Plan]) -> None:
    more = targets(wide="{threads: 8}", narrow="{threads: 2}", gpu="{device: cuda, threads: 8}")
    found = check_feasible(plan(TEACHER, NF4, more=f"{more}\ngoal: {{max_drop_pp: 1}}"), ())
    assert found.cautions == (
        "target 'wide' asks for 8 threads, and this process may use 2 cores: they will take turns",
        "the goal will be missed: the last step, 'nf4', is measured on no target",
    )


IMPOSSIBLE_STEPS: list[tuple[tuple[str, ...], dict[str, Any], str, str]] = [
    ((TEACHER,), {"device": "cuda"}, f"step 'teacher': {NO_DEVICE}", "set device: auto"),
    (
        (TEACHER.replace("}", ", precision: fp16}"),),
        {},
        "step 'teacher': a CPU does not train in fp16",
        "set precision: auto, bf16 or fp32",
    ),
    (
        (TEACHER, STUDENT, PRUNED.replace("}", ", recover: {precision: fp16}}")),
        {"device": "cpu"},
        "step 'pruned': a CPU does not train in fp16",
        "set precision: auto, bf16 or fp32",
    ),
    (
        (TEACHER, PRUNED.replace("}", ", min_speedup: 2, target: {device: cuda}}")),
        {},
        f"step 'pruned': nothing can be timed on its target: {NO_CUDA}",
        "give the step a target of this machine",
    ),
    (
        (TEACHER, ONNX, "{name: auto, stage: quantize_onnx_auto, target: {runtime: openvino}}"),
        {},
        f"step 'auto': nothing can be timed on its target: {NO_OPENVINO}",
        "give the step a target of this machine",
    ),
]


@pytest.mark.parametrize(("steps", "overrides", "what", "fix"), IMPOSSIBLE_STEPS)
def test_a_step_that_cannot_be_made_here_is_refused_unless_it_is_made(
    steps: tuple[str, ...], overrides: dict[str, Any], what: str, fix: str, plan: Callable[..., Plan]
) -> None:
    planned = plan(*steps, **overrides)
    with pytest.raises(InputError) as caught:
        check_feasible(planned, ())
    assert caught.value.what.startswith(what)
    assert caught.value.fix == fix
    assert check_feasible(planned, {step.name for step in planned.steps}).warnings == []


def test_settings_that_do_nothing_are_not_held_against_a_step(plan: Callable[..., Plan]) -> None:
    idle = PRUNED.replace("}", ", target: {device: cuda}, recover: {epochs: 0, precision: fp16}}")
    assert check_feasible(plan(TEACHER, idle, ONNX, INT8), ()).warnings == []


def test_a_step_times_no_texts_longer_than_its_model_takes(plan: Callable[..., Plan]) -> None:
    long = "{name: auto, stage: quantize_onnx_auto, target: {sequence_length: 257}}"
    with pytest.raises(InputError) as caught:
        plan(TEACHER, ONNX, long, more=CPU)
    assert caught.value.what == (
        "step 'auto': target.sequence_length is 257, but the model has positions for 256 tokens"
    )
    assert caught.value.fix == "set target.sequence_length to at most 256"
