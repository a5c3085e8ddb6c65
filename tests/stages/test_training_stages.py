"""finetune, distill and prune_structured on the tiny model."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from compress.context import Context
from compress.errors import InputError
from compress.formats import find
from compress.models.architectures import Shape, read_shape
from compress.models.config_file import read_config
from compress.models.load import load
from compress.stages import distill, prune_structured
from compress.store.artifacts import Artifact
from tests.chain import Chain, context_of


def test_finetune_learns_and_names_the_labels(chain: Chain) -> None:
    facts = chain.artifacts["teacher"].facts
    assert facts["losses"][0] > 3 * facts["losses"][-1]
    assert facts["best_validation_score"] >= 0.9
    assert read_config(chain.artifacts["teacher"].path)["id2label"] == {"0": "bad", "1": "good"}


def test_finetune_counts_its_steps(chain: Chain) -> None:
    assert chain.artifacts["teacher"].facts["steps"] == 16 * 48 // 8


def test_the_student_has_the_layers_it_was_told(chain: Chain) -> None:
    assert chain.artifacts["student"].facts["layers_kept"] == [0]
    shape = read_shape(read_config(chain.artifacts["student"].path))
    assert shape is not None
    assert shape.layers == 1


def test_the_teacher_is_asked_once_for_distilling_and_recovering(chain: Chain) -> None:
    asked = list((chain.runs_dir / "store").glob("teacher_logits-*"))
    assert len(asked) == 1


def test_pruning_leaves_really_smaller_shapes(chain: Chain) -> None:
    before, after = chain.artifacts["student"], chain.artifacts["pruned"]
    assert read_shape(read_config(after.path)) == Shape("bert", 1, 32, 8, (2,), (32,))
    removed = 2 * (4 * 8 * 32 + 3 * 8) + 32 * (2 * 32 + 1)
    assert find("torch").parameters(before.path) - find("torch").parameters(after.path) == removed


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (7, "student of 7 layers cannot be taken from a teacher of 6"),
        ((0, 6), "layers \\[0, 6\\] cannot"),
        ((1, 1), "cannot"),
    ],
)
def test_layers_that_the_teacher_does_not_have_are_refused(layers: object, message: str) -> None:
    config = distill.Config.model_validate({"layers": layers})
    teacher = Shape("bert", 6, 32, 8, (4,) * 6, (64,) * 6)
    with pytest.raises(InputError, match=message):
        distill.STAGE.shape_of(config, {"teacher": teacher})


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"layers": 3}, (0, 2, 5)),
        ({"layers": 2, "layers_from": "first"}, (0, 1)),
        ({"layers": 2, "layers_from": "last"}, (4, 5)),
        ({"layers": (3, 1)}, (3, 1)),
        ({"ffn": 8}, (0, 1, 2, 3, 4, 5)),
    ],
)
def test_a_students_layers_are_taken_as_told(settings: dict[str, Any], kept: tuple[int, ...]) -> None:
    assert distill.layers_of(distill.Config.model_validate(settings), 6) == kept


def test_a_student_can_be_narrower_in_all_its_sizes(chain: Chain, tmp_path: Path) -> None:
    config = distill.Config.model_validate({"layers": 1, "hidden": 16, "heads": 1, "ffn": 24, "epochs": 0.5})
    teacher, context = chain.artifacts["teacher"], context_of(chain, tmp_path)
    config = config.model_copy(update={"soft_weight": 0.0, "hard_weight": 1.0})
    facts = distill.run(
        teacher=(teacher,), student=None, masked_model=None, config=config, context=context, out=tmp_path
    )
    assert read_shape(read_config(tmp_path)) == Shape("bert", 1, 16, 8, (1,), (24,))
    assert facts["layers_kept"] == (0,)
    assert 0.5 < facts["hidden_squares_kept"] < 1
    assert distill.STAGE.shape_of(config, {"teacher": Shape("bert", 2, 32, 8, (4, 4), (64, 64))}) == Shape(
        "bert", 1, 16, 8, (1,), (24,)
    )


SMALL = {"hidden": 128, "heads": 4, "ffn": 256}


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        ({"layers": 2} | SMALL, [(2, 384, 12, 1536), (2, 256, 8, 896), (2, 128, 4, 256)]),
        ({"layers": 2, "hidden": 128, "cuts": 2}, [(2, 384, 12, 1536), (2, 128, 12, 1536)]),
        ({"layers": 2, "hidden": 128, "cuts": 1}, [(2, 128, 12, 1536)]),
        ({"hidden": 128}, [(6, 256, 12, 1536), (6, 128, 12, 1536)]),
        ({"layers": 2, "ffn": 256}, [(2, 384, 12, 256)]),
        ({"layers": 2, "cuts": 3}, [(2, 384, 12, 1536)]),
        ({"layers": 1, "hidden": 128, "epochs": 0}, [(1, 128, 12, 1536)]),
    ],
)
def test_a_student_is_cut_little_by_little(settings: dict[str, Any], sizes: list[tuple[int, ...]]) -> None:
    whole = Shape("bert", 6, 384, 32, (12,) * 6, (1536,) * 6)
    config = distill.Config.model_validate(settings)
    found = distill.student_sizes(config, whole)
    assert [(one.layers, one.hidden, one.heads[0], one.neurons[0]) for one in found] == sizes
    assert found[-1] == distill.STAGE.shape_of(config, {"teacher": whole})


@pytest.mark.parametrize(
    ("other", "widths"), [({256}, [384, 288, 128]), ({384}, [384, 256, 128]), ({128}, [384, 256, 128])]
)
def test_on_the_way_hidden_states_are_never_as_wide_as_something_else(other: set[int], widths: list[int]) -> None:
    config = distill.Config(layers=2, hidden=128)
    sizes = distill.student_sizes(config, Shape("bert", 6, 384, 32, (12,) * 6, (1536,) * 6), other)
    assert [one.hidden for one in sizes] == widths


def test_trainings_between_cuts_are_short_and_slow_at_first() -> None:
    config = distill.Config(layers=2, hidden=128, epochs=6, learning_rate=3e-3, cut_learning_rate=3e-5)
    assert [one.epochs for one in distill.STAGE.trainings(config)] == [1, 1, 6]
    assert [one.learning_rate for one in distill.STAGE.trainings(config)] == pytest.approx([3e-5, 3e-4, 3e-3])
    slow = config.model_copy(update={"learning_rate": 1e-5, "cut_epochs": 0.5})
    assert [one.epochs for one in distill.STAGE.trainings(slow)] == [0.5, 0.5, 6]
    assert {one.learning_rate for one in distill.STAGE.trainings(slow)} == {1e-5}


def test_cuts_are_the_same_as_a_chain_of_steps(chain: Chain, tmp_path: Path) -> None:
    labels = {"soft_weight": 0.0, "hard_weight": 1.0, "batch_size": 8}
    at_once = {"layers": 1, "heads": 2, "ffn": 16, "cuts": 3, "epochs": 1, "cut_epochs": 0.5}
    steps: list[dict[str, Any]] = [
        {"layers": 1, "epochs": 0.5, "learning_rate": 1e-3},
        {"heads": 3, "ffn": 40, "epochs": 0.5, "learning_rate": 2e-3},
        {"heads": 2, "ffn": 16, "epochs": 1, "learning_rate": 4e-3},
    ]

    def made(name: str, settings: dict[str, Any], start: Artifact | None) -> Artifact:
        config = distill.Config.model_validate({**labels, "head_learning_rate": 1e-2, **settings})
        context, out = context_of(chain, tmp_path / name), tmp_path / name
        teacher = (chain.artifacts["teacher"],)
        distill.run(teacher=teacher, student=start, masked_model=None, config=config, context=context, out=out)
        return Artifact(out, name * 64, "torch")

    together = made("1", {**at_once, "learning_rate": 4e-3, "cut_learning_rate": 1e-3}, None)
    last: Artifact | None = None
    for number, settings in enumerate(steps, 2):
        last = made(str(number), settings, last)
    assert last is not None
    expected, found = load(last.path).state_dict(), load(together.path).state_dict()
    assert expected.keys() == found.keys()
    for name, weight in expected.items():
        assert torch.equal(found[name], weight), name


def test_a_student_of_another_family_learns_from_the_teacher(
    chain: Chain, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    student = Artifact(make_model("distilbert"), "1" * 64, "torch")
    asked: list[str] = []

    def cached(name: str, _: Any, inputs: Mapping[str, str], make: Callable[[Path], Any]) -> Artifact:
        asked.append(inputs["teacher"])
        (tmp_path / name).mkdir()
        make(tmp_path / name)
        return Artifact(tmp_path / name, "2" * 64, "arrays")

    context = Context(chain.plan.task, 0, "cpu", False, tmp_path, lambda *_: None, cached)
    config = distill.Config(epochs=12, learning_rate=5e-3, head_learning_rate=5e-3, batch_size=8)
    out = tmp_path / "out"
    facts = distill.run(
        teacher=(chain.artifacts["teacher"],),
        student=student,
        masked_model=None,
        config=config,
        context=context,
        out=out,
    )
    assert asked == [chain.artifacts["teacher"].key]
    assert facts["best_validation_score"] >= 0.8
    assert read_config(out)["model_type"] == "distilbert"
    assert read_config(out)["label2id"] == {"bad": 0, "good": 1}


def test_magnitude_keeps_the_largest_parts_and_no_recovery_leaves_them_as_they_were(
    chain: Chain, tmp_path: Path
) -> None:
    def never(*_: Any) -> Artifact:
        raise AssertionError("without recovery no teacher is asked")

    context = Context(chain.plan.task, 0, "cpu", False, tmp_path, lambda *_: None, never)
    config = prune_structured.Config.model_validate(
        {"heads": 0.25, "ffn": 0.5, "importance": "magnitude", "recover": {"epochs": 0}}
    )
    out = tmp_path / "out"
    facts = prune_structured.run(
        model=chain.artifacts["student"], teacher=None, config=config, context=context, out=out
    )
    assert (facts["heads"], facts["neurons"]) == ((3,), (32,))
    before, after = (load(path).bert.encoder.layer[0] for path in (chain.artifacts["student"].path, out))
    up, down = before.intermediate.dense.weight, before.output.dense.weight
    norms = (up.square().sum(dim=1) + down.square().sum(dim=0)).sqrt()
    kept = sorted(norms.argsort(descending=True)[:32].tolist())
    assert torch.equal(after.intermediate.dense.weight, up[kept])
    assert torch.equal(after.output.dense.weight, down[:, kept])
