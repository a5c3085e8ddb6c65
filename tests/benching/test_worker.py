"""The instrument: what it reads of a model whose speed is known, and what it makes of rows."""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compress.benching import worker
from compress.errors import CompressError
from compress.models.tokenizer import Tokenizer, load_tokenizer
from compress.processes.child import ALIVE
from compress.recipe.schema import Target
from compress.runtimes import CannotRunError
from tests.chain import Chain

Batch = Mapping[str, np.ndarray[Any, Any]]
LENGTHS = (7, 2, 5, 3, 11, 9, 4, 6, 8, 10, 13, 12)
STOP = {"do": "stop"}


def rounds(*turns: int) -> list[dict[str, Any]]:
    return [{"do": "round", "turn": turn} for turn in turns]


ROUNDS = 4


class Sleeper:
    """A predictor that takes a known time, and says of each row how long it is and how it starts."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.batches: list[Batch] = []

    def __call__(self, batch: Batch) -> np.ndarray[Any, Any]:
        self.batches.append(batch)
        time.sleep(self.seconds)
        return np.stack([batch["attention_mask"].sum(axis=1), batch["input_ids"][:, 0]], axis=1).astype(np.float32)

    def calls(self, turn: int, samples: int, kind: str) -> list[Batch]:
        """What it was given in one of ROUNDS rounds: at the fixed length, or at the rows' own."""
        a_round = worker.WAKING_CALLS + 2 * samples
        start = len(self.batches) - (ROUNDS - turn) * a_round + worker.WAKING_CALLS + samples * (kind == "real")
        return self.batches[start : start + samples]


@pytest.fixture(autouse=True)
def _same_cores() -> Iterator[None]:
    """A worker pins its thread; here it shares the process with the other tests."""
    before = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a tokenizer of the words w0 to w11, whose ids are 1 to 12."""
    from tokenizers import Tokenizer as Fast
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    fast = Fast(WordLevel({"[PAD]": 0} | {f"w{n}": n + 1 for n in range(len(LENGTHS))}, unk_token="[PAD]"))
    fast.pre_tokenizer = Whitespace()
    (tmp_path / "model").mkdir()
    fast.save(str(tmp_path / "model" / "tokenizer.json"))
    return tmp_path / "model"


@pytest.fixture
def job(folder: Path) -> Callable[..., dict[str, Any]]:
    """A job on twelve rows, the n-th of which is the n-th word said LENGTHS[n] times."""

    def make(pairs: Sequence[str] | None = None, samples: int = 3, warmup: int = 1, **target: Any) -> dict[str, Any]:
        texts = [" ".join([f"w{number}"] * length) for number, length in enumerate(LENGTHS)]
        rows = load_tokenizer(folder).encode(texts, pairs, 32)
        given = folder / "rows.json"
        given.write_text(json.dumps({"rows": rows, "texts": texts, "pairs": pairs}))
        return {
            "folder": str(folder),
            "target": Target(sequence_length=6).model_copy(update=target).model_dump(),
            "format": "onnx",
            "rows": str(given),
            "hub_task": "text-classification",
            "trust_remote_code": False,
            "max_length": 32,
            "warmup": warmup,
            "samples": samples,
        }

    return make


def without_signs(answers: str) -> list[dict[str, Any]]:
    return [answer for line in answers.splitlines() if (answer := json.loads(line)) != ALIVE]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """The answers of a worker whose model is the given one, or that fails to load with the given error."""

    def serve(model: Any, job: dict[str, Any], *commands: dict[str, Any], load_s: float = 0.0) -> list[dict[str, Any]]:
        def load(*_: Any, **options: Any) -> Any:
            assert options == {"trust_remote_code": False, "exclusive": True}
            if isinstance(model, Exception):
                raise model
            time.sleep(load_s)
            return model

        monkeypatch.setattr(worker, "load", load)
        monkeypatch.setattr(worker, "SETTLE_SECONDS", 0.0)  # nothing here spins
        answers = io.StringIO()
        worker.serve(io.StringIO("".join(json.dumps(line) + "\n" for line in (job, *commands))), answers)
        return without_signs(answers.getvalue())

    return serve


def rows_in(batches: Sequence[Batch]) -> list[list[int]]:
    return [(batch["input_ids"][:, 0] - 1).tolist() for batch in batches]


@pytest.fixture
def slow_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes 20 ms."""
    encode = Tokenizer.encode

    def slow(self: Tokenizer, *arguments: Any) -> Any:
        time.sleep(0.02)
        return encode(self, *arguments)

    monkeypatch.setattr(Tokenizer, "encode", slow)


