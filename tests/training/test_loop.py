"""The training loop, against hand-made oracles on the tiny model."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compress.context import Context
from compress.errors import CompressError
from compress.models.load import load_model
from compress.models.tokenizer import Tokenizer, load_tokenizer
from compress.training import loop
from compress.training.batches import Collator
from compress.training.config import TrainingConfig
from compress.training.loop import Lesson, train
from tests.families import FAMILIES

from .conftest import FAST, weights


def test_training_learns_and_reports_each_epoch(context: Context, fresh: Callable[[], tuple[Any, Tokenizer]]) -> None:
    seen: list[tuple[str, int, int]] = []
    context = replace(context, progress=lambda *args: seen.append(args))
    model, tokenizer = fresh()
    facts = train(model, tokenizer, TrainingConfig(epochs=12, **FAST), context, what="learning")
    assert facts["steps"] == 12 * 6
    assert len(facts["validation_scores"]) == 12
    assert facts["best_validation_score"] == max(facts["validation_scores"]) >= 0.9
    assert seen[-1] == ("learning", 72, 72)
    assert [done for _, done, _ in seen[:72]] == list(range(1, 73))


def test_the_best_epoch_is_kept(context: Context, fresh: Callable[[], tuple[Any, Tokenizer]]) -> None:
    model, tokenizer = fresh()
    facts = train(model, tokenizer, TrainingConfig(epochs=10, **FAST), context, what="learning")
    rows = context.task.encode(context.task.validation, tokenizer)
    batch = {name: torch.from_numpy(array) for name, array in tokenizer.pad(rows).items()}
    with torch.no_grad():
        logits = model(**batch).logits.numpy()
    task = context.task
    score = task.answers(logits, task.validation).outcome(task.truth(task.validation), "accuracy").value
    assert score == pytest.approx(facts["best_validation_score"], abs=1e-5)


def test_same_seed_same_weights_other_seed_others(context: Context, fresh: Callable[[], tuple[Any, Tokenizer]]) -> None:
    found = []
    for seed in (0, 0, 1):
        model, tokenizer = fresh()
        train(model, tokenizer, TrainingConfig(epochs=1, **FAST), replace(context, seed=seed), what="learning")
        found.append(weights(model))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_accumulated_gradients_equal_one_large_batch(
    context: Context, fresh: Callable[[], tuple[Any, Tokenizer]]
) -> None:
    # without dropout, one step over all rows must not depend on how they are cut into batches
    found = []
    for size, accumulation in ((48, 1), (12, 4)):
        model, tokenizer = fresh()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        model.config.attention_probs_dropout_prob = 0.0
        config = TrainingConfig(
            epochs=1,
            batch_size=size,
            gradient_accumulation=accumulation,
            learning_rate=1e-3,
            warmup=0,
            schedule="constant",
            max_grad_norm=0.5,
            precision="fp32",
        )
        facts = train(model, tokenizer, config, context, what="learning")
        assert facts["steps"] == 1
        found.append(weights(model))
    assert torch.allclose(found[0], found[1], atol=2e-5)


def test_the_head_learns_at_its_own_rate(context: Context, fresh: Callable[[], tuple[Any, Tokenizer]]) -> None:
    model, tokenizer = fresh()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    config = TrainingConfig(
        epochs=1,
        batch_size=48,
        learning_rate=1e-4,
        head_learning_rate=1e-2,
        warmup=0,
        schedule="constant",
        weight_decay=0,
    )
    train(model, tokenizer, config, context, what="learning")
    # AdamW's first step moves every weight by its rate
    moved = {name: (parameter - before[name]).abs().max().item() for name, parameter in model.named_parameters()}
    assert moved["classifier.weight"] == pytest.approx(1e-2, rel=1e-2)
    assert moved["bert.pooler.dense.weight"] == pytest.approx(1e-2, rel=1e-2)
    assert moved["bert.encoder.layer.0.output.dense.weight"] == pytest.approx(1e-4, rel=1e-2)


def test_patience_stops_early(context: Context, fresh: Callable[[], tuple[Any, Tokenizer]]) -> None:
    model, tokenizer = fresh()
    config = TrainingConfig(epochs=30, batch_size=8, learning_rate=1e-12, head_learning_rate=1e-12, patience=2)
    facts = train(model, tokenizer, config, context, what="learning")
    assert len(facts["validation_scores"]) == 3


@pytest.mark.parametrize(
    ("epochs", "validations", "scores"),
    [(0.5, None, 1), (2, None, 2), (0.5, 3, 3), (2, 1, 1), (2, 5, 4), (1.5, 100, 9)],
)
def test_a_student_is_validated_so_often(
    context: Context,
    fresh: Callable[[], tuple[Any, Tokenizer]],
    epochs: float,
    validations: int | None,
    scores: int,
) -> None:
    # 48 rows make six steps a pass; of 12 steps, every third is the nearest to five validations
    model, tokenizer = fresh()
    config = TrainingConfig(epochs=epochs, validations=validations, **FAST)
    facts = train(model, tokenizer, config, context, what="learning")
    assert facts["steps"] == math.ceil(6 * epochs)
    assert len(facts["validation_scores"]) == scores
    assert facts["best_validation_score"] == max(facts["validation_scores"])


def test_a_training_ends_with_the_weights_of_the_best_validation_within_a_pass(
    context: Context, fresh: Callable[[], tuple[Any, Tokenizer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    model, tokenizer = fresh()

    def falling(_: Any) -> Callable[[Any], dict[str, float]]:
        def score(_: Any) -> dict[str, float]:
            seen.append(weights(model))
            return {"score": [0.2, 0.9, 0.4][len(seen) - 1]}

        return score

    monkeypatch.setattr(loop, "_metric", falling)
    config = TrainingConfig(epochs=1, validations=3, **FAST)
    facts = train(model, tokenizer, config, context, what="learning")
    assert facts["validation_scores"] == [0.2, 0.9, 0.4]
    assert torch.equal(weights(model), seen[1])
    assert not torch.equal(seen[1], seen[2])


def test_a_loss_that_is_no_number_stops_the_training(
    context: Context, fresh: Callable[[], tuple[Any, Tokenizer]]
) -> None:
    model, tokenizer = fresh()
    with torch.no_grad():
        model.classifier.bias.fill_(float("nan"))
    with pytest.raises(CompressError, match="training loss is nan at step 6"):
        train(model, tokenizer, TrainingConfig(epochs=2, **FAST), context, what="learning")


def test_batches_are_padded_to_their_own_longest(context: Context, fresh: Callable[[], tuple[Any, Tokenizer]]) -> None:
    _, tokenizer = fresh()
    encoded = tokenizer.encode(["good", "the film was good"], None, 16)
    rows = [{**row, "labels": 1, "teacher_logits": [np.array([0.5, 1.5], dtype=np.float32)]} for row in encoded]
    batch = Collator(context.task, tokenizer, {"input_ids", "attention_mask"})(rows)
    assert set(batch) == {"input_ids", "attention_mask", "labels", "teacher_logits"}
    assert batch["input_ids"].shape == (2, 6)
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0, 0], [1] * 6]
    assert batch["teacher_logits"].shape == (2, 1, 2)


def test_a_distilled_student_minimises_the_given_loss_on_its_own_rows(
    context: Context, fresh: Callable[[], tuple[Any, Tokenizer]]
) -> None:
    # the teacher says the opposite of the labels: a student that follows it must be wrong
    model, tokenizer = fresh()
    opposite = np.array(
        [[4.0, -4.0] if row.label == 1 else [-4.0, 4.0] for row in context.task.train], dtype=np.float32
    )

    def follow(student: torch.Tensor, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return torch.nn.functional.mse_loss(student, batch["teacher_logits"][:, 0])

    alone = replace(context, task=replace(context.task, validation=[]))  # type: ignore[type-var]
    train(
        model,
        tokenizer,
        TrainingConfig(epochs=12, **FAST),
        alone,
        what="x",
        lesson=Lesson(context.task.train, [[opposite[:20], opposite[20:]]], follow, len(opposite)),
    )
    rows = context.task.encode(context.task.validation, tokenizer)
    with torch.no_grad():
        logits = model(**{name: torch.from_numpy(array) for name, array in tokenizer.pad(rows).items()}).logits
    task = context.task
    answers = task.answers(logits.numpy(), task.validation)
    assert answers.outcome(task.truth(task.validation), "accuracy").value <= 0.2


@pytest.mark.gpu
def test_mixed_precision_on_a_gpu_learns(context: Context, fresh: Callable[[], tuple[Any, Tokenizer]]) -> None:
    model, tokenizer = fresh()
    facts = train(model, tokenizer, TrainingConfig(epochs=12, **FAST), replace(context, device="cuda"), what="learning")
    assert facts["best_validation_score"] >= 0.9
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_dropout_reaches_each_layer(family: str, make_model: Callable[..., Path], context: Context) -> None:
    model = load_model(make_model(family), "text-classification", labels=("bad", "good"))
    config = TrainingConfig(epochs=0.1, attention_dropout=0.0)
    train(model, load_tokenizer(make_model(family)), config, context, what="learning")
    for module in model.modules():
        if type(module).__name__.endswith("SelfAttention"):
            assert module.dropout.p == 0.0
        if type(module).__name__ == "ModernBertAttention":
            assert module.attention_dropout == 0.0
