"""Quantize an ONNX model's matrix products to 8 bits, with activation ranges measured before on training rows.

Use it last, for any encoder on CPU, where dynamic int8 is too slow: nothing is measured while it runs. It rounds what
matrix products read, and tables of embeddings; all else stays in float. About 4x smaller. Costs two passes over the
calibration rows, in memory that does not grow with them.

```yaml
- {name: int8, stage: quantize_onnx_static, calibration: mse, calibration_rows: 512, smooth: 0.5}
```

Jacob et al. 2018 (arXiv:1712.05877), section 2. `calibration` says where a range ends: where rounding leaves the
least squared error (mse: Choukroun et al. 2019, arXiv:1902.06822), at the least and largest number (minmax), where few
lie beyond (percentile), or where the least information is lost (entropy: Migacz 2017, "8-bit inference with
TensorRT"). `smooth` first moves outliers of activations into the matrices (SmoothQuant, Xiao et
al. 2023, arXiv:2211.10438).
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from compress.context import Context
from compress.facts import Quantization
from compress.stages import Input, RoundingConfig, Stage, refuse_idle_settings, settle_range
from compress.store.artifacts import Artifact

OPSET = 13
"""The first opset with a scale for each channel."""


class Config(RoundingConfig):
    """How to round."""

    calibration: Literal["mse", "minmax", "percentile", "entropy"] = "mse"
    """Where the range of activations ends."""
    calibration_rows: int = Field(256, ge=1)
    """Training rows that are looked at."""
    percentile: float = Field(99.99, gt=50, le=100)
    """Share of the activations, in percent, that lies in the range, where calibration is percentile."""
    smooth: float | None = Field(None, ge=0, le=1)
    """How much of the activations' outliers goes into the matrices before: 0.5 for most models. Left out: nothing."""
    reduce_range: bool | None = None
    """Use 7 of the 8 bits for weights, so that AVX2 cannot saturate. Left out: as this processor needs it."""
    embeddings: bool = True
    """Quantize embedding tables too."""
    form: Literal["operators", "qdq"] = "operators"
    """operators: ONNX Runtime's own, with attention in one piece, the fastest on CPUs. qdq: pairs of QuantizeLinear and
    DequantizeLinear, which TensorRT, OpenVINO and others read too. As an option it chooses --how onnx_static."""

    @model_validator(mode="after")
    def _fits_the_calibration(self) -> "Config":
        if self.calibration != "percentile":
            refuse_idle_settings(self, "calibration", {"percentile": "calibration: percentile"})
        return self


def run(*, model: Artifact, config: Config, context: Context, out: Path) -> Quantization:
    """Measure ranges, round, and compare the outputs with the float model's on real rows."""
    import onnx

    from compress.comparing.activations import calibration_batches
    from compress.graphs.embedding_tables import tables_to_8_bits
    from compress.graphs.matrices import fits_8_bits, gemms_to_matmuls, matrices
    from compress.graphs.norm_outliers import move_norm_outliers
    from compress.graphs.read import read_float_graph, split_attention
    from compress.graphs.write_int8 import put_int8
    from compress.graphs.write_qdq import put_qdq
    from compress.models.files import model_path
    from compress.models.tokenizer import load_tokenizer
    from compress.ops.int8 import largest_code, round_columns
    from compress.quantizing.calibration import ranges_of
    from compress.quantizing.mixed_precision import layers_in
    from compress.quantizing.smoothquant import smooth
    from compress.quantizing.write_and_gate import write_rounded

    graph = read_float_graph(model_path(model.path), OPSET)
    if config.form == "qdq":
        split_attention(graph)
    else:
        split_attention(graph, fits_8_bits)
    gemms_to_matmuls(graph)
    batches = calibration_batches(context, load_tokenizer(model.path), config.calibration_rows)
    if config.smooth is not None:
        smooth(graph, batches, config.smooth, context)
    else:
        move_norm_outliers(graph)
    every = matrices(graph, attention=True)
    input_names = sorted({product.reads for product in every})
    ranges = ranges_of(graph, input_names, batches, context, config.calibration, config.percentile / 100)
    largest = largest_code(reduce_range=config.reduce_range is not False)
    rounded = {product.name: round_columns(product.weights, largest) for product in every}
    put = put_qdq if config.form == "qdq" else put_int8

    def write(in_float: frozenset[str]) -> onnx.ModelProto:
        quantized = onnx.ModelProto()
        quantized.CopyFrom(graph)
        products = [product for product in matrices(quantized, attention=True) if product.node.name not in in_float]
        put(quantized, products, rounded, ranges)
        if config.embeddings:
            tables_to_8_bits(quantized, in_float)
        return quantized

    layers = layers_in(graph, embeddings=config.embeddings)
    return write_rounded(write, layers, graph, model.path, config, context, out)


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("onnx")},
    output="onnx",
    version=3,
    tag="quantized",
    facts=Quantization,
    settle=settle_range,
)
