"""Which rows models are held against each other on, and what agreement beyond chance is."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from compress.comparing.held_back import (
    BUILT_IN_TEXTS,
    ROWS,
    agreement,
    beyond_chance,
    held_back,
    held_back_rows,
    split_held_back,
)
from compress.comparing.parity import compare
from compress.errors import InputError
from compress.models.tokenizer import load_tokenizer
from compress.tasks.text_classification import Row
from tests.chain import Chain
from tests.training.tokens.opinions import make_task


def rows_of(count: int, label: int, what: str = "row") -> list[Row]:
    return [Row(f"{what} {label} {number}", None, label) for number in range(count)]


def with_rows(chain: Chain, **parts: Any) -> Any:
    return replace(chain.plan.task, **parts)


def test_of_rows_sorted_by_label_all_labels_are_drawn(chain: Chain) -> None:
    task = with_rows(chain, validation=[*rows_of(2000, 0), *rows_of(2000, 1)])
    found = held_back_rows(task)
    labels = Counter(row.label for row in found)
    assert len(set(found)) == ROWS
    assert abs(labels[0] - ROWS / 2) < 4 * np.sqrt(ROWS / 4), "a fair draw is within four standard deviations"
    assert found == held_back_rows(task), "the same ones for every model"


def test_no_row_of_the_test_is_held_back(chain: Chain) -> None:
    test = rows_of(30, 0)
    task = with_rows(chain, validation=[*rows_of(50, 0), *rows_of(50, 1)], test=test, overlap=30)
    found = held_back_rows(task)
    assert len(found) == 70
    assert not set(found) & set(test)
    only = with_rows(chain, validation=test, train=test, test=test, overlap=30)
    assert held_back_rows(only) == []
    with pytest.raises(InputError, match="no rows to choose by that do not stand in test"):
        split_held_back(only)


def test_rows_are_looked_at_one_by_one_without_padding(chain: Chain) -> None:
    held = held_back(chain.plan.task, load_tokenizer(chain.artifacts["onnx"].path), 5)
    assert len(held.rows) == len(held.inputs) == 5
    assert held.truth == chain.plan.task.truth(held_back_rows(chain.plan.task, 5))
    assert all(row["input_ids"].shape[0] == 1 and row["attention_mask"].all() for row in held.inputs)
    lengths = held.outputs(lambda row: row["attention_mask"].sum(1, keepdims=True))
    assert [length.shape for length in lengths] == [(1,)] * 5


@pytest.mark.parametrize(("count", "halves"), [(2, (1, 1)), (9, (5, 4)), (3000, (2488, 512)), (1, (1, 1))])
def test_what_is_chosen_by_is_not_what_is_told_of(count: int, halves: tuple[int, int], chain: Chain) -> None:
    first, second = split_held_back(with_rows(chain, validation=rows_of(count, 0)))
    assert (len(first.validation), len(second.validation)) == halves
    together = {*first.validation, *second.validation}
    assert len(together) == count
    assert (first.train, first.test) == (chain.plan.task.train, chain.plan.task.test)


def test_outputs_of_tokens_are_held_against_each_other_token_by_token(make_model: Any) -> None:
    task, tokenizer = make_task(), load_tokenizer(make_model())
    held = held_back(task, tokenizer)
    assert held.truth == task.truth(held.rows)

    def says(batch: dict[str, Any]) -> np.ndarray[Any, Any]:
        return np.eye(3)[batch["input_ids"] % 3]

    outputs = held.outputs(says)
    assert [len(row) for row in outputs] == [len(row.words) for row in held.rows]
    others = [row.copy() for row in outputs]
    others[0] = others[0][:, [1, 2, 0]]  # of one row, all words get another label
    share = 1 - 1 / len(outputs)
    assert agreement(task, held.rows, outputs, others) == pytest.approx(share)
    assert 0 < (beyond_chance(task, held.rows, outputs, others) or 0) < 1
    assert beyond_chance(task, held.rows, outputs, outputs) == 1
    others[0][0] = np.nan
    assert agreement(task, held.rows, outputs, others) == pytest.approx(share)
    drop = held.drop(outputs, [np.eye(3)[list(row.labels)] for row in held.rows])
    assert drop is not None
    assert drop.value < 0, "what is right gains"
    assert len(held.every(5).outputs(says)) == len(range(0, len(held.rows), 5))
    without = held_back(replace(task, validation=[], train=[]), tokenizer)
    assert without.truth is None
    assert without.drop(outputs, outputs) is None
    assert len(without.outputs(says)) == len(BUILT_IN_TEXTS)


@pytest.mark.parametrize("off", [0.0, 0.5])
def test_parity_of_outputs_of_tokens_leaves_padding_out(off: float, make_model: Any) -> None:
    task, tokenizer = make_task(), load_tokenizer(make_model())

    def says(batch: dict[str, Any], wrong: float = 0.0) -> np.ndarray[Any, Any]:
        logits = np.eye(3)[batch["input_ids"] % 3] * 2
        return logits + 1000 * wrong * (batch["attention_mask"] == 0)[..., None] + off * wrong

    found = compare(says, lambda batch: says(batch, 1.0), task, tokenizer)
    assert (found.max_abs_difference, found.agreement, found.scale) == (off, 1.0, 2.0)
    assert found.rows == len(task.validation) + 1
