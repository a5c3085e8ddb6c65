"""A task with a label for each token, through the stages that make and read graphs of its model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compress.comparing.held_back import held_back
from compress.context import Context
from compress.models.tokenizer import load_tokenizer
from compress.recipe.schema import Target
from compress.runtimes import load
from compress.stages import find
from compress.store.artifacts import Artifact
from compress.training import teacher_outputs
from compress.training.teacher_outputs import ask, read_outputs
from tests.extending.opinion_words import OpinionWords

from .opinions import HUB_TASK

SETTINGS: dict[str, dict[str, Any]] = {
    "export_onnx": {},
    "quantize_onnx_dynamic": {"max_drop_pp": 50},
    "quantize_onnx_static": {},
    "quantize_onnx_4bit": {"block_size": 16},
    "quantize_onnx_trained": {"scheme": "int8_static", "recover": {"batch_size": 8}},
}


def made(stage: str, model: Artifact, context: Context, out: Path) -> Artifact:
    """What a stage makes, with its ordinary checks against the model that it reads."""
    technique = find(stage)
    config = technique.config.model_validate(SETTINGS[stage])
    inputs = {**dict.fromkeys(technique.inputs), technique.base_role: model}
    work = out.with_name(f"{out.name}-work")
    for folder in (out, work):
        folder.mkdir()
    technique.run(config=config, context=replace(context, work=work), out=out, **inputs)
    return Artifact(out, stage, "onnx")


def test_a_teacher_is_asked_in_onnxruntime_which_says_the_same_of_each_word(
    context: Context, task: OpinionWords, teacher: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = {}
    for least in (len(task.train) + 1, 1):
        monkeypatch.setattr(teacher_outputs, "EXPORT_FROM", least)
        facts = ask(teacher, task.train, 24, context, tmp_path, what="asking", run_rows=len(task.train))
        outputs[facts["runtime"]] = np.array(read_outputs(tmp_path).values)  # type: ignore[union-attr]
    assert set(outputs) == {"torch", "onnxruntime"}
    assert np.abs(outputs["torch"] - outputs["onnxruntime"]).max() < 1e-4
    assert np.abs(outputs["torch"]).max() > 1


@pytest.mark.slow
@pytest.mark.int8
@pytest.mark.parametrize("stage", [stage for stage in SETTINGS if stage != "export_onnx"])
def test_each_quantizer_keeps_the_words_labels(
    stage: str, context: Context, task: OpinionWords, teacher: Artifact, tmp_path: Path
) -> None:
    reads_torch = next(iter(find(stage).inputs.values())).format == "torch"
    model = teacher if reads_torch else made("export_onnx", teacher, context, tmp_path / "float")
    quantized = made(stage, model, context, tmp_path / "quantized")
    predict = load(quantized.path, Target(runtime="onnxruntime"), HUB_TASK)
    held = held_back(task, load_tokenizer(quantized.path))
    answers = task.answers(held.outputs(predict), held.rows)
    assert answers.outcome(task.truth(held.rows), "token_accuracy").value > 0.95
