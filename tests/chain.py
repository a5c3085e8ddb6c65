"""One chain through every stage on the tiny model, run once and shared by the tests of the stages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from compress.context import Context
from compress.planning.plan import Plan
from compress.planning.planner import make_plan
from compress.recipe.schema import Recipe
from compress.recipe.validation import Origin
from compress.running.runner import run_plan
from compress.store.artifacts import Artifact
from tests.fresh import fork_children


class Silent:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.warnings: list[str] = []

    def progress(self, what: str, done: int, total: int) -> None:
        assert 0 <= done <= total, f"{what}: {done} of {total}"

    def step_started(self, name: str, stage: str) -> None: ...

    def step_done(self, name: str, stage: str, seconds: float, made: bool) -> None:
        if made:
            self.made.append(name)

    def warned(self, message: str) -> None:
        self.warnings.append(message)

    def stopping(self) -> bool:
        return False


@dataclass(frozen=True)
class Chain:
    """A finished run."""

    plan: Plan
    artifacts: Mapping[str, Artifact]
    runs_dir: Path
    observer: Silent


FAST = {"epochs": 8, "learning_rate": 5e-3, "head_learning_rate": 5e-3, "batch_size": 8}


def chain_recipe(model: Path, reviews: Path, **changes: Any) -> Recipe:
    steps = [
        {"name": "teacher", "stage": "finetune", "model": str(model), **FAST, "epochs": 16},
        {"name": "student", "stage": "distill", "layers": 1, **FAST},
        {
            "name": "pruned",
            "stage": "prune_structured",
            "teacher": "teacher",
            "heads": 0.5,
            "ffn": 0.5,
            "recover": FAST,
        },
        {"name": "onnx", "stage": "export_onnx"},
        {"name": "skipped", "stage": "skip_unread_tokens"},
        {"name": "int8", "stage": "quantize_onnx_dynamic", "model": "onnx"},
        {"name": "static", "stage": "quantize_onnx_static", "model": "onnx"},
        {"name": "int4", "stage": "quantize_onnx_4bit", "model": "onnx", "block_size": 16, "accuracy_level": 4},
        {"name": "half", "stage": "quantize_onnx_fp16", "model": "onnx"},
        {
            "name": "auto",
            "stage": "quantize_onnx_auto",
            "model": "onnx",
            "max_drop_pp": 10,
            "prefer": "size",
            "rounds": 1,
        },
        {
            "name": "trained",
            "stage": "quantize_onnx_trained",
            "model": "pruned",
            "teacher": "teacher",
            "scheme": "int4",
            "block_size": 16,
            "recover": {"epochs": 1, "batch_size": 8},
        },
        {"name": "trimmed", "stage": "trim_vocabulary", "model": "teacher"},
        {
            "name": "ngrams",
            "stage": "distill_ngrams",
            "teacher": "teacher",
            "longest": 3,
            "buckets": 512,
            "hidden": 16,
            **FAST,
            "learning_rate": 3e-2,
            "head_learning_rate": 3e-2,
        },
        {
            "name": "convolution",
            "stage": "distill_convolution",
            "teacher": "teacher",
            "hidden": 16,
            "channels": 16,
            **FAST,
            "learning_rate": 3e-2,
            "head_learning_rate": 3e-2,
        },
        {"name": "elastic", "stage": "distill_elastic", "teacher": "teacher", "random_sizes": 1, **FAST, "epochs": 2},
        {
            "name": "factorized",
            "stage": "factorize_low_rank",
            "model": "teacher",
            "embedding_rank": 8,
            "ffn_rank": 8,
            "recover": {**FAST, "epochs": 2},
        },
        {"name": "adapted", "stage": "finetune_lora", "model": "teacher", "base_bits": 4, **FAST, "epochs": 2},
        {"name": "bundled", "stage": "bundle_onnx", "model": "onnx", "int8": "int8"},
        {"name": "linear", "stage": "fit_linear", "model": "trimmed", "buckets": 256},
        {"name": "linear_onnx", "stage": "export_onnx", "model": "linear"},
        {"name": "linear_int8", "stage": "quantize_onnx_dynamic", "model": "linear_onnx"},
        {"name": "ngrams_onnx", "stage": "export_onnx", "model": "ngrams"},
        {"name": "ngrams_int8", "stage": "quantize_onnx_dynamic", "model": "ngrams_onnx"},
        {"name": "ngrams_int4", "stage": "quantize_onnx_4bit", "model": "ngrams_onnx", "block_size": 16},
        {"name": "convolution_onnx", "stage": "export_onnx", "model": "convolution"},
        {"name": "convolution_int8", "stage": "quantize_onnx_dynamic", "model": "convolution_onnx"},
        {"name": "nf4", "stage": "quantize_bnb", "model": "teacher"},
    ]
    task = {"train": str(reviews / "train.csv"), "max_length": 32, "validation_fraction": 0.25}
    return Recipe.model_validate({"name": "tiny", "task": task, "steps": steps, "device": "cpu", **changes})


@pytest.fixture(scope="session")
def run_chain(make_model: Callable[..., Path], reviews: Path) -> Callable[[Path], Chain]:
    def run(runs_dir: Path) -> Chain:
        plan = make_plan(chain_recipe(make_model(), reviews), Origin())
        observer = Silent()
        with pytest.MonkeyPatch.context() as patch:
            fork_children(patch)
            return Chain(plan, run_plan(plan, runs_dir, observer).artifacts, runs_dir, observer)

    return run


@pytest.fixture(scope="session")
def chain(run_chain: Callable[[Path], Chain], shared: Path) -> Chain:
    """The process that asks for it first runs it; another finds each step done."""
    with FileLock(shared / "chain.lock"):
        return run_chain(shared / "runs")


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of ours are forked: see `fork_children`."""
    fork_children(monkeypatch)


def context_of(chain: Chain, work: Path) -> Context:
    def never(*_: Any) -> Artifact:
        raise AssertionError("these stages keep no by-products")

    return Context(chain.plan.task, 0, "cpu", False, work, lambda *_: None, never)


def graph_of(folder: Path) -> Any:
    """The graph of an ONNX artifact."""
    import onnx

    return onnx.load(str(folder / "model.onnx"))


@pytest.fixture
def uneven(
    make_classifier: Callable[..., Any], make_model: Callable[..., Path], tmp_path: Path
) -> Callable[[str], Artifact]:
    """A classifier of a family whose two layers have 1 and 3 heads, 24 and 40 neurons."""
    import torch

    from compress.models.cutting import cut
    from compress.models.load import save_model
    from compress.models.reshape import model_shape
    from compress.models.tokenizer import copy_tokenizer

    def make(family: str) -> Artifact:
        model = make_classifier(family, seed=3)
        shape = model_shape(model)
        assert shape is not None
        gone = [torch.randperm(64).tolist() for _ in range(2)]
        cut(model, shape, [([0, 1, 3], sorted(gone[0][24:])), ([2], sorted(gone[1][40:]))])
        folder = tmp_path / family
        save_model(model, folder)
        copy_tokenizer(make_model(family), folder)
        return Artifact(folder, "0" * 64, "torch")

    return make
