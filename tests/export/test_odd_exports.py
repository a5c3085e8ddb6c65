"""Families whose code depends on the length of a text: the graph equals torch at all lengths, or is refused."""

import copy
import functools
import inspect
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from benchmarks.faults.families import CONFIGS, POSITIONS, write_family
from compress.comparing import parity
from compress.comparing.probes import longest_text, probes
from compress.errors import CompressError, InputError
from compress.models.architectures import positions_of
from compress.models.config_file import read_config
from compress.models.exportable import NOT_EXPORTED, why_not_exportable
from compress.models.tokenizer import load_tokenizer
from compress.recipe.schema import Target
from compress.runtimes import load
from compress.stages import export_onnx
from compress.store.artifacts import Artifact
from compress.tasks import with_rows
from tests.chain import Chain, context_of
from tests.plans import CPU

TASK = "text-classification"
QUICK = ("bart", "big_bird", "deberta", "gpt2", "t5")
EXPORTED = tuple(family for family in CONFIGS if family not in (*NOT_EXPORTED, "mixtral"))
LENGTHS = ((1, 1), (1, 2), (2, 3), (3, 7), (2, 16), (1, 17), (3, 17), (2, 31))
BEYOND = ((2, 33), (1, 64), (2, 65), (3, POSITIONS - 2))


def exported(folder: Path, chain: Chain, work: Path, without_data: bool = False) -> tuple[Path, dict[str, Any]]:
    out = work / "onnx"
    out.mkdir()
    context = context_of(chain, work)
    if without_data:
        context = replace(context, task=with_rows(context.task, train=(), validation=(), test=()))
    facts = export_onnx.run(
        model=Artifact(folder, "3" * 64, "torch"), config=export_onnx.Config(), context=context, out=out
    )
    return out, facts


