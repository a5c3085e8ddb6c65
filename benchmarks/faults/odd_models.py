"""Models of odd but real families and heads: fine-tuned, exported and measured as plain transformers has them."""

import json
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.faults.cases import Case, Check, refused, small_run, succeeded
from benchmarks.faults.small_run import Ended
from benchmarks.faults.tiny_models import (
    DECODERS,
    edit_weights,
    graph_logits,
    plain_accuracy,
    plain_logits,
    texts_of,
    write_family,
)

TRAIN = ("--train", "train.csv", "--max-length", "32", "--overlap", "allow")
RATES = ("--learning-rate", "3e-3", "--head-learning-rate", "5e-3")
FINETUNE = ("finetune", "model", *TRAIN, "--epochs", "10", *RATES, "--batch-size", "8", "-o", "out")
EXPORT = ("export", "model", "--train", "train.csv", "--max-length", "32", "-o", "out")
BENCH = ("bench", "model", "--data", "test.csv", "--max-length", "32", "--sequence-length", "32", "--json")
QUICK = ("--rounds", "2", "--samples", "2", "--warmup", "1")
TORCH = (*BENCH, *QUICK, "--target", "torch,batch_size=4,threads=1")
PLAN = ("plan", "small.yaml", "--no-forecast")
LEARNED = 0.7
"""Accuracy on the training rows that a training reaches which learns anything: half of them have either label."""
TOLERANCE = 1e-3
Arguments = Sequence[str]


def put(make: Callable[[Path], object], *arguments: str) -> Callable[[Path], Arguments]:
    """The preparation of a case: the small run's files with the model that `make` writes in place of theirs."""

    def prepare(folder: Path) -> Arguments:
        for name in ("train.csv", "test.csv", "small.yaml"):
            shutil.copyfile(small_run() / name, folder / name)
        make(folder / "model")
        return arguments

    return prepare


def has_learned(folder: Path, ended: Ended) -> str | None:
    """What is wrong with a fine-tuned model: it must know the labels in plain transformers, batched as alone."""
    del ended
    out = folder / "out"
    accuracy, texts = plain_accuracy(out, folder / "train.csv"), texts_of(folder / "test.csv")[0][:8]
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    if config.get("problem_type") != "single_label_classification":
        return f"config.json says problem_type: {config.get('problem_type')}"
    if accuracy < LEARNED:
        return f"plain transformers scores {accuracy:.0%} with it"
    if config["model_type"] == "xlnet":  # its tokenizer here is BERT's, which fills up on the wrong side
        return None
    return _differ(plain_logits(out, texts, together=True), plain_logits(out, texts))


def exports_as(reference: str) -> Check:
    """What is wrong with an exported graph: it must say what plain transformers says of a folder beside it."""

    def check(folder: Path, ended: Ended) -> str | None:
        del ended
        words, _ = texts_of(folder / "test.csv")
        texts = [*words[:5], "a", "good", " ".join(words)]
        expected = plain_logits(folder / reference, texts)
        for size in (1, 3):
            if wrong := _differ(graph_logits(folder / "out", texts, size), expected):
                return f"in batches of {size}: {wrong}"
        return None

    return check


def scores_as_plain(folder: Path, ended: Ended) -> str | None:
    """What is wrong with a report: its accuracy must be that of plain transformers, one text at a time."""
    row = json.loads(ended.stdout)["rows"][0]
    if row["status"] != "measured":
        return f"it was not measured: {row['reason']}"
    expected = plain_accuracy(folder / "model", folder / "test.csv")
    return None if abs(row["quality"]["value"] - expected) < 1e-6 else f"{row['quality']} and not {expected:.4f}"


def _differ(ours: Any, plain: Any) -> str | None:
    import numpy as np

    off = float(np.abs(ours - plain).max() / np.abs(plain).max())
    return None if off <= TOLERANCE else f"logits are off by {off:.2%}"


def family(name: str, **settings: Any) -> Callable[[Path], Path]:
    """Writes a model of a family into a folder."""
    return lambda folder: write_family(folder, name, **settings)


def _tokens_beyond(folder: Path) -> None:
    """Two tokens were added to the tokenizer, and the table was not resized."""
    from transformers import AutoTokenizer

    write_family(folder, "bert", head=True)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["quorum", "zebra"])
    tokenizer.save_pretrained(folder)


def _padding_beyond(folder: Path) -> None:
    """A padding token was added to GPT-2's tokenizer, and the table was not resized."""
    from transformers import AutoTokenizer

    write_family(folder, "gpt2", head=True)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(folder)


def _padding_disagrees(folder: Path) -> None:
    """config.json and the tokenizer name different paddings: a decoder's head looks for the first."""
    write_family(folder, "llama", head=True, pad_token_id=5)


def _learned_backwards(folder: Path) -> None:
    """A classifier that knows the rows' words, and whose labels stand in another order than sorted ones do."""
    from benchmarks.faults.small_run import BAD, GOOD

    write_family(folder, "bert", head=True, labels=("good", "bad"))

    def teach(weights: dict[str, Any]) -> dict[str, Any]:
        words = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
        table = weights["bert.embeddings.word_embeddings.weight"]
        table[:, 0] = 0.0
        for at, word in enumerate(words[: len(table)]):
            table[at, 0] = 40.0 * ((word in GOOD) - (word in BAD))
        return weights

    edit_weights(folder, teach)


