"""Measuring pairs of artifact and target in real processes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compress.bench.host import host_facts, same_machine
from compress.bench.measure import measure
from compress.files import folder_bytes
from compress.measurement import Measurement
from compress.recipe import BenchSpec, Target
from compress.store import Artifact
from tests.chain import Chain

SPEC = BenchSpec(warmup=1, rounds=3, samples=4)


@pytest.fixture(scope="module")
def measured(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Sequence[Measurement]:
    """onnx, a broken copy and the torch model, on onnxruntime; the broken one comes second."""
    broken = tmp_path_factory.mktemp("broken")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (broken / name).write_bytes((chain.artifacts["onnx"].path / name).read_bytes())
    whole = (chain.artifacts["onnx"].path / "model.onnx").read_bytes()
    (broken / "model.onnx").write_bytes(whole)
    task = replace(chain.plan.task, test=chain.plan.task.validation)  # type: ignore[type-var]
    damaged = Artifact(broken, "f" * 64, "onnx")
    artifacts = [chain.artifacts["onnx"], damaged, chain.artifacts["pruned"]]
    return measure(
        artifacts,
        {"cpu": Target(threads=1, sequence_length=16)},
        task,
        SPEC,
        seed=0,
        trust_remote_code=False,
        progress=lambda *_: None,
    )


def test_a_pair_is_measured_in_rounds(measured: Sequence[Measurement], chain: Chain) -> None:
    found = measured[0]
    assert found.status == "measured"
    assert [len(turn) for turn in found.samples_ms] == [4, 4, 4]
    assert found.quality is not None
    assert found.quality >= 0.8
    assert len(found.predictions) == len(chain.plan.task.validation) == 16
    assert found.size_bytes == folder_bytes(chain.artifacts["onnx"].path)
    assert found.peak_memory_bytes is not None
    assert 20e6 < found.peak_memory_bytes < 1e9


def test_the_same_file_gives_the_same_predictions(measured: Sequence[Measurement]) -> None:
    assert measured[0].predictions == measured[1].predictions
    assert measured[0].quality == measured[1].quality


def test_what_cannot_run_is_skipped_and_says_why(measured: Sequence[Measurement]) -> None:
    assert measured[2].status == "skipped"
    assert measured[2].reason == "the runtime 'onnxruntime' does not run the format 'torch'"
    assert measured[2].samples_ms == []


def test_a_dying_worker_fails_its_row_and_the_others_go_on(chain: Chain, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((chain.artifacts["onnx"].path / name).read_bytes())
    (tmp_path / "model.onnx").write_bytes(
        (chain.artifacts["onnx"].path / "model.onnx").read_bytes().replace(b"logits", b"logitz", 1)
    )
    task = replace(chain.plan.task, test=chain.plan.task.validation)  # type: ignore[type-var]
    found = measure(
        [Artifact(tmp_path, "e" * 64, "onnx"), chain.artifacts["int8"]],
        {"cpu": Target(sequence_length=16)},
        task,
        SPEC,
        seed=0,
        trust_remote_code=False,
        progress=lambda *_: None,
    )
    assert [item.status for item in found] == ["failed", "measured"]
    assert found[0].reason is not None
    assert found[0].reason.startswith("exit code 1: ")
    assert np.isfinite(found[1].samples_ms).all()


def test_torch_targets_are_measured_with_bitsandbytes_too(chain: Chain) -> None:
    task = replace(chain.plan.task, test=chain.plan.task.validation)  # type: ignore[type-var]
    found = measure(
        [chain.artifacts["teacher"], chain.artifacts["nf4"]],
        {"eager": Target(runtime="torch", threads=1, sequence_length=16)},
        task,
        SPEC,
        seed=0,
        trust_remote_code=False,
        progress=lambda *_: None,
    )
    assert [item.status for item in found] == ["measured", "measured"]
    assert found[0].parameters == found[1].parameters
    assert found[1].size_bytes < found[0].size_bytes
    assert min(item.quality or 0 for item in found) >= 0.8


def test_host_facts_name_the_machine() -> None:
    facts = host_facts()
    assert facts["cores"] >= 1
    assert facts["memory_bytes"] > 1e8
    assert facts["versions"]["onnxruntime"]
    assert same_machine(facts, host_facts())
    assert not same_machine(facts, {**facts, "cpu": "another"})


@pytest.mark.gpu
def test_cuda_targets_are_measured(chain: Chain) -> None:
    task = replace(chain.plan.task, test=chain.plan.task.validation)  # type: ignore[type-var]
    (found,) = measure(
        [chain.artifacts["teacher"]],
        {"gpu": Target(runtime="torch", device="cuda", sequence_length=16)},
        task,
        SPEC,
        seed=0,
        trust_remote_code=False,
        progress=lambda *_: None,
    )
    assert found.status == "measured"
    assert found.quality is not None
    assert found.quality >= 0.8
