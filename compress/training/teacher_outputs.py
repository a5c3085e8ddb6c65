"""A teacher's outputs for rows, computed by the fastest runtime, in a file that is mapped and never read whole.

On a CPU the fastest is onnxruntime with attention fused, in batches of rows of similar length: for 32 rows of MiniLM-L6
on one thread of an EPYC of the Zen 5 kind it took 0.14, 0.28 and 0.63 s at 32, 64 and 128 tokens, and torch 0.26, 0.49
and 1.01 s, while additions and norms were still fused. The export takes five seconds, so torch is used for few rows,
and for families whose attention does not fuse.
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
from compress.ops.ragged import Ragged, cut
from compress.recipe.schema import Target
from compress.runtimes import Predictor, load
from compress.store.artifacts import Artifact
from compress.training.rows import EncodedRows, Outputs

BATCH = 32
EXPORT_FROM = 1024
"""Number of rows from which an export saves time."""
TOLERANCE = 1e-3
"""Largest difference of any logit from torch's, as a share of the largest logit (at least 1)."""

LOGITS = "logits.npy"
ENDS = "ends.npy"
"""Name of the file with the end of each row in the logits, if a row has several outputs."""


def ask(
    teacher: Artifact, rows: Sequence[Any], length: int, context: Context, out: Path, *, what: str, run_rows: int
) -> dict[str, Any]:
    """Write a teacher's outputs for rows, for `read_outputs`.

    Args:
        length: number of tokens kept of each text.
        out: the folder for the files: float32 in numpy's format, (rows, classes) or (all tokens that count, classes).
        what: name of the work, for the progress bar.
        run_rows: number of rows in the full run, also in a rehearsal with fewer.

    Returns:
        Facts: the number of rows, and the runtime.
    """
    tokenizer = load_tokenizer(teacher.path)
    encoded = EncodedRows(rows, context.task, tokenizer, length)
    order = sorted(range(len(rows)), key=lambda index: encoded.lengths[index])
    runtime, predict = _fastest(teacher, context, run_rows)
    ends = np.cumsum(encoded.outputs)
    shape = (int(ends[-1]), len(context.task.labels))
    logits = open_memmap(out / LOGITS, mode="w+", dtype=np.float32, shape=shape)
    for start in range(0, len(order), BATCH):
        indices = order[start : start + BATCH]
        batch = context.task.collate([encoded[index] for index in indices], tokenizer)
        for index, outputs in zip(indices, cut(predict(batch), batch.get("counted")), strict=True):
            logits[ends[index] - encoded.outputs[index] : ends[index]] = outputs
        context.progress(what, start + len(indices), run_rows)
    logits.flush()
    if context.task.outputs == "token":
        np.save(out / ENDS, ends, allow_pickle=False)
    return {"rows": len(rows), "runtime": runtime}


def read_outputs(folder: Path) -> Outputs:
    """The outputs that `ask` wrote, as mapped files: only the rows in use are in memory."""
    logits: np.ndarray[Any, Any] = np.load(folder / LOGITS, mmap_mode="r", allow_pickle=False)
    ends = folder / ENDS
    return Ragged(logits, np.load(ends, allow_pickle=False)) if ends.is_file() else logits


def _fastest(teacher: Artifact, context: Context, run_rows: int) -> tuple[str, Predictor]:
    """The name of the fastest runtime for the teacher here, and the teacher on it."""
    task, trust_remote_code = context.task, context.trust_remote_code
    in_torch = load(
        teacher.path, Target(runtime="torch", device=context.device), task.hub_task, trust_remote_code=trust_remote_code
    )
    if context.device != "cpu" or run_rows < EXPORT_FROM:
        return "torch", in_torch
    network = load_model(teacher.path, task.hub_task, attention="eager", trust_remote_code=trust_remote_code)
    if model_shape(network) is None:
        return "torch", in_torch
    with tempfile.TemporaryDirectory(dir=context.work) as scratch:
        folder = Path(scratch)
        export(network, folder / "model.onnx")
        shutil.copyfile(teacher.path / "config.json", folder / "config.json")
        target = Target(runtime="onnxruntime", threads=torch.get_num_threads())
        in_onnxruntime = load(folder, target, task.hub_task)
    differences = parity.compare(in_torch, in_onnxruntime, task, load_tokenizer(teacher.path))
    return ("onnxruntime", in_onnxruntime) if differences.within(TOLERANCE) else ("torch", in_torch)