def _keeps_its_head(folder: Path, ended: Ended) -> str | None:
    """What is wrong after a training at no rate: the answers must be those of before, by their names."""
    del ended
    texts, _ = texts_of(folder / "test.csv")
    before, after = (plain_logits(folder / name, texts) for name in ("model", "out"))
    names = [json.loads((folder / name / "config.json").read_text())["id2label"] for name in ("model", "out")]
    if names[0] == names[1]:
        return "the labels are still in the model's own order"
    return _differ(after[:, ::-1], before)


def _trims(folder: Path, ended: Ended) -> str | None:
    del ended
    texts, _ = texts_of(folder / "train.csv")
    return _differ(plain_logits(folder / "out", texts[:8]), plain_logits(folder / "model", texts[:8]))


def _wider_table(folder: Path) -> Path:
    return write_family(folder, "bert", vocab_size=128)


def _distilled(folder: Path) -> Arguments:
    """A foreign teacher whose labels stand in another order."""
    put(_learned_backwards)(folder)
    return ("distill", "model", *TRAIN, "--layers", "1", "--epochs", "1", "-o", "out")


def _canine(folder: Path) -> None:
    """A model of characters, whose tokenizer is code."""
    write_family(folder, "canine")
    for name in ("tokenizer.json", "vocab.txt"):
        (folder / name).unlink(missing_ok=True)
    settings = {"tokenizer_class": "CanineTokenizer", "model_max_length": 2048}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


_still = ("--epochs", "1", "--learning-rate", "1e-12", "--head-learning-rate", "1e-12", "-o", "out")
_multi, _regression = "multi_label_classification", "regression"
_other_kind = partial(refused, "does not choose one label", code=2)
_beyond = partial(refused, "beyond the model's table of", "resize_token_embeddings", code=2)
_padded = partial(refused, "how far it is padded", code=2)

CASES = [
    *(
        Case(
            f"{name} without a padding token, fine-tuned", "model", put(family(name), *FINETUNE), succeeded(has_learned)
        )
        for name in DECODERS
    ),
    *(
        Case(f"{name} classifier, measured", "model", put(family(name, head=True), *TORCH), succeeded(scores_as_plain))
        for name in ("gpt2", "llama", "xlnet", "t5", "electra", "albert")
    ),
    *(
        Case(
            f"{name} classifier, exported",
            "model",
            put(family(name, head=True), *EXPORT),
            succeeded(exports_as("model")),
        )
        for name in ("gpt2", "llama", "qwen2", "mpnet")
    ),
    Case("xlnet, filled up on the left", "model", put(family("xlnet"), *FINETUNE), succeeded(has_learned)),
    Case(
        "llama whose tokenizer names another padding",
        "model",
        put(_padding_disagrees, *TORCH),
        succeeded(scores_as_plain),
    ),
    *(
        Case(f"{kind}, fine-tuned", "model", put(make, *FINETUNE), succeeded(has_learned))
        for kind, make in (
            (_multi, family("bert", problem_type=_multi)),
            (_regression, family("bert", problem_type=_regression)),
            ("one label", family("bert", id2label={0: "score"}, label2id={"score": 0})),
        )
    ),
    Case("multi-label, exported", "model", put(family("bert", head=True, problem_type=_multi), *EXPORT), _other_kind()),
    Case("multi-label, measured", "model", put(family("bert", head=True, problem_type=_multi), *TORCH), _other_kind()),
    Case("tokens beyond the table, planned", "tokenizer", put(_tokens_beyond, *PLAN), _beyond()),
    Case("tokens beyond the table, measured", "tokenizer", put(_tokens_beyond, *TORCH), _beyond()),
    Case("padding beyond the table", "tokenizer", put(_padding_beyond, *PLAN), _beyond()),
    Case("table larger than the tokenizer", "tokenizer", put(_wider_table, *FINETUNE), succeeded(has_learned)),
    Case(
        "table larger than the tokenizer, trimmed",
        "tokenizer",
        put(
            family("bert", head=True, vocab_size=128),
            "trim",
            "model",
            "--train",
            "train.csv",
            "--max-length",
            "32",
            "-o",
            "out",
        ),
        succeeded(_trims),
    ),
    Case("labels in another order, measured", "model", put(_learned_backwards, *TORCH), succeeded(scores_as_plain)),
    Case("labels in another order, as teacher", "model", _distilled, refused("labels in another order", code=2)),
    Case(
        "labels in another order, fine-tuned",
        "model",
        put(_learned_backwards, "finetune", "model", *TRAIN, *_still),
        succeeded(_keeps_its_head),
    ),
    Case("FNet, which does not leave padding out", "model", put(family("fnet"), *FINETUNE), _padded()),
    Case(
        "Nystromformer, which reads texts of one length",
        "model",
        put(family("nystromformer"), *FINETUNE),
        refused("fails in plain transformers on a text of", code=2),
    ),
    Case("CANINE, without a tokenizer.json", "model", put(_canine, *PLAN), refused("no tokenizer.json", code=2)),
]
