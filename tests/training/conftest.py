"""A tiny task, its fresh model and its teacher, and a keeper of by-products."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from compress.context import Context
from compress.data.sources import Sources
from compress.models.load import load_model, save_model
from compress.models.tokenizer import Tokenizer, copy_tokenizer, load_tokenizer
from compress.recipe.schema import TaskSpec
from compress.recipe.validation import Origin
from compress.store.artifacts import Artifact, Identity
from compress.tasks import load_task
from compress.training.loop import set_seed

TASK = "text-classification"
FAST = {"learning_rate": 5e-3, "head_learning_rate": 5e-3, "batch_size": 8}
MORE = ["the film was lovely", "a dull story about the town", "some people said it was great music"]


@pytest.fixture
def context(reviews: Path, tmp_path: Path) -> Context:
    spec = TaskSpec(train=str(reviews / "train.csv"), max_length=16, validation_fraction=0.25)
    task = load_task(spec, Sources().table, 0, Origin())

    def never(*_: Any) -> Artifact:
        raise AssertionError

    return Context(task, 0, "cpu", False, tmp_path, lambda *_: None, never)


@pytest.fixture
def fresh(make_model: Callable[..., Path]) -> Callable[[], tuple[Any, Tokenizer]]:
    def make() -> tuple[Any, Tokenizer]:
        folder = make_model()
        set_seed(0)
        return load_model(folder, TASK, labels=("bad", "good")), load_tokenizer(folder)

    return make


@pytest.fixture
def teacher(make_model: Callable[..., Path], tmp_path: Path) -> Artifact:
    set_seed(1)
    model = load_model(make_model(), TASK, labels=("bad", "good"))
    with torch.no_grad():
        model.classifier.weight.mul_(50)  # so that it says something of each row
    save_model(model, tmp_path / "teacher")
    copy_tokenizer(make_model(), tmp_path / "teacher")
    return Artifact(tmp_path / "teacher", "7" * 64, "torch")


@dataclass(frozen=True)
class Told(Artifact):
    """A by-product with its facts, and no manifest."""

    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        return dict(self.told)


class Kept:
    """Keeps by-products by what they depend on, as the store does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[str] = []
        self.facts: dict[str, Any] = {}

    def __call__(
        self, name: str, config: Mapping[str, Any], inputs: Mapping[str, str], make: Callable[[Path], Any]
    ) -> Artifact:
        key = Identity(name, 1, config, inputs, "", 0).key
        out = self.folder / key
        if not out.exists():
            out.mkdir(parents=True)
            self.facts[key] = make(out)
            self.made.append(name)
        return Told(out, key, "arrays", told=self.facts.get(key, {}))


@pytest.fixture
def with_more(context: Context, tmp_path: Path) -> Context:
    task = replace(context.task, unlabelled=context.task.without_answers(MORE, None))  # type: ignore[type-var]
    return replace(context, task=task, cached=Kept(tmp_path / "kept"))


def weights(model: Any) -> torch.Tensor:
    """All of a model's weights, as one vector."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
