"""What each runtime says of the same model and rows, held against PyTorch eager in fp32."""

import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from onnx import helper

from compress.errors import InputError
from compress.formats import why_not
from compress.models.tokenizer import load_tokenizer
from compress.recipe.schema import Target
from compress.runtimes import CannotRunError, load
from compress.runtimes.onnxruntime import open_graph
from tests.chain import Chain
from tests.graphs import graph_of, random

Array = np.ndarray[Any, Any]
TASK = "text-classification"
needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")


@pytest.fixture(autouse=True)
def _same_threads() -> Iterator[None]:
    before = torch.get_num_threads(), os.sched_getaffinity(0)
    yield
    torch.set_num_threads(before[0])
    os.sched_setaffinity(0, before[1])


@pytest.fixture(scope="module")
def batches(chain: Chain) -> list[Mapping[str, Array]]:
    """All test rows: in two padded batches, and the first alone."""
    task, tokenizer = chain.plan.task, load_tokenizer(chain.artifacts["teacher"].path)
    rows = task.encode(task.validation, tokenizer)
    return [tokenizer.pad(rows[:8]), tokenizer.pad(rows[8:]), tokenizer.pad(rows[:1])]


def logits_of(chain: Chain, name: str, batches: list[Mapping[str, Array]], **target: Any) -> Array:
    predict = load(chain.artifacts[name].path, Target.model_validate({"threads": 1, **target}), TASK)
    found = [predict(batch) for batch in batches]
    assert {array.dtype for array in found} == {np.dtype(np.float32)}
    return np.concatenate(found)  # (17, classes)


@pytest.mark.parametrize(
    ("runtime", "precision", "tolerance"),
    [
        ("onnxruntime", "fp32", 1e-5),
        pytest.param("openvino", "fp32", 1e-4, marks=needs_openvino),
        pytest.param("openvino", "bf16", 0.05, marks=needs_openvino),
    ],
)
def test_an_export_says_what_its_model_says(
    runtime: str, precision: str, tolerance: float, chain: Chain, batches: list[Mapping[str, Array]]
) -> None:
    target = {"runtime": runtime, "precision": precision}
    if reason := why_not("onnx", Target.model_validate(target)):
        pytest.skip(reason)
    expected = logits_of(chain, "pruned", batches, runtime="torch")
    found = logits_of(chain, "onnx", batches, **target)
    assert np.abs(found - expected).max() < tolerance * np.abs(expected).max()
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.9


@needs_openvino
def test_openvino_refuses_what_it_has_no_operator_for(chain: Chain) -> None:
    with pytest.raises(CannotRunError, match=r"^OpenVINO cannot run it: No conversion rule found .*QAttention"):
        load(chain.artifacts["int8"].path, Target(runtime="openvino"), TASK)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp16", 0.005), ("bf16", 0.05)])
def test_half_precision_is_near_and_mostly_agrees(
    precision: str, tolerance: float, chain: Chain, batches: list[Mapping[str, Array]]
) -> None:
    expected = logits_of(chain, "teacher", batches, runtime="torch")
    found = logits_of(chain, "teacher", batches, runtime="torch", precision=precision)
    difference = np.abs(found - expected).max()
    assert 0 < difference < tolerance * np.abs(expected).max()
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.9


def test_bitsandbytes_weights_keep_their_own_precision(chain: Chain, batches: list[Mapping[str, Array]]) -> None:
    for precision in ("fp16", "bf16"):
        with pytest.raises(CannotRunError) as caught:
            logits_of(chain, "nf4", batches, runtime="torch", precision=precision)
        assert caught.value.what == "bitsandbytes weights bring their own precision"
    expected = logits_of(chain, "teacher", batches, runtime="torch")
    found = logits_of(chain, "nf4", batches, runtime="torch")
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.8


@pytest.mark.slow  # compiles C++: 5 to 20 s
def test_compiled_models_say_what_eager_ones_say(chain: Chain, batches: list[Mapping[str, Array]]) -> None:
    target = {"runtime": "torch_compile"}
    if reason := why_not("torch", Target.model_validate(target)):
        pytest.skip(reason)
    from torch._inductor import config

    expected = logits_of(chain, "student", batches, runtime="torch")
    with config.patch(compile_threads=1):  # a pool of compiling processes takes longer to start than this takes
        found = logits_of(chain, "student", batches, **target)
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
    assert found.argmax(axis=1).tolist() == expected.argmax(axis=1).tolist()


def test_a_process_of_its_own_gets_the_targets_threads(chain: Chain) -> None:
    target = Target(runtime="torch", threads=2)
    load(chain.artifacts["student"].path, target, TASK, exclusive=True)
    assert torch.get_num_threads() == 2


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("runtime", "precision", "tolerance"),
    [
        ("torch", "fp32", 1e-3),
        ("torch", "fp16", 0.01),
        ("torch", "bf16", 0.05),
        ("torch_compile", "fp32", 1e-3),
        ("torch_compile", "bf16", 0.05),
    ],
)
def test_cuda_says_what_the_cpu_says(
    runtime: str, precision: str, tolerance: float, chain: Chain, batches: list[Mapping[str, Array]]
) -> None:
    expected = logits_of(chain, "teacher", batches, runtime="torch")
    found = logits_of(chain, "teacher", batches, runtime=runtime, device="cuda", precision=precision)
    assert np.abs(found - expected).max() < tolerance * np.abs(expected).max()
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.9


def test_logits_are_of_tokens_where_these_are_asked_for_and_else_of_rows() -> None:
    ids, table = np.array([[3, 1, 0], [2, 2, 3]]), random(4, 5)
    gather = helper.make_node("Gather", ["table", "input_ids"], ["logits"])
    graph = graph_of([gather], {"input_ids": ids}, {"table": table}, ["logits"])
    assert (open_graph(graph, "token")({"input_ids": ids}) == table[ids]).all()
    with pytest.raises(InputError, match=r"shape \(2, 3, 5\) for 2 rows; logits of \(batch, classes\) are needed"):
        open_graph(graph)({"input_ids": ids})
    first = helper.make_node("Gather", ["all", "zero"], ["logits"], axis=1)
    gather.output[0] = "all"
    of_rows = graph_of(
        [gather, first], {"input_ids": ids}, {"table": table, "zero": np.array(0, dtype=np.int64)}, ["logits"]
    )
    assert (open_graph(of_rows)({"input_ids": ids}) == table[ids[:, 0]]).all()
    with pytest.raises(InputError, match=r"shape \(2, 5\) for 2 rows; logits of \(batch, tokens, classes\)"):
        open_graph(of_rows, "token")({"input_ids": ids})
