"""Targets and steps that this machine cannot have: `compress plan` says so of each, or refuses the recipe."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.newcomer.without import environment, python_without
from benchmarks.newcomer.workplace import Workplace

WITHOUT_CUDA = {"CUDA_VISIBLE_DEVICES": ""}
"""On a machine with a GPU too, none of the processes sees it."""
CPU = "cpu: {threads: 1}"
NO_CUDA = "this onnxruntime has no CUDAExecutionProvider"
NO_TENSORRT = "this onnxruntime has no TensorrtExecutionProvider"
NO_OPENVINO = "openvino is not installed"
NO_DEVICE = "this machine has no CUDA device that torch can use"
NO_COMPILER = "torch.compile needs a C++ compiler on the CPU, and none is installed"
TEACHER = "{name: teacher, stage: finetune, model: MODEL}"
ONNX = "{name: onnx, stage: export_onnx}"
NF4 = "{name: nf4, stage: quantize_bnb, bits: 4}"
MANY = 4 * (os.cpu_count() or 1)
ROWS = 40


@dataclass(frozen=True)
class Case:
    """A recipe that asks for what cannot be had.

    Attributes:
        refused: `plan` and `run` both end with 2, and nothing is made; else `plan` ends with 0.
        says: what the plan must say.
        lacks: `openvino`: it is not installed there; `compiler`: none is in the path.
    """

    name: str
    refused: bool
    says: str
    targets: Sequence[str] = (CPU,)
    steps: Sequence[str] = (TEACHER, ONNX)
    more: str = ""
    lacks: str = ""


def _alone_and_beside(name: str, target: str, why: str, **more: Any) -> list[Case]:
    """A target that cannot be had, as the only one, and beside one that can."""
    return [
        Case(f"{name}, alone", True, f"nothing can be measured here: target 'odd': {why}", [target], **more),
        Case(f"{name}, beside a CPU", False, f"target 'odd' will be skipped: {why}", [CPU, target], **more),
    ]


CASES = [
    *_alone_and_beside("onnxruntime on CUDA", "odd: {device: cuda}", NO_CUDA),
    *_alone_and_beside("TensorRT", "odd: {runtime: tensorrt, device: cuda}", NO_TENSORRT),
    *_alone_and_beside("torch on CUDA", "odd: {runtime: torch, device: cuda}", NO_DEVICE),
    *_alone_and_beside("compiled on CUDA", "odd: {runtime: torch_compile, device: cuda, precision: bf16}", NO_DEVICE),
    *_alone_and_beside("OpenVINO, not installed", "odd: {runtime: openvino}", NO_OPENVINO, lacks="openvino"),
    *_alone_and_beside("compiled without a compiler", "odd: {runtime: torch_compile}", NO_COMPILER, lacks="compiler"),
    Case("halves through onnxruntime", True, "onnxruntime takes no 'precision'", ["odd: {precision: fp16}"]),
    Case("TensorRT on a CPU", True, "tensorrt runs on device: cuda alone", ["odd: {runtime: tensorrt}"]),
    Case("OpenVINO on CUDA", True, "openvino runs on device: cpu alone", ["odd: {runtime: openvino, device: cuda}"]),
    Case("a runtime that is none", True, "'targets.odd.runtime' is 'tensorflow'", ["odd: {runtime: tensorflow}"]),
    Case("a batch of 0", True, "'targets.odd.batch_size' is 0", ["odd: {batch_size: 0}"]),
    Case("no threads", True, "'targets.odd.threads' is 0", ["odd: {threads: 0}"]),
    Case("texts longer than the model takes", True, "has positions for 512 tokens", ["odd: {sequence_length: 513}"]),
    Case(
        "more threads than cores",
        False,
        f"target 'odd' asks for {MANY} threads, and this process may use",
        [f"odd: {{threads: {MANY}}}"],
    ),
    Case(
        "bitsandbytes weights on onnxruntime",
        False,
        "skipped on it: nf4 (the runtime 'onnxruntime' does not run the format 'torch_bnb')",
        steps=(TEACHER, NF4),
    ),
    Case(
        "bitsandbytes weights in bf16",
        False,
        "skipped on it: nf4 (bitsandbytes weights bring their own precision)",
        ["odd: {runtime: torch, precision: bf16}"],
        (TEACHER, NF4),
    ),
    Case(
        "an ONNX file on torch",
        False,
        "skipped on it: onnx (the runtime 'torch' does not run the format 'onnx')",
        ["odd: {runtime: torch}"],
    ),
    Case(
        "a goal that no target measures",
        False,
        "the goal will be missed: the last step, 'nf4', is measured on no target",
        steps=(TEACHER, NF4),
        more="goal: {max_drop_pp: 1}",
    ),
    Case("training on CUDA", True, f"step 'teacher': {NO_DEVICE}", more="device: cuda"),
    Case(
        "training in fp16 on a CPU",
        True,
        "step 'teacher': a CPU does not train in fp16",
        steps=(TEACHER.replace("}", ", precision: fp16}"), ONNX),
    ),
    Case(
        "pruning for a speed on CUDA",
        True,
        f"step 'pruned': nothing can be timed on its target: {NO_CUDA}",
        steps=(TEACHER, "{name: pruned, stage: prune_structured, min_speedup: 2, target: {device: cuda}}", ONNX),
    ),
    Case(
        "the best way of quantizing, timed on TensorRT",
        True,
        f"step 'small': nothing can be timed on its target: {NO_TENSORRT}",
        steps=(TEACHER, ONNX, "{name: small, stage: quantize_onnx_auto, target: {runtime: tensorrt, device: cuda}}"),
    ),
    Case(
        "the best way of quantizing, timed on texts too long",
        True,
        "step 'small': target.sequence_length is 513, but the model has positions for 512 tokens",
        steps=(TEACHER, ONNX, "{name: small, stage: quantize_onnx_auto, target: {sequence_length: 513}}"),
    ),
]


@dataclass(frozen=True)
class Tried:
    """What a command said, and how it ended."""

    code: int
    said: str = field(repr=False)


def measure(place: Workplace) -> list[dict[str, Any]]:
    """Plan each case, and run those that the plan refuses."""
    here = place.new_folder("plan")
    pythons = {"openvino": python_without("openvino", here / "no-openvino")}
    empty = here / "empty"
    empty.mkdir()
    (here / "rows.csv").write_text("text,label\n" + _rows())
    model = place.run / "steps" / "teacher"
    records = []
    for number, case in enumerate(CASES):
        recipe = here / f"case{number}.yaml"
        recipe.write_text(_recipe(case, model, here))
        python = str(pythons.get(case.lacks, sys.executable))
        variables = {**os.environ, **WITHOUT_CUDA, **(environment() if case.lacks in pythons else {})}
        if case.lacks == "compiler":
            variables |= {"PATH": str(empty)}
            variables.pop("CXX", None)
        plan = _try(python, ["plan", recipe.name, "--no-forecast"], here, variables)
        run = _try(python, ["run", recipe.name], here, variables) if case.refused else None
        records.append(_judged(case, plan, run, here))
    return records


def figures(records: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many were tried, and of how many the plan does not say that they cannot be had."""
    return {
        "plan_impossible": len(records),
        "plan_impossible_accepted": sum(not record["said"] for record in records),
    }


