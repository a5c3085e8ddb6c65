"""What a stage says of itself is what the planner goes by: its base, whose model its own comes from, its own check."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compress import stages
from compress.context import KnownModel, KnownStep
from compress.errors import InputError
from compress.models.architectures import Shape
from compress.planning.ablation import without
from compress.running.forecast import lower_bound
from compress.stages import Input, Stage, StageConfig, distill, finetune, prune_structured, trim_vocabulary
from compress.training.config import Recover
from tests.plans import INT8, ONNX, TEACHER

HOST: Mapping[str, Any] = {}
MERGED = "{name: merged, stage: merge, other: teacher}"


class Config(StageConfig):
    """Of a stage of somebody else."""

    parts: int = 2
    training: Recover = Recover(epochs=0)


def _run(**_: Any) -> None:
    raise AssertionError("a plan makes nothing")


def _shape(_: Config, shapes: Mapping[str, Shape | None]) -> Shape | None:
    return shapes["main"]


def _check(step: KnownStep) -> None:
    others = [other.step for other in step.inputs["other"]]
    if len(others) + 1 != step.config.parts:
        raise InputError(f"{others} and {step.model.step} are not {step.config.parts}", fix="name others")
    if not all(step.model.gives_ids_of(other) for other in step.inputs["other"]):
        raise InputError("their tokenizers differ", fix="do not trim between them")
    if step.longest > 64:
        raise InputError(f"{step.longest} tokens are too many", fix="cut the texts")


MERGE = Stage(
    Config,
    _run,
    inputs={"other": Input("torch", many=True), "main": Input("torch")},
    output="torch",
    version=1,
    shape=_shape,
    base_role="main",
    needs_data=False,
    check=_check,
)


@pytest.fixture(autouse=True)
def merge(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy stage, found by its name as others are."""
    find = stages.find
    monkeypatch.setattr(stages, "find", lambda name, where=None: MERGE if name == "merge" else find(name, where))


def test_the_base_reads_the_step_before_wherever_it_stands_among_the_inputs(plan) -> None:
    made = plan(TEACHER, "{name: again, stage: finetune, epochs: 1}", MERGED, ONNX)
    step = made.step("merged")
    assert dict(step.inputs) == {"other": "teacher", "main": "again"}
    assert (step.base, step.model, made.parent("merged")) == ("again", "again", "again")
    assert step.shape == made.step("again").shape
    assert made.step("onnx").inputs == {"model": "merged"}


def test_a_base_without_a_step_before_is_asked_for_by_its_role(plan, labelled) -> None:
    with pytest.raises(InputError, match="step 'merged' has no 'main': there is no step before it"):
        plan(f"{{name: merged, stage: merge, other: {labelled}}}")


def test_its_check_sees_settings_roles_tokenizers_and_the_longest_text(plan) -> None:
    with pytest.raises(InputError, match=r"step 'merged': \['teacher'\] and teacher are not 3") as caught:
        plan(TEACHER, MERGED.replace("}", ", parts: 3}"))
    assert caught.value.where is not None
    assert caught.value.where.endswith("recipe.yaml:5")
    with pytest.raises(InputError, match="step 'merged': their tokenizers differ"):
        plan(TEACHER, "{name: trimmed, stage: trim_vocabulary}", MERGED)
    with pytest.raises(InputError, match="step 'merged': 96 tokens are too many"):
        plan(TEACHER, MERGED, more="targets: {cpu: {threads: 1, sequence_length: 96}}")


def test_without_a_step_its_readers_read_what_its_base_read(plan) -> None:
    recipe = plan(TEACHER, "{name: again, stage: finetune, epochs: 1}", MERGED, ONNX).recipe
    assert without(recipe, 2).steps[2].settings["model"] == "again"