def rows_of(count: int, length: int, side: str) -> dict[str, np.ndarray[Any, Any]]:
    """Rows that end with the end token (3), all but the first shorter, filled up with padding (0)."""
    random = np.random.default_rng(length)
    ids, mask = random.integers(5, 90, (count, length)), np.ones((count, length), dtype=np.int64)
    for row in range(count):
        kept = length if row == 0 else max(1, length // (row + 1))
        place = slice(kept, None) if side == "right" else slice(0, length - kept)
        ids[row, kept - 1 if side == "right" else -1] = 3
        ids[row, place] = mask[row, place] = 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


@functools.lru_cache(maxsize=1)
def read_once(folder: Path) -> Any:
    """Plain transformers' model, for copies of it that have seen nothing."""
    return AutoModelForSequenceClassification.from_pretrained(folder).eval()


def plain(folder: Path, batch: dict[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """What plain transformers says, of a model that has seen nothing before."""
    network = copy.deepcopy(read_once(folder))
    names = {"input_ids", "attention_mask"} & set(inspect.signature(network.forward).parameters)
    with torch.no_grad():
        logits: np.ndarray[Any, Any] = network(**{name: torch.from_numpy(batch[name]) for name in names}).logits.numpy()
    return logits


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in EXPORTED]
)
def test_the_graph_says_what_plain_transformers_says_at_all_lengths(
    family: str, make_model: Callable[..., Path], chain: Chain, tmp_path: Path
) -> None:
    folder = write_family(tmp_path / family, family, make_model())
    out, facts = exported(folder, chain, tmp_path)
    assert facts["parity"]["lengths"] == (1, 2, 3, 17, 19, 32)
    ours = load(out, Target(), TASK)
    lengths = LENGTHS if family == "big_bird" else LENGTHS + BEYOND  # beyond 36 tokens it attends to blocks
    for count, length in lengths:
        for side in ("right", "left"):
            batch = rows_of(count, length, side)
            expected = plain(folder, batch)
            assert np.abs(ours(batch) - expected).max() < 1e-4 * max(1, np.abs(expected).max()), (count, length, side)


def test_rows_with_unlike_numbers_of_end_tokens_are_each_what_they_are_alone(
    make_model: Callable[..., Path], chain: Chain, tmp_path: Path
) -> None:
    """Transformers refuses such a batch; its own code, traced, would take other rows' tokens."""
    folder = write_family(tmp_path / "bart", "bart", make_model())
    out, _ = exported(folder, chain, tmp_path)
    ours = load(out, Target(), TASK)
    batch = rows_of(2, 12, "right")
    batch["input_ids"][0, 4] = 3
    with pytest.raises(ValueError, match="the same number of <eos> tokens"):
        plain(folder, batch)
    alone = [plain(folder, {name: array[[row]] for name, array in batch.items()}) for row in (0, 1)]
    alone[1] = plain(folder, {name: array[[1], :6] for name, array in batch.items()})
    assert np.abs(ours(batch) - np.concatenate(alone)).max() < 1e-5


@pytest.mark.parametrize("family", ["fnet", "longformer", "funnel", "reformer", "nystromformer", "canine"])
def test_a_family_without_a_graph_is_refused_in_the_plan(
    family: str, plan: Callable[..., Any], make_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tmp_path / "odd"
    if family in CONFIGS:
        write_family(folder, family, make_model())
    else:
        shutil.copytree(make_model(), folder)
        (folder / "config.json").write_text('{"model_type": "canine", "id2label": {"0": "bad", "1": "good"}}')
    teacher = f"{{name: teacher, stage: finetune, model: {folder}}}"
    with pytest.raises(InputError, match=f"step 'onnx': a {family} model cannot be exported to ONNX: ") as caught:
        plan(teacher, "{name: onnx, stage: export_onnx}")
    assert "torch target" in str(caught.value.fix)
    with pytest.raises(InputError, match=f"'teacher' is to be measured as ONNX: a {family} model cannot be exported"):
        plan(teacher, more=CPU)
    assert plan(teacher, more="targets: {cpu: {runtime: torch, threads: 1, sequence_length: 32}}").subjects


def test_big_bird_is_refused_where_texts_may_reach_its_blocks() -> None:
    config = {"model_type": "big_bird", "block_size": 64, "num_random_blocks": 3, "max_position_embeddings": 4096}
    assert why_not_exportable(config, 704) is None
    why, fix = why_not_exportable(config, 705) or ("", "")
    assert "beyond 704 tokens" in why
    assert "attention_type: original_full" in fix
    assert why_not_exportable({**config, "attention_type": "original_full"}, 4096) is None


def test_big_bird_without_data_is_refused_by_its_positions(
    plan: Callable[..., Any], make_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = write_family(tmp_path / "bird", "big_bird", make_model())
    step = f"{{name: onnx, stage: export_onnx, model: {folder}}}"
    assert plan(step).subjects  # texts of 32 tokens
    with pytest.raises(InputError, match=r"beyond 36 tokens.*of up to 40"):
        plan(step, more="targets: {cpu: {threads: 1, sequence_length: 40}}")


def test_code_that_cannot_be_traced_is_one_error_with_the_operator(
    make_model: Callable[..., Path], chain: Chain, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = write_family(tmp_path / "odd", "fnet", make_model())
    with pytest.raises(
        CompressError, match="FNetForSequenceClassification cannot be exported to ONNX: opset 17"
    ) as caught:
        exported(folder, chain, tmp_path)
    assert "aten::fft_fftn" in caught.value.what
    assert "torch target" in str(caught.value.fix)
    assert capfd.readouterr().out == "", "torch prints the whole graph"


def test_a_graph_that_is_right_only_at_the_traced_length_fails_the_step(
    make_model: Callable[..., Path], chain: Chain, tmp_path: Path
) -> None:
    folder = write_family(tmp_path / "odd", "funnel", make_model())
    failed = r"the model that was made fails on \d rows of \d+ tokens|differs from torch .* most at \d+ tokens"
    with pytest.raises(CompressError, match=failed) as caught:
        exported(folder, chain, tmp_path)
    assert caught.value.fix


def test_without_data_built_in_texts_are_cut_to_the_models_positions(
    make_model: Callable[..., Path], chain: Chain, tmp_path: Path
) -> None:
    folder = write_family(tmp_path / "short", "bert", make_model(), max_position_embeddings=9)
    _, facts = exported(folder, chain, tmp_path, without_data=True)
    assert facts["parity"]["built_in_texts"]
    assert facts["parity"]["lengths"] == (1, 2, 3, 9)


def test_probes_go_from_one_token_to_the_most_in_one_batch_too(chain: Chain, make_model: Callable[..., Path]) -> None:
    tokenizer = load_tokenizer(make_model())
    made = probes(chain.plan.task, tokenizer)
    assert [batch["input_ids"].shape for batch in made[:5]] == [(1, 1), (1, 2), (1, 3), (1, 17), (1, 32)]
    assert longest_text(chain.plan.task, tokenizer) == 32
    together = made[-1]["attention_mask"].sum(axis=1).tolist()
    assert (min(together), max(together)) == (1, 32)
    for batch in made:
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
            assert ids[mask.sum() - 1] == 3, "heads read the end token"
            assert (ids == 3).sum() == 1


def test_a_quantized_graph_without_numbers_at_some_length_fails_the_gate(chain: Chain, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(chain.artifacts["onnx"].path)

    def sound(batch: Any) -> np.ndarray[Any, Any]:
        return np.zeros((len(batch["input_ids"]), 2), dtype=np.float32)

    def broken(batch: Any) -> np.ndarray[Any, Any]:
        return sound(batch) + (np.nan if batch["input_ids"].shape[1] == 17 else 0)

    parity._refuse_broken(sound, sound, chain.plan.task, tokenizer)
    with pytest.raises(CompressError, match="gives no numbers of 1 rows of 17 tokens"):
        parity._refuse_broken(sound, broken, chain.plan.task, tokenizer)


def test_a_model_with_one_position_left_is_refused(
    plan: Callable[..., Any], make_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = write_family(tmp_path / "odd", "roberta", make_model(), max_position_embeddings=3)
    assert positions_of(read_config(folder)) == 1
    with pytest.raises(InputError, match="has positions for 1 tokens; a text takes at least 4"):
        plan(f"{{name: onnx, stage: export_onnx, model: {folder}}}")
