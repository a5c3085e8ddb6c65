"""A linear model in a table, held against scikit-learn's own."""

import csv
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.svm import LinearSVC

from compress.context import Context
from compress.data.sources import Sources
from compress.errors import InputError
from compress.models.load import load_model
from compress.models.ngrams import PLACES
from compress.models.tokenizer import load_tokenizer
from compress.planning.plan import Plan
from compress.recipe.schema import Target, TaskSpec
from compress.recipe.validation import Origin
from compress.runtimes import load
from compress.stages import find
from compress.store.artifacts import Artifact
from compress.tasks import load_task, with_rows
from tests.conftest import write_reviews

BUCKETS = 300
COLUMNS = ["text", "label"]


def context_of(train: Path, tmp_path: Path, **changes: Any) -> Context:
    task = load_task(TaskSpec(train=str(train), max_length=16, validation_fraction=0.25), Sources().table, 0, Origin())

    def never(*_: Any) -> Artifact:
        raise AssertionError

    return Context(with_rows(task, **changes), 5, "cpu", False, tmp_path, lambda *_: None, never)


def fitted(folder: Path, context: Context, out: Path, **settings: Any) -> dict[str, Any]:
    out.mkdir()
    stage = find("fit_linear")
    config = stage.config.model_validate({"longest": 3, "buckets": BUCKETS, **settings})
    facts: Any = stage.run(model=Artifact(folder, "0" * 64, "torch"), config=config, context=context, out=out)
    return dict(facts)


def counted(ids: list[int], tokens: int) -> dict[int, float]:
    """The n-grams of a text by hand, over the square root of their number."""
    rows = list(ids)
    for order in (2, 3):
        for start in range(len(ids) - order + 1):
            total = sum(factor * one for factor, one in zip(PLACES, ids[start : start + order], strict=False))
            rows.append(tokens + total % BUCKETS)
    return {row: count / len(rows) ** 0.5 for row, count in Counter(rows).items()}