def _recipe(case: Case, model: Path, here: Path) -> str:
    steps = "\n".join(f"  - {step.replace('MODEL', json.dumps(str(model)))}" for step in case.steps)
    task = f"{{train: {json.dumps(str(here / 'rows.csv'))}, test_fraction: 0.2, max_length: 32}}"
    return f"name: case\ntask: {task}\nsteps:\n{steps}\ntargets: {{{', '.join(case.targets)}}}\n{case.more}\n"


def _rows() -> str:
    return "".join(
        f"a {'good' if row % 2 else 'bad'} film number {row},{'good' if row % 2 else 'bad'}\n" for row in range(ROWS)
    )


def _try(python: str, arguments: Sequence[str], folder: Path, variables: Mapping[str, str]) -> Tried:
    command = [python, "-P", "-m", "compress", *arguments]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    return Tried(done.returncode, " ".join(f"{done.stdout}\n{done.stderr}".split()))


def _judged(case: Case, plan: Tried, run: Tried | None, here: Path) -> dict[str, Any]:
    right = plan.code == (2 if case.refused else 0) and case.says in plan.said
    if run is not None:
        right = right and run.code == 2 and case.says in run.said and not (here / "runs").exists()
    return {
        "case": case.name,
        "said": right,
        "plan": {"code": plan.code, "said": plan.said},
        "run": None if run is None else {"code": run.code, "said": run.said},
    }
