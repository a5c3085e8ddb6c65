"""Quantize an ONNX model to 8 bits.

Use it last, for any encoder on CPU; activations are rounded while it runs. About 4x smaller, embedding tables
included, and faster where the processor multiplies int8 well (with VNNI or AMX clearly, with AVX2 alone little).
Needs no calibration rows. Costs seconds.

```yaml
- {name: int8, stage: quantize_onnx_dynamic, per_channel: true, reduce_range: true}
```

With `embedding_bits: 4` large embedding tables take 5 bits a weight instead of 8, scales included: they are most of a
small encoder, and a wider one with such tables can be better than a narrow one of the same size. Unpacking costs about
a microsecond a token on a CPU.

Where a few channels are many times larger than the rest, as some models' are by nature, `smooth: 0.5` moves a part of
them into the matrices (SmoothQuant, Xiao et al. 2023, arXiv:2211.10438).

Jacob et al. 2018 (arXiv:1712.05877), section 2. On a processor without VNNI or AMX weights use 7 of their 8
bits, which cannot saturate the 16-bit sums of AVX2's VPMADDUBSW (ONNX Runtime's quantization guide): force it for a
model that is made elsewhere than where it will run.
"""

import shutil
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from compress.context import Context
from compress.errors import CompressError
from compress.stages import Input, Stage, StageConfig, same_shape, settle_range
from compress.store import Artifact

EMBEDDING_BLOCK = 32
"""Weights of a 4-bit table that share a scale."""


class Config(StageConfig):
    """How to round."""

    ADDED_LATER: ClassVar[frozenset[str]] = frozenset({"embedding_bits", "smooth", "calibration_rows"})

    per_channel: bool = True
    """One scale for each output channel, rather than one for each matrix."""
    weight_type: Literal["int8", "uint8"] = "int8"
    """Type of the weights; the activations are uint8."""
    reduce_range: bool | None = None
    """Use 7 of the 8 bits for weights, so that AVX2 cannot saturate. Left out: as this processor needs it."""
    embeddings: bool = True
    """Quantize embedding tables too."""
    embedding_bits: Literal[4, 8] = 8
    """Of embedding tables: 8 with one scale for a table, or 4 with one scale for each 32 weights of a row; those of
    less than 1,024 rows always have 8."""
    smooth: float | None = Field(None, ge=0, le=1)
    """How much of the activations' outliers goes into the matrices before: 0.5 for most models. Left out: nothing."""
    calibration_rows: int = Field(256, ge=1)
    """Training rows in which outliers are looked for, where smooth is given."""
    min_agreement: float = Field(0.8, ge=0, le=1)
    """Fail if fewer rows than this share keep their best class."""


def run(*, model: Artifact, config: Config, context: Context, out: Path) -> dict[str, Any]:
    """Quantize, and compare the outputs with the float model's on real rows."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from compress.models.matrices import gemms_to_matmuls, left_in_float
    from compress.models.onnx_graph import read_float_graph, split_attention
    from compress.models.tables import tables_to_4_bits
    from compress.models.tokenizer import copy_tokenizer, load_tokenizer
    from compress.runtimes import parity
    from compress.runtimes.activations import calibration_batches
    from compress.runtimes.onnxruntime import model_path
    from compress.runtimes.smoothing import smooth

    source = model_path(model.path)
    context.progress("quantizing", 0, 2)
    graph = read_float_graph(source)
    if config.smooth is not None:
        split_attention(graph)
        gemms_to_matmuls(graph)
        batches = calibration_batches(context, load_tokenizer(model.path), config.calibration_rows)
        smooth(graph, batches, config.smooth, context)
    if config.embeddings and config.embedding_bits == 4:
        graph = tables_to_4_bits(graph, EMBEDDING_BLOCK, symmetric=True)
    try:
        quantize_dynamic(
            graph,
            str(out / "model.onnx"),
            op_types_to_quantize=["MatMul", "Attention", *(["Gather"] if config.embeddings else [])],
            per_channel=config.per_channel,
            reduce_range=config.reduce_range is not False,
            weight_type=QuantType.QInt8 if config.weight_type == "int8" else QuantType.QUInt8,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
    except (ValueError, RuntimeError, KeyError) as error:
        raise CompressError(
            f"onnxruntime cannot quantize this graph: {str(error)[:300]}",
            where=str(source),
            fix="export it again",
        ) from error
    context.progress("quantizing", 1, 2)
    shutil.copyfile(model.path / "config.json", out / "config.json")
    copy_tokenizer(model.path, out)
    found = parity.gate(model.path, out, context, config.min_agreement)
    context.progress("quantizing", 2, 2)
    return {"left_in_float": left_in_float(onnx.load(str(out / "model.onnx"))), **found.facts()}


def _smooths(config: Config) -> bool:
    return config.smooth is not None


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("onnx")},
    output="onnx",
    version=2,
    shape=same_shape,
    settle=settle_range,
    needs_data=_smooths,
)
