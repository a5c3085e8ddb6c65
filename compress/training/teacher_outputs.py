"""Asking a teacher, through the fastest runtime at hand, into a file that is mapped and never read whole.

On a CPU that is onnxruntime with attention fused, in batches of rows of like length: for 32 rows of MiniLM-L6 on one
thread of an EPYC of the Zen 5 kind it took 0.14, 0.28 and 0.63 s at 32, 64 and 128 tokens, and torch 0.26, 0.49 and
1.01 s, while additions and norms were still fused. The export takes five seconds, so for few rows, and for families
whose attention does not fuse, it is torch.
"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap

from compress.comparing import parity
from compress.context import Context
from compress.export.export import export
from compress.models.load import load_model
from compress.models.reshape import model_shape
from compress.models.tokenizer import load_tokenizer
from compress.recipe.schema import Target
from compress.runtimes import Predictor, load
from compress.store.artifacts import Artifact
from compress.training.rows import EncodedRows

BATCH = 32
EXPORT_FROM = 1024
"""Rows from which an export pays."""
TOLERANCE = 1e-3
"""Largest difference of any logit from torch's, as a share of the largest logit (at least 1)."""


def ask(
    teacher: Artifact, rows: Sequence[Any], length: int, context: Context, path: Path, *, what: str, whole: int
) -> dict[str, Any]:
    """Write what a teacher says of rows: (rows, classes) of float32, in numpy's format.

    Args:
        length: tokens kept of each text.
        what: name of the work, for the progress bar.
        whole: rows of the run, also where this one only rehearses it.

    Returns:
        Facts: how many rows, and the runtime that it was.
    """
    tokenizer = load_tokenizer(teacher.path)
    encoded = EncodedRows(rows, context.task, tokenizer, length)
    order = sorted(range(len(rows)), key=lambda index: encoded.lengths[index])
    runtime, predict = _fastest(teacher, context, whole)
    logits = open_memmap(path, mode="w+", dtype=np.float32, shape=(len(rows), len(context.task.labels)))
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        logits[chosen] = predict(tokenizer.pad([encoded[index] for index in chosen]))
        context.progress(what, start + len(chosen), whole)
    logits.flush()
    return {"rows": len(rows), "runtime": runtime}


def _fastest(teacher: Artifact, context: Context, whole: int) -> tuple[str, Predictor]:
    """The name of the fastest runtime for the teacher here, and the teacher on it."""
    task, trusted = context.task, context.trust_remote_code
    in_torch = load(
        teacher.path, Target(runtime="torch", device=context.device), task.hub_task, trust_remote_code=trusted
    )
    if context.device != "cpu" or whole < EXPORT_FROM:
        return "torch", in_torch
    network = load_model(teacher.path, task.hub_task, attention="eager", trust_remote_code=trusted)
    if model_shape(network) is None:
        return "torch", in_torch
    with tempfile.TemporaryDirectory(dir=context.work) as scratch:
        folder = Path(scratch)
        export(network, folder / "model.onnx")
        shutil.copyfile(teacher.path / "config.json", folder / "config.json")
        target = Target(runtime="onnxruntime", threads=torch.get_num_threads())
        in_onnxruntime = load(folder, target, task.hub_task)
    found = parity.compare(in_torch, in_onnxruntime, task, load_tokenizer(teacher.path))
    return ("onnxruntime", in_onnxruntime) if found.within(TOLERANCE) else ("torch", in_torch)
