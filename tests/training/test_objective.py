"""The parts of the loss that look inside, on tiny models."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from compress.context import Context
from compress.errors import InputError
from compress.models.load import load_model, save_model
from compress.models.reshape import keep_layers
from compress.models.tokenizer import load_tokenizer
from compress.ops.hidden_states import squared_error
from compress.ops.relations import relation_loss
from compress.store.artifacts import Artifact
from compress.training import checkpoints
from compress.training.config import DistillationConfig
from compress.training.loop import OBJECTIVE, set_seed
from compress.training.objective import Inside, Objective
from compress.training.states import States
from compress.training.teacher import train_under_teacher
from tests.families import ALIKE

from .conftest import FAST, TASK, Kept, weights
from .test_checkpoints import Killed, killed_at

BOTH = {"hidden_weight": 0.5, "relation_weight": 0.3}


def student_of(teacher: Artifact, layers: tuple[int, ...] = (0,)) -> Any:
    set_seed(0)
    model = load_model(teacher.path, TASK)
    keep_layers(model, layers)
    return model


def settings(**given: Any) -> DistillationConfig:
    return DistillationConfig.model_validate({"soft_weight": 0, "hard_weight": 0, **given})


def batch_of(texts: list[str], teacher: Artifact) -> dict[str, torch.Tensor]:
    tokenizer = load_tokenizer(teacher.path)
    return {name: torch.from_numpy(array) for name, array in tokenizer.pad(tokenizer.encode(texts, None, 16)).items()}


def loss_of(objective: Objective, student: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    logits = student(**batch).logits
    loss: torch.Tensor = objective(logits, {**batch, "labels": torch.full((len(logits),), -100)})
    return loss


@pytest.mark.parametrize("family", ["bert", "distilbert", *ALIKE])
def test_the_parts_are_computed_on_what_the_models_give_inside(family: str, make_model: Callable[..., Path]) -> None:
    set_seed(0)
    folder = make_model(family)
    taught = load_model(folder, TASK, labels=("bad", "good"))
    student = load_model(folder, TASK, labels=("bad", "good"))
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.mul_(1.1)
    keep_layers(student, (1,))
    inside = Inside(settings(**BOTH), student, taught)
    with torch.no_grad():
        inside.projection.weight.copy_(torch.randn(32, 32))
    ids = torch.tensor([[2, 7, 8, 9, 3], [2, 10, 3, 0, 0]])
    batch = {"input_ids": ids, "attention_mask": (ids > 0).long()}
    found = loss_of(Objective(settings(**BOTH), inside), student, batch)
    mine = student(**batch, output_hidden_states=True).hidden_states[-1]
    theirs = taught(**batch, output_hidden_states=True).hidden_states
    expected = 0.5 * squared_error(inside.projection(mine), theirs[2], batch["attention_mask"])
    for model, states in ((student, inside.student_states), (taught, inside.teacher_states)):
        layer = model.base_model.transformer.layer[-1] if family == "distilbert" else model.base_model.encoder.layer[-1]
        read = model(**batch, output_hidden_states=True).hidden_states[-2]
        query = layer.attention.q_lin if family == "distilbert" else layer.attention.self.query
        assert torch.allclose(states.related["query"], query(read), atol=1e-6)
    for part in ("query", "key", "value"):
        own, other = inside.student_states.related[part], inside.teacher_states.related[part]
        expected = expected + 0.3 * relation_loss(own, other, batch["attention_mask"], 4)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    inside.close()
    inside.student_states.related.clear()
    student(**batch)
    assert inside.student_states.related == {}, "the hooks are gone"


def test_more_padding_changes_nothing(teacher: Artifact) -> None:
    student = student_of(teacher)
    objective = Objective(settings(**BOTH), Inside(settings(**BOTH), student, load_model(teacher.path, TASK)))
    short, long = "good film", "the film was a lovely story about people in town"
    one, both = batch_of([short], teacher), batch_of([short, long], teacher)
    padded = {name: array[:1] for name, array in both.items()}
    assert padded["input_ids"].shape[1] > one["input_ids"].shape[1]
    found = loss_of(objective, student, one).item()
    assert loss_of(objective, student, padded).item() == pytest.approx(found, rel=1e-4)
    assert found > 0


def test_a_student_that_is_its_teacher_has_nothing_to_learn(teacher: Artifact) -> None:
    student = student_of(teacher, (0, 1))
    for matching in ("fixed", "learned"):
        config = settings(**BOTH, hidden_matching=matching)
        objective = Objective(config, Inside(config, student, load_model(teacher.path, TASK)))
        assert loss_of(objective, student, batch_of(["the film was good"], teacher)).item() < 1e-6
        objective.close()


def run(teacher: Artifact, config: DistillationConfig, where: Context) -> tuple[Any, dict[str, Any]]:
    student = student_of(teacher)
    facts = train_under_teacher(student, load_tokenizer(teacher.path), teacher, config, where, what="w")
    return student, facts


def test_without_other_weights_the_inside_alone_is_learned_and_the_projection_thrown_away(
    with_more: Context,
    teacher: Artifact,
    tmp_path: Path,
) -> None:
    student, facts = run(teacher, settings(**BOTH, epochs=8, **FAST), with_more)
    assert facts["losses"][-1] < 0.8 * facts["losses"][0]
    assert isinstance(with_more.cached, Kept)
    assert with_more.cached.made == [], "the teacher's outputs are not needed"
    assert facts["steps"] == 8 * 7, "unlabelled rows are learned from too"
    assert not hasattr(student, OBJECTIVE)
    save_model(student, tmp_path / "saved")
    load_model(tmp_path / "saved", TASK)
    kept = next(with_more.work.glob("checkpoints-*/checkpoint-*"))
    from safetensors.torch import load_file

    names = set(load_file(kept / "model.safetensors"))
    assert f"{OBJECTIVE}.inside.projection.weight" in names
    assert set(load_file(tmp_path / "saved" / "model.safetensors")) == {n for n in names if OBJECTIVE not in n}


def test_a_killed_training_with_a_projection_goes_on_to_the_same_weights(
    with_more: Context,
    teacher: Artifact,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.0)
    config = DistillationConfig.model_validate({**BOTH, "hidden_matching": "learned", "epochs": 4, **FAST})
    whole, expected = run(teacher, config, replace(with_more, work=tmp_path / "whole"))
    work = tmp_path / "killed"
    with pytest.raises(Killed):
        run(teacher, config, replace(with_more, work=work, progress=killed_at(17)))
    again, facts = run(teacher, config, replace(with_more, work=work))
    assert facts == expected
    assert torch.equal(weights(again), weights(whole))


def test_a_teacher_that_reads_other_ids_is_refused_before_it_is_asked(
    with_more: Context,
    teacher: Artifact,
    tmp_path: Path,
) -> None:
    text = (teacher.path / "tokenizer.json").read_text().replace('"lovely":', '"lively":')
    (tmp_path / "tokenizer.json").write_text(text)
    config = DistillationConfig(hidden_weight=1)
    with pytest.raises(InputError, match="reads the same token ids as its teacher"):
        train_under_teacher(student_of(teacher), load_tokenizer(tmp_path), teacher, config, with_more, what="w")


def test_queries_keys_and_values_of_one_shared_matrix_are_told_apart(make_model: Callable[..., Path]) -> None:
    model = load_model(make_model("modernbert"), TASK, labels=("bad", "good"))
    states = States(model, (0, 1), 1)
    read: list[torch.Tensor] = []
    matrix = model.model.layers[1].attn.Wqkv
    matrix.register_forward_hook(lambda _, inputs, __: read.append(inputs[0]))
    with torch.no_grad():
        model(input_ids=torch.tensor([[2, 7, 8, 9, 3]]), attention_mask=torch.ones(1, 5, dtype=torch.long))
        for place, name in enumerate(("query", "key", "value")):
            expected = read[0] @ matrix.weight[place * 32 : (place + 1) * 32].T
            assert torch.allclose(states.related[name], expected, atol=1e-6)
    assert states.hidden[0].shape == states.hidden[1].shape == (1, 5, 32)
