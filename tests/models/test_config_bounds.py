"""A config.json that says sizes which its weights do not have."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compress.errors import InputError
from compress.models.config_bounds import check_config_fits
from tests.plans import model_like


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "modernbert", "electra"])
def test_a_model_fits_its_weights(family: str, make_model: Callable[..., Path]) -> None:
    check_config_fits(make_model(family))


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ({"vocab_size": 90_000_000}, "but the weights' largest size is "),
        ({"type_vocab_size": 10**12}, "but the weights' largest size is "),
        ({"num_hidden_layers": 9_999}, "tensors"),
        ({"num_labels": 10**9}, "but no model has so many"),
        ({"text_config": {"hidden_size": 10**7}}, "hidden_size: 10,000,000, but the weights' largest size is "),
        ({"model_type": "gpt2", "n_positions": 10**6}, "n_positions: 1,000,000, but no model has so many"),
        ({"max_position_embeddings": 90_000_000}, "but no model has so many"),
    ],
)
def test_sizes_far_beyond_the_weights_are_refused(
    setting: dict[str, Any], why: str, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = model_like(make_model(), tmp_path / "model", **setting)
    with pytest.raises(InputError) as caught:
        check_config_fits(folder)
    assert why in caught.value.what
    assert caught.value.where == str(folder / "config.json")


def test_positions_that_are_computed_may_be_a_million(make_model: Callable[..., Path], tmp_path: Path) -> None:
    check_config_fits(model_like(make_model("modernbert"), tmp_path / "model", max_position_embeddings=2**20))