def test_a_known_sleep_is_read(job: Any, served: Any, request: pytest.FixtureRequest) -> None:
    given = job(samples=7)
    request.getfixturevalue("slow_tokenizer")
    start = time.perf_counter()
    started, found = served(Sleeper(0.02), given, *rounds(0), load_s=0.03)
    elapsed_ms = 1000 * (time.perf_counter() - start)
    for samples in found.values():
        assert len(samples) == 7
        assert min(samples) >= 20
    assert started["load_ms"] >= 30
    assert started["first_call_ms"] >= 20
    assert sum(map(sum, found.values())) + started["load_ms"] + started["first_call_ms"] <= elapsed_ms


def test_no_more_than_the_sleep_is_read(
    job: Any, served: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that nothing but sleeping moves, since other processes may hold a core for any time."""
    given = job(samples=7)
    request.getfixturevalue("slow_tokenizer")
    now_ns = 0

    def sleep(seconds: float) -> None:
        nonlocal now_ns
        now_ns += round(1e9 * seconds)

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "perf_counter_ns", lambda: now_ns)
    started, found = served(Sleeper(0.02), given, *rounds(0), load_s=0.03)
    assert found == {name: [20.0] * 7 for name in ("samples_ms", "real_samples_ms", "tokenize_samples_ms")}
    assert (started["load_ms"], started["first_call_ms"]) == (30.0, 20.0)


def test_every_turn_takes_other_rows_until_all_were_seen(served: Any, job: Any) -> None:
    sleeper = Sleeper()
    served(sleeper, job(), *rounds(0, 1, 2, 3), STOP)
    seen = [rows_in(sleeper.calls(turn, 3, "real")) for turn in range(ROUNDS)]
    assert sorted(row for turn in seen for (row,) in turn) == list(range(len(LENGTHS)))
    assert [row for turn in seen for (row,) in turn] != list(range(len(LENGTHS)))  # not in the file's order


def test_all_artifacts_see_the_same_rows_in_the_same_turn(served: Any, job: Any) -> None:
    one, other = Sleeper(), Sleeper(0.001)
    served(one, job(), *rounds(0, 1, 2, 3))
    served(other, job(warmup=5), *rounds(0, 1, 2, 3))
    for turn in range(ROUNDS):
        assert rows_in(one.calls(turn, 3, "real")) == rows_in(other.calls(turn, 3, "real"))
        assert rows_in(one.calls(turn, 3, "fixed")) == rows_in(other.calls(turn, 3, "fixed")) == [[0], [1], [2]]


def test_real_batches_have_the_rows_own_length_and_fixed_ones_the_targets(served: Any, job: Any) -> None:
    sleeper = Sleeper()
    served(sleeper, job(), *rounds(0, 1, 2, 3))
    for turn in range(ROUNDS):
        assert {batch["input_ids"].shape for batch in sleeper.calls(turn, 3, "fixed")} == {(1, 6)}
        real = sleeper.calls(turn, 3, "real")
        assert [batch["input_ids"].shape for batch in real] == [(1, LENGTHS[row]) for (row,) in rows_in(real)]


def test_larger_batches_are_padded_to_their_longest_row(served: Any, job: Any) -> None:
    sleeper = Sleeper()
    served(sleeper, job(samples=3, batch_size=2), *rounds(0, 1, 2, 3))
    for turn in range(ROUNDS):
        assert {batch["input_ids"].shape for batch in sleeper.calls(turn, 3, "fixed")} == {(2, 6)}
        for batch, rows in zip(real := sleeper.calls(turn, 3, "real"), rows_in(real), strict=True):
            assert batch["input_ids"].shape == (2, max(LENGTHS[row] for row in rows))
            assert batch["attention_mask"].sum(axis=1).tolist() == [LENGTHS[row] for row in rows]
    two_turns = [row for turn in (0, 1) for rows in rows_in(sleeper.calls(turn, 3, "real")) for row in rows]
    assert sorted(two_turns) == list(range(12))


@pytest.mark.parametrize("has_pairs", [False, True])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_the_tokenizer_is_timed_on_the_texts_of_the_real_calls(
    has_pairs: bool, batch_size: int, served: Any, job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [f"w{(number + 1) % 12} w0" for number in range(len(LENGTHS))] if has_pairs else None
    given = job(pairs, batch_size=batch_size)
    made: list[Batch] = []
    pad = Tokenizer.pad

    def encode(self: Tokenizer, texts: Sequence[str], *arguments: Any, whole: Any = Tokenizer.encode) -> Any:
        assert isinstance(texts[0], str)
        made.append(pad(self, whole(self, texts, *arguments)))
        return whole(self, texts, *arguments)

    monkeypatch.setattr(Tokenizer, "encode", encode)
    sleeper = Sleeper()
    served(sleeper, given, *rounds(0, 1, 2, 3))
    real = [batch for turn in range(ROUNDS) for batch in sleeper.calls(turn, 3, "real")]
    assert len(made) == len(real) == 12
    for one, other in zip(made, real, strict=True):
        assert {name: array.tolist() for name, array in one.items()} == {
            name: array.tolist() for name, array in other.items()
        }
    assert any(batch["token_type_ids"].any() for batch in real) == has_pairs


def test_fixed_batches_have_the_targets_shape_and_real_rows(folder: Path, job: Any) -> None:
    rows = json.loads(Path(job()["rows"]).read_text())["rows"][:3]
    target = Target(batch_size=2, sequence_length=6)
    batches = worker.fixed_batches(rows, load_tokenizer(folder), target, 4)
    assert [batch["input_ids"].shape for batch in batches] == [(2, 6)] * 4
    assert batches[0]["input_ids"].tolist() == [[1] * 6, [2, 2, 0, 0, 0, 0]]
    assert batches[1]["input_ids"].tolist() == [[3, 3, 3, 3, 3, 0], [1] * 6]


@pytest.mark.parametrize(("size", "sizes", "padding"), [(1, [1] * 12, 0), (2, [2] * 6, 6), (5, [5, 5, 2], 21)])
def test_outputs_come_back_in_the_rows_order_from_batches_of_like_length(
    size: int, sizes: list[int], padding: int, served: Any, job: Any, tmp_path: Path
) -> None:
    sleeper, out = Sleeper(), tmp_path / "outputs.npy"
    _, answer = served(sleeper, job(batch_size=size), {"do": "quality", "out": str(out)})
    assert answer == {}
    assert np.load(out).tolist() == [[length, number + 1] for number, length in enumerate(LENGTHS)]
    masks = [batch["attention_mask"] for batch in sleeper.batches[-len(sizes) :]]
    assert [len(mask) for mask in masks] == sizes
    assert sum(int((mask == 0).sum()) for mask in masks) == padding  # of the lengths 2 to 13 in their order


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("side", ["left", "right"])
def test_outputs_of_tokens_come_back_without_padding_and_without_what_does_not_count(
    side: str, size: int, served: Any, job: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, out = job(batch_size=size), tmp_path / "outputs.npy"
    rows = json.loads(Path(given["rows"]).read_text())
    for row in rows["rows"]:
        row["counted"] = [place % 2 for place in range(len(row["input_ids"]))]
    Path(given["rows"]).write_text(json.dumps(rows))
    monkeypatch.setattr(worker, "load_tokenizer", lambda folder: replace(load_tokenizer(folder), pad_side=side))

    def says(batch: Batch) -> np.ndarray[Any, Any]:
        assert batch.keys() == {"input_ids", "attention_mask", "token_type_ids"}
        return np.stack([batch["input_ids"], batch["input_ids"] ** 2], axis=-1).astype(np.float32)

    _, answer = served(says, given, {"do": "quality", "out": str(out)})
    assert answer == {}
    numbers = [number + 1 for number, length in enumerate(LENGTHS) for _ in range(length // 2)]
    assert np.load(out).tolist() == [[number, number**2] for number in numbers]


@pytest.mark.parametrize("when", ["loading", "later"])
@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (CannotRunError("no such operator", where="there"), {"skipped": "no such operator"}),
        (CompressError("out of luck", where="there", fix="none"), {"failed": "out of luck"}),
    ],
)
def test_an_error_is_the_last_answer(
    when: str, error: Exception, answer: dict[str, str], served: Any, job: Any, tmp_path: Path
) -> None:
    calls = 0

    def breaks(batch: Batch) -> np.ndarray[Any, Any]:
        nonlocal calls
        calls += 1
        if calls == 9:  # the first call, the warm-up of two, and then three and two in the round
            raise error
        return np.zeros((1, 2), np.float32)

    answers = served(error if when == "loading" else breaks, job(), *rounds(0, 1))
    assert answers[-1] == answer
    assert len(answers) == (1 if when == "loading" else 2)


def test_the_job_is_answered_and_the_end_of_the_commands_ends_the_worker(served: Any, job: Any) -> None:
    (started,) = served(Sleeper(), job())
    assert started.keys() >= {"load_ms", "first_call_ms", "start_memory_bytes"}
    assert len(served(Sleeper(), job(), *rounds(0), STOP, *rounds(1))) == 2


def test_what_a_library_prints_does_not_mix_with_the_answers(job: Any) -> None:
    program = (
        "import os, numpy as np\n"
        "from compress.benching import worker\n"
        "def predict(batch):\n"
        "    print('from python', flush=True)\n"
        "    os.write(1, b'from C\\n')\n"
        "    return np.zeros((1, 2), np.float32)\n"
        "worker.load = lambda *_, **__: predict\n"
        "worker.main()\n"
    )
    lines = "".join(json.dumps(line) + "\n" for line in (job(), *rounds(0), STOP))
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], input=lines, capture_output=True, text=True, check=True
    )
    started, found = without_signs(done.stdout)
    assert started["load_ms"] >= 0
    assert len(found["samples_ms"]) == 3
    assert done.stderr.count("from python\n") == done.stderr.count("from C\n") == 3 + 3 + 6


@pytest.mark.int8
def test_a_worker_answers_each_command_on_a_real_model(chain: Chain, job: Any, tmp_path: Path) -> None:
    given = job(samples=4) | {"folder": str(chain.artifacts["int8"].path)}
    commands = [{"do": "quality", "out": str(tmp_path / "o.npy")}, *rounds(0), {"do": "memory"}, {"do": "flops"}, STOP]
    answers = io.StringIO()
    worker.serve(io.StringIO("".join(json.dumps(line) + "\n" for line in (given, *commands))), answers)
    started, quality, found, memory, flops = without_signs(answers.getvalue())
    assert quality == {}
    assert np.load(tmp_path / "o.npy").shape == (12, 2)
    assert all(0 < sample < 1000 for name in found for sample in found[name])
    assert memory["peak_memory_bytes"] >= started["start_memory_bytes"] > 10e6
    assert (started | memory)["gpu_memory_bytes"] is None
    assert flops["flops"]["fp32"] == 4 * 6 * 6 * 16  # attention of the one layer's 2 heads of 8, over 6 tokens


def test_peak_memory_sees_an_allocation_that_is_gone_again() -> None:
    program = (
        "from compress.benching.worker import peak_memory_bytes\n"
        "import numpy as np\n"
        "before = peak_memory_bytes()\n"
        "block = np.ones(200_000_000, dtype=np.uint8)\n"
        "del block\n"
        "print(peak_memory_bytes() - before)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) == pytest.approx(200e6, rel=0.05)
