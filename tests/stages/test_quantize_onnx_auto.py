"""The choice among ways of quantizing: by its rules, and on a real model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compress.comparing import parity
from compress.errors import InputError
from compress.facts import Candidate
from compress.recipe.schema import Target
from compress.runtimes import load
from compress.stages import quantize_onnx_auto
from compress.stages.quantize_onnx_auto import Config, ways
from tests.chain import Chain, context_of

pytestmark = pytest.mark.int8


def test_what_loses_too_much_is_tried_in_other_ways_before_it_is_given_up() -> None:
    names = {way.name: [other.name for other in way.instead] for way in ways(Config())}
    assert names["int8 dynamic"] == ["int8 dynamic, smoothed", "int8 dynamic, mixed"]
    assert names["4 bits"] == ["4 bits, mixed"]
    cuda = {way.name for way in ways(Config(target=Target(device="cuda")))}
    assert cuda == {"fp16", "4 bits"}
    forms = {
        runtime: next(
            way.settings["form"] for way in ways(Config(target=Target(runtime=runtime))) if "form" in way.settings
        )
        for runtime in ("onnxruntime", "openvino")
    }
    assert forms == {"onnxruntime": "operators", "openvino": "qdq"}


def run(chain: Chain, out: Path, **settings: Any) -> dict[str, Any]:
    out.mkdir()
    config = Config(rounds=2, target=Target(threads=1, sequence_length=16), **settings)
    return quantize_onnx_auto.run(
        model=chain.artifacts["onnx"], config=config, context=context_of(chain, out), out=out / "model"
    ).manifest_facts()


def logits(folder: Path) -> np.ndarray:
    ids = np.random.default_rng(1).integers(5, 60, (4, 20))
    batch = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    return load(folder, Target(), "text-classification")(batch)


def chosen(facts: dict[str, Any]) -> Sequence[Any]:
    (found,) = (item for item in facts["choice"]["candidates"] if item["chosen"])
    return found["name"]


@pytest.mark.usefixtures("forked")
def test_the_smallest_is_made_measured_and_taken(chain: Chain, tmp_path: Path) -> None:
    facts = run(chain, tmp_path / "out", prefer="size", max_drop_pp=10.0)
    choice = facts["choice"]
    assert [item["name"] for item in choice["candidates"]] == ["float", "int8 dynamic", "int8 static", "4 bits"]
    sizes = {item["name"]: item["size_bytes"] for item in choice["candidates"]}
    assert chosen(facts) == min(sizes, key=lambda name: sizes[name])
    assert choice["verdict"].startswith(f"{chosen(facts)}: ")
    assert all(item["latency_ms"] > 0 and item["speedup"] > 0 for item in choice["candidates"])
    assert (choice["rows"], choice["choice_rows"]) == (8, 8)
    assert facts["parity"]["agreement"] >= 0.8
    assert (tmp_path / "out" / "model" / "tokenizer.json").is_file()
    assert 0 < np.abs(logits(tmp_path / "out" / "model") - logits(chain.artifacts["onnx"].path)).max() < 1


@pytest.mark.parametrize(
    ("target", "what"),
    [
        (Target(device="cuda"), "nothing can be timed on the target: this onnxruntime has no CUDAExecutionProvider"),
        (Target(sequence_length=4000), "target.sequence_length is 4000, but the model has positions for 256 tokens"),
    ],
)
def test_a_target_that_cannot_be_is_refused_before_any_work(
    target: Target, what: str, chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantize_onnx_auto, "_float_copy", None)
    with pytest.raises(InputError, match=what):
        quantize_onnx_auto.run(
            model=chain.artifacts["onnx"],
            config=Config(target=target),
            context=context_of(chain, tmp_path),
            out=tmp_path / "model",
        )


def test_a_model_that_says_the_same_of_all_rows_is_refused(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def same(*_: Any, **__: Any) -> Any:
        return lambda row: np.zeros((len(row["input_ids"]), 2))

    monkeypatch.setattr(parity, "load", same)
    with pytest.raises(InputError, match="the float model says the same of all 8 rows"):
        run(chain, tmp_path / "out")


def test_float_wins_where_nothing_keeps_the_budget(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_fits(one: Candidate, *_: Any) -> tuple[Candidate, None]:
        return Candidate(name=one.name, drop_pp=3.0, reason="loses 3.0 points, 0.5 are allowed"), None

    monkeypatch.setattr(quantize_onnx_auto, "_make", none_fits)
    facts = run(chain, tmp_path / "out")
    assert chosen(facts) == "float"
    assert facts["choice"]["verdict"].startswith("float wins: nothing that keeps within 0.5 points is faster here")
    assert "int8 dynamic, mixed" in facts["choice"]["verdict"]
    assert (logits(tmp_path / "out" / "model") == logits(chain.artifacts["onnx"].path)).all()
