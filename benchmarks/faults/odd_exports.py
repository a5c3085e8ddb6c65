"""Families whose code depends on the length of a text: a graph that equals plain transformers, or a reason why not."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.faults.cases import Case, Check, recipe, refused, small_run, succeeded
from benchmarks.faults.families import POSITIONS, write_family
from benchmarks.faults.small_run import Ended

OUT = "out"
LENGTHS = ((1, 1), (1, 2), (3, 7), (2, 16), (1, 17), (3, 19), (2, 33), (1, 65), (2, POSITIONS - 2))
TOLERANCE = 1e-3
"""Of the largest logit."""

Prepare = Callable[[Path], Sequence[str]]


def _export(family: str, *options: str, **changed: Any) -> Prepare:
    def prepare(folder: Path) -> list[str]:
        write_family(folder / "model", family, small_run() / "model", **changed)
        return ["export", "model", "-o", OUT, *options]

    return prepare


def _chain(family: str, *verbs: str) -> Prepare:
    def prepare(folder: Path) -> list[str]:
        write_family(folder / "model", family, small_run() / "model")
        return ["chain", "model", "--max-length", "64", *verbs]

    return prepare


def _trained_then(family: str, *stages: str, runtime: str = "torch", **changed: Any) -> Prepare:
    """Plans a recipe that trains first: what cannot be exported must be said before that."""

    def prepare(folder: Path) -> list[str]:
        write_family(folder / "model", family, small_run() / "model", **changed)
        steps = [{"name": "teacher", "stage": "finetune", "model": "model"}]
        steps += [{"name": stage, "stage": stage} for stage in stages]
        targets = {"cpu": {"runtime": runtime, "threads": 1, "sequence_length": 32}}
        for name in ("train.csv", "test.csv"):
            (folder / name).write_bytes((small_run() / name).read_bytes())
        said = recipe(steps=steps, targets=targets)
        (folder / "odd.yaml").write_text(yaml.safe_dump(said, sort_keys=False), encoding="utf-8")
        return ["plan", "odd.yaml", "--no-forecast"]

    return prepare


def rows_of(count: int, length: int) -> dict[str, np.ndarray[Any, Any]]:
    """Rows of real tokens that end with the end token, the later ones shorter and filled up on the right."""
    random = np.random.default_rng(length)
    ids, mask = random.integers(5, 70, (count, length)), np.ones((count, length), dtype=np.int64)
    for row in range(count):
        kept = max(1, length // (row + 1))
        ids[row, kept - 1] = 3
        ids[row, kept:] = mask[row, kept:] = 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def same_logits(longest: int = POSITIONS - 2, tolerance: float = TOLERANCE) -> Check:
    """The check that a graph says at all lengths what plain transformers says of the model that it was made from."""

    def check(folder: Path, ended: Ended) -> str | None:
        del ended
        import onnxruntime
        import torch
        from transformers import AutoModelForSequenceClassification

        (graph,) = {*folder.glob(f"{OUT}/*.onnx"), *folder.glob("runs/chain/final/*.onnx")}
        session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
        names = [item.name for item in session.get_inputs()]
        loaded = AutoModelForSequenceClassification.from_pretrained(folder / "model").eval()
        for count, length in LENGTHS:
            if length > longest:
                continue
            batch = rows_of(count, length)
            network = copy.deepcopy(loaded)  # some remember what they have seen
            with torch.no_grad():
                given = {name: torch.from_numpy(batch[name]) for name in ("input_ids", "attention_mask")}
                expected = network(**given).logits.numpy()
            found = session.run(None, {name: batch[name] for name in names})[0]
            apart = float(np.abs(found - expected).max())
            if not apart <= tolerance * max(1.0, float(np.abs(expected).max())):
                return f"{count} rows of {length} tokens: a logit is off by {apart:.2g}"
        return None

    return check


EXPORTED = (
    *("albert", "bart", "bert", "convbert", "deberta", "deberta-v2", "electra", "gpt2", "llama", "mbart", "mistral"),
    *("gpt_neox", "mpnet", "roformer", "squeezebert", "t5"),
)
REFUSED = {
    "fnet": "fourier transform",
    "funnel": "lays out what is pooled",
    "longformer": "windows and padding",
    "nystromformer": "segment_means_seq_len",
    "reformer": "chunks and hashes",
}

CASES = [
    *(Case(f"{family} at all lengths", "export", _export(family), succeeded(same_logits())) for family in EXPORTED),
    *(
        Case(f"{family} before training", "export", _trained_then(family, "export_onnx"), refused(*words, code=2))
        for family, why in REFUSED.items()
        for words in [("cannot be exported to ONNX", why, "torch target")]
    ),
    Case(
        "fnet measured through an export",
        "export",
        _trained_then("fnet", runtime="onnxruntime"),
        refused("to be measured as ONNX", "fourier transform", code=2),
    ),
    Case("fnet on a torch target", "export", _trained_then("fnet"), succeeded()),
    Case(
        "big_bird that may get blocks",
        "export",
        _export("big_bird"),
        refused("attends to blocks of texts beyond 36 tokens", "original_full", code=2),
    ),
    Case(
        "big_bird of full attention",
        "export",
        _export("big_bird", attention_type="original_full"),
        succeeded(same_logits()),
    ),
    Case(
        "an operator that ONNX lacks",
        "export",
        _export("mixtral"),
        refused("MixtralForSequenceClassification cannot be exported", "aten::", "torch target", code=1),
    ),
    Case(
        "positions for one token",
        "export",
        _export("roberta", max_position_embeddings=3),
        refused("has positions for 1 tokens; a text takes at least 4", code=2),
    ),
    Case(
        "built-in texts longer than the positions",
        "export",
        _export("bert", "--max-length", "20", max_position_embeddings=20),
        succeeded(same_logits(longest=20)),
    ),
    Case(
        "tokens left out that a head does not read",
        "export",
        _chain("electra", "export", "skip"),
        succeeded(same_logits()),
    ),
    Case(
        "half precision at all lengths",
        "export",
        _chain("bert", "export", "quantize", "--how", "onnx_fp16"),
        succeeded(same_logits(tolerance=0.05)),
    ),
]
