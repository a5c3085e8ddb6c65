"""Folders and reports made so that a figure flatters: files that nobody reads, and a goal of zero."""

import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.faults.cases import Case, run_limited, small_run, succeeded
from benchmarks.faults.small_run import Ended

LABELS = ("bad", "good")
MEASURED = ("--sequence-length", "16", "--threads", "1", "--warmup", "1", "--rounds", "1", "--samples", "1")
PADDING = 5_000_000
"""Bytes of each file that nobody reads."""


def write_model(folder: Path) -> Path:
    """An ONNX classifier that says of each text what its tokens say on average; tens of kilobytes."""
    folder.mkdir()
    tokenizer = (small_run() / "model" / "tokenizer.json").read_text(encoding="utf-8")
    (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    config = {"model_type": "bert", "id2label": dict(enumerate(LABELS)), "pad_token_id": 0}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    vocabulary = json.loads(tokenizer)["model"]["vocab"]
    table = np.random.default_rng(0).normal(size=(max(vocabulary.values()) + 1, 2)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),
            helper.make_node("ReduceMean", ["tokens"], ["logits"], axes=[1], keepdims=0),
        ],
        "average",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(folder / "model.onnx"))
    shutil.copyfile(small_run() / "test.csv", folder.parent / "test.csv")
    return folder


def _padded(names: Sequence[str], folder: Path) -> list[str]:
    """A model as the baseline that holds the same files as the other, and some that nobody reads."""
    theirs = shutil.copytree(write_model(folder / "ours"), folder / "theirs")
    for name in names:
        (theirs / name).parent.mkdir(exist_ok=True)
        (theirs / name).write_bytes(bytes(PADDING))
    return ["bench", "theirs", "ours", "--data", "test.csv", *MEASURED, "--json"]


def _same_size(folder: Path, ended: Ended) -> str | None:
    first, second = json.loads(ended.stdout)["rows"]
    own = sum(path.stat().st_size for path in (folder / "ours").iterdir())
    told = {
        "theirs": first["size_bytes"],
        "ours": second["size_bytes"],
        "smaller": second["versus_baseline"]["smaller"],
    }
    right = {"theirs": own, "ours": own, "smaller": 1.0}
    return None if told == right else f"sizes of {told} where {right} is right"


def _limited_size(folder: Path) -> list[str]:
    return [*_padded(["pytorch_model.bin", ".git/pack"], folder)[:1], "theirs", "--data", "test.csv", *MEASURED,
            "--max-size-mb", "1"]  # fmt: skip


def _report(folder: Path) -> str:
    """The report of a model beside itself."""
    write_model(folder / "model")
    ended = run_limited(["bench", "model", "model", "--data", "test.csv", *MEASURED, "--json"], folder, {})
    assert ended.code == 0, ended.stderr
    return ended.stdout


def _goals(first: float | None, second: float | None, folder: Path) -> list[str]:
    """Two runs of the same figures, with their largest drops."""
    text = _report(folder)
    for name, largest in (("first", first), ("second", second)):
        report = json.loads(text)
        report["goal"]["max_drop_pp"] = largest
        (folder / name).mkdir()
        (folder / name / "report.json").write_text(json.dumps(report), encoding="utf-8")
    return ["compare", "first", "second", "--json"]


def _margin_is_zero(folder: Path, ended: Ended) -> str | None:
    del folder
    found = json.loads(ended.stdout)
    told = {"margin": found["margin_pp"], "quality": found["quality_verdict"], "speed": found["speed_verdict"]}
    right = {"margin": 0.0, "quality": "inconclusive", "speed": "inconclusive"}  # of one process, and of one model
    return None if told == right else f"{told} where {right} is right"


CASES = [
    *(
        Case(name, "figures", partial(_padded, files), succeeded(_same_size))
        for name, files in {
            "padded with a history": [".git/pack", "notes.md"],
            "padded with pickled weights": ["pytorch_model.bin", "flax_model.msgpack"],
            "padded with another graph": ["onnx/model_fp16.onnx", "model_fp16.onnx.data"],
        }.items()
    ),
    Case("padded beyond a limit", "figures", _limited_size, succeeded()),
    Case(
        "a goal of zero after one of two",
        "figures",
        lambda folder: _goals(2.0, 0.0, folder),
        succeeded(_margin_is_zero),
    ),
    Case("a goal of zero before none", "figures", lambda folder: _goals(0.0, None, folder), succeeded(_margin_is_zero)),
]
