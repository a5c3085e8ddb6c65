"""Torch models whose config.json, weights or index say what no model has."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from benchmarks.faults.cases import Case, refused, small_run

Change = Callable[[Path], object]
WEIGHTS = "model.safetensors"


def configured(**settings: Any) -> Change:
    """Other settings in config.json."""

    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | settings), encoding="utf-8")

    return change


def headed(change: Callable[[dict[str, Any]], None]) -> Change:
    """Another header in front of the same weights."""

    def rewrite(folder: Path) -> None:
        raw = (folder / WEIGHTS).read_bytes()
        (size,) = struct.unpack("<Q", raw[:8])
        header = json.loads(raw[8 : 8 + size])
        change(header)
        written = json.dumps(header).encode()
        (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(written)) + written + raw[8 + size :])

    return rewrite


def first(header: dict[str, Any]) -> dict[str, Any]:
    """The first tensor of a header."""
    entry: dict[str, Any] = next(value for name, value in header.items() if name != "__metadata__")
    return entry


def _overlapping(header: dict[str, Any]) -> None:
    for name, entry in header.items():
        if name != "__metadata__":
            entry["data_offsets"] = first(header)["data_offsets"]


def _lying_length(folder: Path) -> None:
    raw = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", 2**60) + raw[8:])


def _not_a_number(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    save_file(
        {name: np.full_like(array, np.nan) for name, array in weights.items()}, folder / WEIGHTS, {"format": "pt"}
    )


def _shard(name: str) -> Change:
    def change(folder: Path) -> None:
        names = list(load_file(folder / WEIGHTS))
        (folder / WEIGHTS).rename(folder / "model-00001-of-00001.safetensors")
        index = {"metadata": {"total_size": 10**18}, "weight_map": dict.fromkeys(names, name)}
        (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index), encoding="utf-8")

    return change


def case(name: str, change: Change, *words: str, trained: bool = False) -> Case:
    """A model that a recipe's first step takes.

    Args:
        trained: it is found out where the model is used, not in the plan.
    """

    def prepare(folder: Path) -> list[str]:
        shutil.copytree(small_run(), folder, dirs_exist_ok=True)
        change(folder / "model")
        if trained:
            return ["finetune", "model", "--train", "train.csv", "--test", "test.csv", "--epochs", "1", "-o", "out"]
        return ["plan", "small.yaml", "--no-forecast"]

    return Case(name, "model", prepare, refused(*words))


CASES = [
    case("a thousand million layers", configured(num_hidden_layers=10**9), "num_hidden_layers"),
    case("ten thousand layers", configured(num_hidden_layers=9_999), "num_hidden_layers", "tensors"),
    case("a vocabulary of billions", configured(vocab_size=10**12), "vocab_size"),
    case("a vocabulary that fills the memory", configured(vocab_size=9 * 10**7), "vocab_size", "largest size"),
    case("kinds of tokens that fill the memory", configured(type_vocab_size=10**10), "type_vocab_size"),
    case("a width that fills the memory", configured(hidden_size=2**26), "hidden_size"),
    case("neurons that fill the memory", configured(intermediate_size=10**7), "intermediate_size", "largest size"),
    case("positions that fill the memory", configured(max_position_embeddings=9 * 10**7), "max_position_embeddings"),
    case("labels that fill the memory", configured(num_labels=10**9), "num_labels"),
    case("a number of a million digits", configured(hidden_size="9" * 10**6), "hidden_size"),
    case(
        "weights cut off",
        lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-99]),
        "cut off",
    ),
    case("a header of 2^60 bytes", _lying_length, "damaged"),
    case("a tensor of 2^62 rows", headed(lambda header: first(header).update(shape=[2**62])), "damaged"),
    case("a tensor beyond the file", headed(lambda header: first(header).update(data_offsets=[0, 2**50])), "damaged"),
    case("tensors on top of each other", headed(_overlapping), "damaged"),
    case("a kind of number that is none", headed(lambda header: first(header).update(dtype="F7")), "damaged"),
    case("weights that are no numbers", _not_a_number, "", trained=True),
    case("an index to a file elsewhere", _shard("../canary.txt"), "index.json", "canary"),
    case("an index to a file that is not there", _shard("model-00002.safetensors"), "index.json", "00002"),
]
