"""The instrument: what it reads of a runtime whose speed is known, and what it makes of rows."""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compress.bench import worker
from compress.models.tokenizer import Tokenizer
from compress.recipe import Target
from tests.chain import Chain


class Sleeper:
    """A predictor that takes a known time, and says of each row how long it is."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, batch: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
        self.shapes.append(batch["input_ids"].shape)
        time.sleep(self.seconds)
        return np.stack([batch["attention_mask"].sum(axis=1), batch["input_ids"][:, 0]], axis=1).astype(np.float32)


@pytest.fixture(autouse=True)
def _same_cores() -> Iterator[None]:
    """A worker pins its thread; here it shares the process with the other tests."""
    before = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture
def tokenizer() -> Tokenizer:
    from tokenizers import Tokenizer as Fast
    from tokenizers.models import WordLevel

    return Tokenizer(Fast(WordLevel({"[PAD]": 0, "a": 1}, unk_token="[PAD]")), pad_id=0)


def rows_of(lengths: list[int]) -> list[dict[str, Any]]:
    return [
        {
            "input_ids": [index + 1] * length,
            "attention_mask": [1] * length,
            "token_type_ids": [0] * length,
            "labels": 0,
        }
        for index, length in enumerate(lengths)
    ]


def test_a_known_sleep_is_read() -> None:
    sleeper = Sleeper(0.05)
    batch = {name: np.ones((1, 4), np.int64) for name in ("input_ids", "attention_mask")}
    samples = worker.time_round(sleeper, [batch] * 5)
    assert len(samples) == 5
    assert len(sleeper.shapes) == 5 + worker.WAKING_CALLS
    assert min(samples) >= 50
    assert float(np.median(samples)) < 60  # the machine may be busy with other tests


def test_fixed_batches_have_the_targets_shape_and_real_rows(tokenizer: Tokenizer) -> None:
    target = Target(batch_size=2, sequence_length=6)
    batches = worker.fixed_batches(rows_of([3, 9, 4]), tokenizer, target, 4)
    assert [batch["input_ids"].shape for batch in batches] == [(2, 6)] * 4
    assert batches[0]["input_ids"].tolist() == [[1, 1, 1, 0, 0, 0], [2] * 6]
    assert batches[1]["input_ids"][0].tolist() == [3, 3, 3, 3, 0, 0]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_outputs_come_back_in_the_rows_order(size: int, tokenizer: Tokenizer) -> None:
    lengths = [7, 2, 5, 3, 11, 2, 9]
    predictor = Sleeper(0)
    outputs = worker.run_all(predictor, rows_of(lengths), tokenizer, size)
    assert outputs[:, 0].tolist() == lengths
    assert outputs[:, 1].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert all(rows <= size for rows, _ in predictor.shapes)


def test_a_worker_answers_each_command(chain: Chain, tmp_path: Path) -> None:
    artifact = chain.artifacts["int8"]
    (tmp_path / "rows.json").write_text(json.dumps(rows_of([5, 9, 3])))
    job = {
        "folder": str(artifact.path),
        "target": Target(sequence_length=8).model_dump(),
        "rows": str(tmp_path / "rows.json"),
        "hub_task": "text-classification",
        "trust_remote_code": False,
        "warmup": 2,
        "samples": 4,
    }
    out = tmp_path / "logits.npy"
    commands = [job, {"do": "quality", "out": str(out)}, {"do": "round"}, {"do": "round"}, {"do": "stop"}]
    answers = io.StringIO()
    worker.serve(io.StringIO("".join(json.dumps(command) + "\n" for command in commands)), answers)
    ready, quality, first, second, last = map(json.loads, answers.getvalue().splitlines())
    assert ready["load_ms"] > 0
    assert quality == {}
    assert len(first["samples_ms"]) == len(second["samples_ms"]) == 4
    assert all(sample > 0 for sample in first["samples_ms"] + second["samples_ms"])
    assert last["peak_memory_bytes"] > 10e6
    assert np.load(out).shape == (3, 2)


def test_peak_memory_sees_an_allocation_that_is_gone_again() -> None:
    program = (
        "from compress.bench.worker import peak_memory_bytes\n"
        "import numpy as np\n"
        "before = peak_memory_bytes()\n"
        "block = np.ones(200_000_000, dtype=np.uint8)\n"
        "del block\n"
        "print(peak_memory_bytes() - before)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) == pytest.approx(200e6, rel=0.05)