def test_a_forecast_asks_the_stage_what_it_trains_and_writes(plan, monkeypatch) -> None:
    def figures() -> tuple[int, int, int]:
        found = {step.step: step for step in lower_bound(plan(TEACHER, MERGED), (), HOST).steps}["merged"]
        return found.memory_bytes, found.artifact_bytes, found.scratch_bytes

    memory, artifact, scratch = figures()
    assert (artifact, scratch) == (memory, 0)
    trains = replace(MERGE, trainings=lambda config: [Recover()])
    find = stages.find
    monkeypatch.setattr(stages, "find", lambda name, where=None: trains if name == "merge" else find(name, where))
    assert figures() == (4 * memory, memory, 6 * memory)


def test_of_graphs_only_a_stage_that_says_so_writes_floats(plan) -> None:
    found = {step.step: step for step in lower_bound(plan(TEACHER, ONNX, INT8), (), HOST).steps}
    assert found["onnx"].artifact_bytes == found["teacher"].artifact_bytes > 0
    assert found["int8"].artifact_bytes == 0


def test_what_is_not_said_is_the_first_input() -> None:
    assert (MERGE.base_role, MERGE.model_role, list(MERGE.other_inputs)) == ("main", "main", ["other"])
    plain = replace(MERGE, base_role="", model_role="")
    assert (plain.base_role, plain.model_role) == ("other", "other")
    with pytest.raises(ValueError, match="'mian' is none of the stage's inputs: other, main"):
        replace(MERGE, base_role="mian")
    assert distill.STAGE.model_of({"teacher": 1, "student": 2}) == 2
    assert distill.STAGE.model_of({"teacher": 1}) == 1


def test_pruning_says_the_trainings_between_its_cuts() -> None:
    cut_only = prune_structured.Config(cuts=3, cut_epochs=0.5, recover=Recover(epochs=0))
    assert [training.epochs for training in prune_structured.STAGE.trainings(cut_only)] == [0.5]
    assert [t.epochs for t in prune_structured.STAGE.trainings(prune_structured.Config(cuts=3))] == [1.0, 1.0]
    assert prune_structured.STAGE.trainings(prune_structured.Config(recover=Recover(epochs=0))) == []
    assert [training.epochs for training in finetune.STAGE.trainings(finetune.Config(epochs=3))] == [3]


def known(path: Path, step: str | None = None, shape: Shape | None = None, tokenizer: Any = None) -> KnownModel:
    return KnownModel(path, step, shape, tokenizer or path)


def test_stages_under_a_teacher_refuse_what_does_not_fit_it_on_their_own(plan, tmp_path: Path) -> None:
    task = plan(TEACHER).task
    two, three = (Shape("bert", layers, 32, 8, (4,) * layers, (64,) * layers) for layers in (2, 3))
    own, other = known(tmp_path, shape=two), known(tmp_path, "trimmed", three, "trimmed")
    looks = prune_structured.Config(recover=Recover(hidden_weight=1.0))

    def check(teachers: tuple[KnownModel, ...], config: Any = looks, **inputs: tuple[KnownModel, ...]) -> None:
        prune_structured.STAGE.check(KnownStep(config, {"teacher": teachers, **inputs}, own, two, 32, task))

    check((own,))
    with pytest.raises(InputError, match="reads the same token ids as its teacher"):
        check((other,))
    with pytest.raises(InputError, match="look inside one teacher, and several are named"):
        check((own, other))
    with pytest.raises(InputError, match="inside the teacher, whose architecture is not known"):
        check((known(tmp_path),))
    masked = prune_structured.Config(recover=Recover(augment={"copies": 1, "masked": 1.0}))
    with pytest.raises(InputError, match="the step 'words' gives no masked language model"):
        check((own,), masked, masked_model=(known(tmp_path, "words"),))
    between = prune_structured.Config(cuts=2, recover=Recover(epochs=0, hidden_weight=1.0))
    with pytest.raises(InputError, match="reads the same token ids as its teacher"):  # it trains between the cuts
        check((other,), between)


def test_trimming_looks_at_the_tokenizer_that_its_model_comes_from(plan, tmp_path: Path) -> None:
    task = plan(TEACHER).task
    model = known(tmp_path)
    with pytest.raises(InputError):
        trim_vocabulary.STAGE.check(KnownStep(trim_vocabulary.Config(), {"model": (model,)}, model, None, 32, task))
