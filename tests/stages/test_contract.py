"""What every stage promises; tests/lineage/test_reproduce.py shows that two runs of them all give equal bytes."""

import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from compress import stages
from compress.errors import InputError
from compress.models.tokenizer import load_tokenizer
from compress.planning.planner import make_plan
from compress.recipe.schema import Recipe, Target
from compress.recipe.validation import Origin
from compress.runtimes import load
from tests.chain import Chain, chain_recipe

STEPS = [
    "teacher",
    "student",
    "pruned",
    "onnx",
    "skipped",
    "int8",
    "static",
    "int4",
    "half",
    "auto",
    "trained",
    "trimmed",
    "ngrams",
    "convolution",
    "elastic",
    "factorized",
    "adapted",
    "bundled",
    "linear",
    "linear_onnx",
    "linear_int8",
    "ngrams_onnx",
    "ngrams_int8",
    "ngrams_int4",
    "convolution_onnx",
    "convolution_int8",
    "nf4",
]
CHANGING = [step for step in STEPS if step != "bundled"]
"""Those whose output holds nothing of what they read."""


def test_every_stage_is_in_the_chain(chain: Chain) -> None:
    assert {step.stage_name for step in chain.plan.steps} == set(stages.names())


@pytest.mark.parametrize("name", stages.names())
def test_an_unknown_key_is_refused(name: str, make_model: Callable[..., Path], reviews: Path) -> None:
    recipe = chain_recipe(make_model(), reviews)
    steps = [step.model_dump() for step in recipe.steps]
    next(step for step in steps if step["stage"] == name)["min_agrement"] = 0.5
    broken = Recipe.model_validate({**recipe.model_dump(), "steps": steps})
    with pytest.raises(InputError, match="unknown key 'min_agrement'") as caught:
        make_plan(broken, Origin())
    assert caught.value.fix is not None
    assert "accepted:" in caught.value.fix


@pytest.mark.parametrize("name", stages.names())
def test_the_docstring_says_what_when_cost_and_source_and_its_example_plans(
    name: str, make_model: Callable[..., Path], reviews: Path
) -> None:
    text = import_module(f"compress.stages.{name}").__doc__
    assert text is not None
    assert "Use it" in text
    assert "Costs" in text
    (example,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    (step,) = yaml.safe_load(example)
    recipe = chain_recipe(make_model(), reviews)
    before: list[dict[str, Any]] = []
    for earlier in recipe.steps:
        if earlier.stage == name:
            step = {"model": earlier.settings["model"], **step} if "model" in earlier.settings else step
            break
        before.append(earlier.model_dump())
    if "model" in step and "://" in step["model"]:
        step["model"] = str(make_model())
    if "buckets" in step:
        step["buckets"] = 64  # no table may be larger than the tiny model
    if name == "distill_convolution":
        step["hidden"] = 16  # nor wider
    step["name"] = "example"
    planned = make_plan(Recipe.model_validate({**recipe.model_dump(), "steps": [*before, step]}), Origin())
    assert planned.steps[-1].stage_name == name


@pytest.mark.parametrize("name", stages.names())
def test_a_stage_can_be_sent_to_another_process(name: str) -> None:
    """As the rehearsal does with a plan."""
    assert pickle.loads(pickle.dumps(stages.find(name))) == stages.find(name)  # noqa: S301  made in this line


def test_stages_are_light_to_import() -> None:
    program = (
        "import sys; from compress import stages\n"
        "for name in stages.names(): stages.find(name)\n"
        "print(sorted({'torch', 'transformers', 'onnx', 'onnxruntime', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_loading_for_a_comparison_leaves_the_threads_of_the_process_alone(chain: Chain) -> None:
    import torch

    before = torch.get_num_threads()
    load(chain.artifacts["pruned"].path, Target(runtime="torch", threads=before + 1), chain.plan.task.hub_task)
    assert torch.get_num_threads() == before


def test_a_second_run_makes_nothing(chain: Chain, run_chain: Callable[[Path], Chain]) -> None:
    assert run_chain(chain.runs_dir).observer.made == []


@pytest.mark.int8
@pytest.mark.parametrize("step", CHANGING)
def test_the_output_reloads_and_differs_from_the_input(step: str, chain: Chain) -> None:
    artifact = chain.artifacts[step]
    runtime = "onnxruntime" if artifact.format == "onnx" else "torch"
    task = chain.plan.task
    tokenizer = load_tokenizer(artifact.path)
    batch = tokenizer.pad(task.encode(task.validation, tokenizer))
    logits = load(artifact.path, Target(runtime=runtime), task.hub_task)(batch)
    assert logits.shape == (16, 2)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()
    planned = chain.plan.step(step)
    for value in planned.inputs.values():
        if isinstance(value, str):
            before, after = chain.artifacts[value].manifest, artifact.manifest
            assert before is not None
            assert after is not None
            weights = {name for name in after.files if name.startswith("model.")}
            assert weights
            assert all(before.files.get(name) != after.files[name] for name in weights)


@pytest.mark.int8
def test_each_step_keeps_what_was_learned(chain: Chain) -> None:
    scores = {}
    task = chain.plan.task
    for step in STEPS:
        artifact = chain.artifacts[step]
        tokenizer = load_tokenizer(artifact.path)
        rows = task.encode(task.validation, tokenizer)
        runtime = "onnxruntime" if artifact.format == "onnx" else "torch"
        logits = load(artifact.path, Target(runtime=runtime), task.hub_task)(tokenizer.pad(rows))
        answers = task.answers(logits, task.validation)
        scores[step] = answers.outcome(task.truth(task.validation), "accuracy").value
    assert min(scores.values()) >= 0.8, scores
