"""A task with a label for each word, a fresh model, and one that has learned it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compress.context import Context
from compress.models.load import load_model, save_model
from compress.models.tokenizer import Tokenizer, copy_tokenizer, load_tokenizer
from compress.store.artifacts import Artifact
from compress.training.config import TrainingConfig
from compress.training.loop import set_seed, train
from tests.conftest import once
from tests.extending.opinion_words import LABELS, OpinionWords
from tests.training.conftest import FAST, Kept

from .opinions import HUB_TASK, make_task

LEARN: dict[str, Any] = {**FAST, "precision": "fp32"}


@pytest.fixture
def task() -> OpinionWords:
    return make_task()


@pytest.fixture
def context(task: OpinionWords, tmp_path: Path) -> Context:
    (tmp_path / "work").mkdir()
    return Context(task, 0, "cpu", False, tmp_path / "work", lambda *_: None, Kept(tmp_path / "kept"))


@pytest.fixture
def fresh(make_model: Callable[..., Path]) -> Callable[[], tuple[Any, Tokenizer]]:
    def make() -> tuple[Any, Tokenizer]:
        set_seed(0)
        return load_model(make_model(), HUB_TASK, labels=LABELS), load_tokenizer(make_model())

    return make


@pytest.fixture
def teacher(make_model: Callable[..., Path], shared: Path) -> Artifact:
    """Has learned the task: its score rises."""

    def make(folder: Path) -> None:
        set_seed(0)
        model, tokenizer = load_model(make_model(), HUB_TASK, labels=LABELS), load_tokenizer(make_model())
        where = Context(make_task(), 0, "cpu", False, folder / "work", lambda *_: None, Kept(folder / "kept"))
        facts = train(model, tokenizer, TrainingConfig(epochs=6, **LEARN), where, what="teaching")
        assert facts["validation_scores"][0] < facts["best_validation_score"] > 0.95
        save_model(model, folder)
        copy_tokenizer(make_model(), folder)

    return Artifact(once(shared / "tagger", make), "7" * 64, "torch")
