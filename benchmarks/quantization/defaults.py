"""What onnxruntime's own quantization makes of a float model, by its defaults."""

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, quantize_dynamic, quantize_static
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.quantization.shape_inference import quant_pre_process

from compress.files.whole import file_sha256, fingerprint, new_folder
from compress.models.tokenizer import Tokenizer, copy_tokenizer, load_tokenizer
from compress.store.artifacts import Artifact
from compress.tasks import Task

CALIBRATION_ROWS = 256
"""As many as our static quantization looks at, and the same."""
KINDS = ("int8_dynamic", "int8_static", "int4")


class TrainingRows(CalibrationDataReader):
    """Training rows one by one, as the library wants them."""

    def __init__(self, task: Task, tokenizer: Tokenizer) -> None:
        drawn = np.random.default_rng(0).permutation(len(task.train))[:CALIBRATION_ROWS]
        rows = task.encode([task.train[int(row)] for row in drawn], tokenizer)
        self.rows: Iterator[dict[str, np.ndarray[Any, Any]]] = iter([tokenizer.pad([row]) for row in rows])

    def get_next(self) -> dict[str, np.ndarray[Any, Any]] | None:
        """The next row, or None after the last."""
        return next(self.rows, None)


def by_defaults(source: Artifact, task: Task, folder: Path, kinds: tuple[str, ...] = KINDS) -> dict[str, Artifact]:
    """Quantize a float model with the library's functions, all settings left out; what is there already is kept.

    `quantize_dynamic` refuses a graph with fused attention, unless `quant_pre_process` has run over it, as the
    library's documentation says it should before any quantization: all three get what that makes.

    Args:
        source: the float model, which is our stages' too.
        folder: to put them below.
    """
    logging.disable(logging.WARNING)  # the library tells of every node
    made = {}
    for kind in kinds:
        key = fingerprint([kind, file_sha256(source.path / "model.onnx"), onnxruntime.__version__])
        out = folder / f"{kind}-{key[:16]}"
        if not out.exists():
            print(f"  {out}", flush=True)
            with new_folder(out) as part:
                shutil.copyfile(source.path / "config.json", part / "config.json")
                copy_tokenizer(source.path, part)
                prepared = part / "prepared.onnx"
                quant_pre_process(str(source.path / "model.onnx"), str(prepared))
                _quantizer(kind, task, source.path)(prepared, part / "model.onnx")
                prepared.unlink()
        made[kind] = Artifact(out, key, "onnx")
    logging.disable(logging.NOTSET)
    return made


def _quantizer(kind: str, task: Task, folder: Path) -> Callable[[Path, Path], None]:
    """What reads a float file and writes a quantized one."""

    def dynamic(source: Path, out: Path) -> None:
        quantize_dynamic(str(source), str(out))

    def static(source: Path, out: Path) -> None:
        quantize_static(str(source), str(out), TrainingRows(task, load_tokenizer(folder)))

    def blockwise(source: Path, out: Path) -> None:
        quantizer = MatMulNBitsQuantizer(onnx.load(str(source)))
        quantizer.process()
        quantizer.model.save_model_to_file(str(out))

    return {"int8_dynamic": dynamic, "int8_static": static, "int4": blockwise}[kind]