@pytest.mark.parametrize("classes", [2, 3])
def test_its_logits_are_the_scores_of_scikit_learn(
    classes: int, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    train = write_reviews(tmp_path / "train.csv", 60, seed=4)
    if classes == 3:
        with train.open("a", newline="") as file:
            csv.writer(file).writerows([[f"quorum zebra {word}", "odd"] for word in ["xylem", "town", "music"] * 4])
    context = context_of(train, tmp_path)
    facts = fitted(make_model(), context, tmp_path / "out")
    task, tokenizer = context.task, load_tokenizer(tmp_path / "out")
    tokens = load_model(tmp_path / "out", task.hub_task).config.vocab_size

    def matrix(rows: Any) -> Any:
        texts = [counted(row["input_ids"], tokens) for row in task.encode(rows, tokenizer)]
        where = [(place, row) for place, text in enumerate(texts) for row in text]
        values = [value for text in texts for value in text.values()]
        return csr_matrix((values, tuple(zip(*where, strict=True))), shape=(len(texts), tokens + BUCKETS))

    counts = matrix(task.train)
    idf = np.log((1 + len(task.train)) / (1 + np.asarray((counts > 0).sum(axis=0)).ravel())) + 1
    features = counts.multiply(idf[None]).tocsr()
    size = np.sqrt(features.multiply(features).sum() / len(task.train))
    labels, held_out = np.array(task.truth(task.train).content), matrix(task.validation).multiply(idf[None]).tocsr()
    solver = LinearSVC(C=facts["plain"]["c"], random_state=5).fit(features / size, labels)
    theirs = solver.decision_function(held_out / size)
    for label in range(classes) if classes > 2 else [1]:  # a machine for each label, its features weighted
        stands = (counts > 0).toarray()
        shares = [stands[labels == label].sum(0) + 1, stands[labels != label].sum(0) + 1]
        ratio = np.log(shares[0] / shares[0].sum()) - np.log(shares[1] / shares[1].sum())
        solver = LinearSVC(C=facts["naive_bayes"]["c"], random_state=5)
        solver.fit((features / size).multiply(ratio[None]).tocsr(), labels == label)
        added = solver.decision_function((held_out / size).multiply(ratio[None]).tocsr())
        theirs[..., *([label] if classes > 2 else [])] += added
    model = load(tmp_path / "out", Target(runtime="torch"), task.hub_task)
    ours = model(tokenizer.pad(task.encode(task.validation, tokenizer))) / facts["scale"]
    np.testing.assert_allclose(ours[:, 1] - ours[:, 0] if classes == 2 else ours, theirs, atol=2e-3)
    assert (ours.argmax(1) == task.truth(task.validation).content).mean() > 0.8


def test_no_other_scale_makes_the_labels_of_the_validation_rows_likelier(
    make_model: Callable[..., Path], tmp_path: Path
) -> None:
    context = context_of(write_reviews(tmp_path / "train.csv", 60, seed=4), tmp_path)
    wrong = [replace(row, label=1 - row.label) for row in context.task.validation[:3]]
    context = replace(context, task=with_rows(context.task, validation=[*wrong, *context.task.validation[3:]]))
    facts = fitted(make_model(), context, tmp_path / "out")
    task, tokenizer = context.task, load_tokenizer(tmp_path / "out")
    model = load(tmp_path / "out", Target(runtime="torch"), task.hub_task)
    logits = model(tokenizer.pad(task.encode(task.validation, tokenizer)))
    truth = np.array(task.truth(task.validation).content)

    def surprise(factor: float) -> float:
        odds = np.exp(logits * factor)
        return float(-np.log(odds[np.arange(len(truth)), truth] / odds.sum(axis=1)).mean())

    assert 0.3 < facts["scale"] < 60
    assert surprise(1.0) < min(surprise(0.9), surprise(1.1))


def test_a_rehearsal_whose_rows_have_one_label_is_gone_through(make_model: Callable[..., Path], tmp_path: Path) -> None:
    context = context_of(write_reviews(tmp_path / "train.csv", 40, seed=4), tmp_path)
    ones = [row for row in context.task.train if row.label == 1]
    facts = fitted(make_model(), replace(context, task=with_rows(context.task, train=ones)), tmp_path / "out")
    assert "plain" not in facts


def test_parts_of_long_texts_are_learned_from_and_none_is_held_out(
    make_model: Callable[..., Path], tmp_path: Path
) -> None:
    train = write_reviews(tmp_path / "train.csv", 60, seed=4)
    with train.open("a", newline="") as file:  # behind what is read of a text stands what tells its label
        csv.writer(file).writerows([["so " * 20 + word, label] for word, label in (("xylem", 1), ("quorum", 0))] * 8)
    context = context_of(train, tmp_path)
    whole = fitted(make_model(), context, tmp_path / "whole")
    cut = fitted(make_model(), context, tmp_path / "cut", parts=True)
    assert cut["rows"] > len(context.task.train)
    assert "rows" not in whole
    assert cut["plain"]["folds"] == whole["plain"]["folds"]
    rows = context.task.without_answers(["xylem", "quorum"], None)
    said = {}
    for name in ("whole", "cut"):
        tokenizer = load_tokenizer(tmp_path / name)
        model = load(tmp_path / name, Target(runtime="torch"), context.task.hub_task)
        logits = model(tokenizer.pad(context.task.encode(rows, tokenizer)))
        said[name] = logits[0, 1] - logits[0, 0] - logits[1, 1] + logits[1, 0]
    assert said["cut"] > 0.5 > abs(said["whole"])


FIT = "{name: linear, stage: fit_linear, model: MODEL, buckets: 64}"


def test_fewer_rows_than_labels_are_refused_in_the_plan(plan: Callable[..., Plan], tmp_path: Path) -> None:
    for name, rows in {"train": "abc", "test": "ab"}.items():
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *([f"a {name} film {label}", label] for label in rows)])
    with pytest.raises(InputError, match="2 training rows are fewer than the 3 labels") as caught:
        plan(FIT, data=tmp_path, task=", validation_fraction: 0.34")
    assert caught.value.fix == "give more labelled rows"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("buckets: 0", "n-grams of 2 tokens need buckets: give buckets: 32768, or set longest: 1"),
        ("buckets: 100000000", r"a table of 100,000,0\d\d rows of 2 channels takes 800,000,\d+ bytes, and the model"),
        ("longest: 5", "less than or equal to 4"),
    ],
)
def test_other_settings_are_refused_in_the_plan(settings: str, message: str, plan: Callable[..., Plan]) -> None:
    with pytest.raises(InputError, match=message):
        plan(f"{{name: linear, stage: fit_linear, model: MODEL, {settings}}}")


def test_parts_of_pairs_are_refused_in_the_plan(plan: Callable[..., Plan], tmp_path: Path) -> None:
    for name in ("train", "test"):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(
                [[*COLUMNS, "text_pair"], *([f"a {name} {n}", "ab"[n % 2], f"b {n}"] for n in range(12))]
            )
    with pytest.raises(InputError, match="parts of pairs of texts are not made"):
        plan(FIT.replace("}", ", parts: true}"), data=tmp_path, task=", columns: {text_pair: text_pair}")
