"""A task with a label for each token, through all that trains: on a tiny model, with nothing of it in the package."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compress.context import Context
from compress.models.architectures import read_shape
from compress.models.config_file import read_config
from compress.models.load import load_model
from compress.models.plain import check_same_as_plain
from compress.models.reshape import model_shape
from compress.models.tokenizer import Tokenizer, load_tokenizer
from compress.ops.ragged import Ragged, cut
from compress.stages import prune_structured
from compress.store.artifacts import Artifact
from compress.tasks import UNKNOWN
from compress.training.batches import Collator
from compress.training.config import DistillationConfig, RecoverRounded, TrainingConfig
from compress.training.fake_quantization import FakeQuantization, WeightGrid
from compress.training.loop import train
from compress.training.objective import Objective
from compress.training.rows import EncodedRows
from compress.training.scoring import ScoreRows, least_needed_layers, score_layers
from compress.training.teacher import train_under_teacher
from compress.training.teacher_outputs import ENDS, ask, read_outputs
from tests.extending.opinion_words import LABELS, OpinionWords, Row
from tests.training.conftest import Kept

from .conftest import LEARN
from .opinions import HUB_TASK

QUERY = "bert.encoder.layer.0.attention.self.query"
Array = np.ndarray[Any, Any]


def says(
    model: Any, tokenizer: Tokenizer, task: OpinionWords, rows: list[Row], length: int | None = None
) -> list[Array]:
    """(words, classes) of each row, asked alone."""
    found = []
    for row in task.encode(rows, tokenizer, length):
        batch = {name: torch.from_numpy(array) for name, array in tokenizer.pad([row]).items()}
        with torch.no_grad():
            logits = model.eval()(**batch).logits[0].numpy()
        found.append(logits[np.array(row["counted"], bool)])
    return found


def score(model: Any, tokenizer: Tokenizer, task: OpinionWords) -> float:
    """On the validation rows, each asked alone."""
    answers = task.answers(says(model, tokenizer, task, task.validation), task.validation)
    return answers.outcome(task.truth(task.validation), task.spec.metric).value


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_score_of_an_epoch_is_that_of_rows_without_padding(
    side: Any, context: Context, task: OpinionWords, fresh: Callable[[], tuple[Any, Tokenizer]]
) -> None:
    model, right = fresh()
    tokenizer = replace(right, pad_side=side)
    facts = train(model, tokenizer, TrainingConfig(epochs=2, **LEARN), context, what="learning")
    assert facts["best_validation_score"] == pytest.approx(score(model, tokenizer, task), abs=1e-5)
    assert facts["best_validation_score"] > 0.7


@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_changes_no_rows_loss(
    side: Any, task: OpinionWords, fresh: Callable[[], tuple[Any, Tokenizer]]
) -> None:
    model, right = fresh()
    tokenizer = replace(right, pad_side=side)
    model.eval()
    with torch.no_grad():
        model.bert.embeddings.position_embeddings.weight.zero_()  # a place on the left is another one
    objective = Objective(DistillationConfig(hard_weight=0.7, temperature=3.0))
    collate = Collator(task, tokenizer, ("input_ids", "attention_mask", "token_type_ids"))
    random = np.random.default_rng(0)
    rows = [
        {**row, "teacher_logits": list(random.normal(size=(2, sum(row["counted"]), 3)).astype(np.float32))}
        for row in task.encode(task.train[:6], tokenizer)
    ]

    def loss_of(chosen: list[dict[str, Any]]) -> float:
        batch = collate(chosen)
        names = ("input_ids", "attention_mask", "token_type_ids")
        with torch.no_grad():
            return float(objective(model(**{name: batch[name] for name in names}).logits, batch))

    sizes = [sum(row["counted"]) for row in rows]
    assert len(set(sizes)) > 1
    alone = [loss_of([row]) * size for row, size in zip(rows, sizes, strict=True)]
    assert loss_of(rows) * sum(sizes) == pytest.approx(sum(alone), rel=1e-5)


def test_a_batch_without_a_label_has_no_loss_and_harms_nothing(
    context: Context, task: OpinionWords, fresh: Callable[[], tuple[Any, Tokenizer]]
) -> None:
    model, tokenizer = fresh()
    nothing = replace(context, task=replace(task, train=task.unlabelled[:4], validation=[]))
    facts = train(model, tokenizer, TrainingConfig(epochs=1, **LEARN), nothing, what="learning")
    assert facts["losses"] == [0.0]
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_what_a_teacher_says_of_words_is_kept_below_each_other(
    context: Context, task: OpinionWords, teacher: Artifact, tmp_path: Path
) -> None:
    rows = [*task.train, *task.unlabelled]
    facts = ask(teacher, rows, 24, context, tmp_path, what="asking", run_rows=len(rows))
    assert facts == {"rows": 72, "runtime": "torch"}
    outputs = read_outputs(tmp_path)
    assert isinstance(outputs, Ragged)
    assert isinstance(outputs.values, np.memmap)
    assert outputs.values.shape == (sum(len(row.words) for row in rows), 3)
    assert (tmp_path / ENDS).is_file()
    expected = says(load_model(teacher.path, HUB_TASK), load_tokenizer(teacher.path), task, rows)
    for index, said in enumerate(expected):
        assert np.abs(outputs[index] - said).max() < 1e-4


def test_a_batch_holds_what_teachers_said_at_the_words_that_all_of_them_read(
    task: OpinionWords, fresh: Callable[[], tuple[Any, Tokenizer]]
) -> None:
    _, tokenizer = fresh()
    rows = [Row(("oddly", "good", "film", "bad"), (0, 2, 0, 1)), Row(("great",), (2,))]
    first = Ragged(np.arange(15, dtype=np.float32).reshape(5, 3), np.array([4, 5]))
    second = Ragged(-np.arange(9, dtype=np.float32).reshape(3, 3), np.array([2, 3]))  # it cuts after two words
    encoded = EncodedRows(rows, task, tokenizer, None, [[first], [second]])
    assert encoded.outputs == [4, 1]
    assert encoded.lengths == [len(row["input_ids"]) for row in task.encode(rows, tokenizer)]
    batch = Collator(task, tokenizer, ("input_ids",))([encoded[0], encoded[1]])
    assert set(batch) == {"input_ids", "labels", "counted", "teacher_logits", "taught"}
    assert batch["teacher_logits"].shape == (2, 2, encoded.lengths[0], 3)
    counted, taught = batch["counted"].bool(), batch["taught"].bool()
    assert batch["labels"][counted].tolist() == [0, 2, 0, 1, 2]
    assert (batch["labels"][~counted] == UNKNOWN).all()
    assert taught.sum(1).tolist() == [2, 1]
    assert (counted | ~taught).all()
    assert batch["teacher_logits"][:, 0][taught].tolist() == [[0, 1, 2], [3, 4, 5], [12, 13, 14]]
    assert batch["teacher_logits"][:, 1][taught].tolist() == [[0, -1, -2], [-3, -4, -5], [-6, -7, -8]]


def test_outputs_are_cut_out_of_their_padding() -> None:
    outputs, counted = np.arange(12).reshape(2, 3, 2), np.array([[0, 1, 1], [1, 0, 0]])
    assert [row.tolist() for row in cut(outputs, counted)] == [[[2, 3], [4, 5]], [[6, 7]]]
    assert [row.tolist() for row in cut(outputs[:, 0], None)] == [[0, 1], [6, 7]]


@pytest.mark.parametrize(
    "settings",
    [
        {"hard_weight": 0.0, "augment": {"copies": 1, "neighbours": 0}},
        pytest.param({"hidden_weight": 0.5, "relation_weight": 0.5, "epochs": 4}, marks=pytest.mark.slow),
    ],
)
def test_a_student_learns_of_each_word_what_teachers_say(
    settings: dict[str, Any],
    context: Context,
    task: OpinionWords,
    teacher: Artifact,
    fresh: Callable[[], tuple[Any, Tokenizer]],
) -> None:
    student, tokenizer = fresh()
    before = score(student, tokenizer, task)
    config = DistillationConfig.model_validate({"epochs": 2, **LEARN, **settings})
    teachers = [teacher] if config.reads_states else [teacher, replace(teacher, key="8" * 64)]
    facts = train_under_teacher(student, tokenizer, teachers, config, context, what="distilling")
    assert facts["best_validation_score"] == pytest.approx(score(student, tokenizer, task), abs=1e-5)
    assert before < 0.6
    assert facts["best_validation_score"] > 0.9
    assert isinstance(context.cached, Kept)
    asked = 2 if config.augment.copies else 1
    assert context.cached.made.count("teacher_logits") == asked * len(teachers)


def test_models_from_outside_are_held_against_plain_transformers(
    task: OpinionWords, teacher: Artifact, make_model: Callable[..., Path]
) -> None:
    texts, _ = task.texts(task.train[:4])
    assert len({len(text) for text in texts}) > 1
    assert check_same_as_plain(teacher.path, HUB_TASK, texts, None, 24) is None
    assert check_same_as_plain(make_model(), HUB_TASK, texts, None, 24, labels=LABELS) is None


def test_scores_for_pruning_do_not_depend_on_what_stands_beside_a_row(context: Context, teacher: Artifact) -> None:
    found = []
    for size in (1, 16):
        model = load_model(teacher.path, HUB_TASK)
        shape = model_shape(model)
        assert shape is not None
        rows = ScoreRows(load_tokenizer(teacher.path), 32, TrainingConfig(batch_size=size), context)
        scores = score_layers(model, shape, "fisher", rows, "scoring")
        found.append(torch.cat([part.scores for layer in scores for part in (layer.heads, layer.neurons)]))
    assert found[0].min() > 0
    assert torch.allclose(found[0], found[1], rtol=1e-3, atol=1e-7)


def test_the_layer_that_words_miss_least_is_told(context: Context, task: OpinionWords, teacher: Artifact) -> None:
    model, tokenizer = load_model(teacher.path, HUB_TASK), load_tokenizer(teacher.path)
    rows = ScoreRows(tokenizer, 64, TrainingConfig(), context)
    ((index, divergence),) = least_needed_layers(model, 1, rows, "looking")
    whole = np.concatenate(says(model, tokenizer, task, task.train))
    model.bert.encoder.layer = torch.nn.ModuleList([model.bert.encoder.layer[1 - index]])
    short = np.concatenate(says(model, tokenizer, task, task.train))
    first, second = (torch.from_numpy(logits).double().log_softmax(-1) for logits in (whole, short))
    assert divergence == pytest.approx(float((first.exp() * (first - second)).sum(-1).mean()), rel=1e-4)


def test_a_model_is_pruned_and_recovers(
    context: Context, task: OpinionWords, teacher: Artifact, tmp_path: Path
) -> None:
    out = tmp_path / "pruned"
    settings = {"mask_tuning": True, "recover": {"epochs": 3, **LEARN}, "heads": 0.5, "ffn": 0.5}
    config = prune_structured.Config.model_validate(settings)
    facts = prune_structured.run(model=teacher, teacher=None, config=config, context=context, out=out)
    shape = read_shape(read_config(out))
    assert shape is not None
    assert (shape.heads, shape.neurons) == ((2, 2), (32, 32))
    assert facts["best_validation_score"] > 0.9
    model = load_model(out, HUB_TASK)
    assert score(model, load_tokenizer(out), task) == pytest.approx(facts["best_validation_score"], abs=1e-5)


def test_a_network_is_trained_with_rounding(context: Context, task: OpinionWords, teacher: Artifact) -> None:
    network, tokenizer = load_model(teacher.path, HUB_TASK), load_tokenizer(teacher.path)
    weights = network.get_submodule(QUERY).weight.detach().numpy()
    fake = FakeQuantization(
        {QUERY: WeightGrid.of_columns(weights, 7)}, {}, blocks=False, dynamic=True, learning_rate=1e-2
    )
    fake.attach(network)
    facts = train_under_teacher(network, tokenizer, teacher, RecoverRounded(epochs=2), context, what="rounding")
    rounded = score(network, tokenizer, task)
    fake.detach(network)
    assert facts["best_validation_score"] == pytest.approx(rounded, abs=1e-5)
    assert rounded > 0.9
    assert fake.facts()["largest_change"] > 0
