"""The recipe of a small search."""

import pytest

from compress.recipe.schema import Recipe
from tests.chain import FAST
from tests.conftest import write_reviews
from tests.fresh import fork_children

ROWS = 96
QUICK = {"rounds": 3, "processes": 1, "samples": 2, "warmup": 1}


@pytest.fixture
def start(make_model, tmp_path, monkeypatch):
    """The recipe of a search over simple models."""
    fork_children(monkeypatch)
    write_reviews(tmp_path / "train.csv", ROWS, seed=1)
    write_reviews(tmp_path / "test.csv", 64, seed=2)

    def make(*, model=None, epochs=4, **search):
        goal = search.pop("goal", {"max_drop_pp": 10.0})
        return Recipe.model_validate(
            {
                "name": "searched",
                "task": {"train": f"{tmp_path}/train.csv", "test": f"{tmp_path}/test.csv", "max_length": 32},
                "steps": [
                    {
                        "name": "teacher",
                        "stage": "finetune",
                        "model": str(model or make_model()),
                        **FAST,
                        "epochs": epochs,
                    }
                ],
                "targets": {"cpu": {"threads": 1, "sequence_length": 32}},
                "goal": goal,
                "bench": QUICK,
                "baselines": "none",
                "search": {"folds": 2, "families": ["linear"], **search},
            }
        )

    return make
