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

With `max_drop_pp` each layer is rounded alone to learn what that does to the outputs, and the few that the budget
needs stay in float; on MiniLM-L6 that takes a minute or two.

Jacob et al. 2018 (arXiv:1712.05877), section 2. On a processor without VNNI or AMX weights use 7 of their 8
bits, which cannot saturate the 16-bit sums of AVX2's VPMADDUBSW (ONNX Runtime's quantization guide): force it for a
model that is made elsewhere than where it will run.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from compress.context import Context
from compress.facts import Quantization
from compress.stages import Input, RoundingConfig, Stage, refuse_idle_settings, settle_range
from compress.store.artifacts import Artifact

OPSET = 11
"""The first opset with operators that round activations while they run."""
EMBEDDING_BLOCK = 32
"""The number of weights of a 4-bit table that share a scale."""


class Config(RoundingConfig):
    """How to round."""

    per_channel: bool = True
    """One scale for each output channel, rather than one for each matrix."""
    weight_type: Literal["int8", "uint8"] = "int8"
    """Type of the weights; the activations are uint8. uint8 never saturates, and is the slower one on x86."""
    reduce_range: bool | None = None
    """Use 7 of the 8 bits for weights, so that AVX2 cannot saturate. Left out: as this processor needs it, and never
    for uint8."""
    embeddings: bool = True
    """Quantize embedding tables too."""
    embedding_bits: Literal[4, 8] = 8
    """Of embedding tables: 8 with one scale for a table, or 4 with one scale for each 32 weights of a row; those of
    less than 1,024 rows always have 8."""
    smooth: float | None = Field(None, ge=0, le=1)
    """How much of the activations' outliers goes into the matrices before: 0.5 for most models. Left out: nothing."""
    calibration_rows: int = Field(256, ge=1)
    """Training rows in which outliers are looked for, where smooth is given."""

    @model_validator(mode="after")
    def _does_all_it_says(self) -> "Config":
        if self.smooth is None:
            refuse_idle_settings(self, "smooth", {"calibration_rows": "smooth: 0.5"})
        if not self.embeddings:
            refuse_idle_settings(self, "embeddings", {"embedding_bits": "embeddings: true"})
        return self


def run(*, model: Artifact, config: Config, context: Context, out: Path) -> Quantization:
    """Quantize, and compare the outputs with the float model's on real rows."""
    import onnx

    from compress.comparing.activations import calibration_batches
    from compress.graphs.embedding_tables import tables_to_4_bits, tables_to_8_bits
    from compress.graphs.matrices import fits_8_bits, gemms_to_matmuls, matrices
    from compress.graphs.norm_outliers import move_norm_outliers
    from compress.graphs.read import read_float_graph, split_attention
    from compress.graphs.write_int8 import put_int8
    from compress.models.files import model_path
    from compress.models.tokenizer import load_tokenizer
    from compress.ops.int8 import largest_code, round_columns
    from compress.quantizing.mixed_precision import layers_in
    from compress.quantizing.smoothquant import smooth
    from compress.quantizing.write_and_gate import write_rounded

    graph = read_float_graph(model_path(model.path), OPSET)
    split_attention(graph, fits_8_bits)
    gemms_to_matmuls(graph)
    if config.smooth is not None:
        batches = calibration_batches(context, load_tokenizer(model.path), config.calibration_rows)
        smooth(graph, batches, config.smooth, context)
    else:
        move_norm_outliers(graph)
    largest = largest_code(reduce_range=config.reduce_range is not False)
    rounded = {
        product.name: round_columns(product.weights, largest, per_channel=config.per_channel)
        for product in matrices(graph, attention=True)
    }

    def write(in_float: frozenset[str]) -> onnx.ModelProto:
        quantized = onnx.ModelProto()
        quantized.CopyFrom(graph)
        products = [product for product in matrices(quantized, attention=True) if product.node.name not in in_float]
        put_int8(quantized, products, rounded, None, unsigned=config.weight_type == "uint8")
        if config.embeddings and config.embedding_bits == 4:
            tables_to_4_bits(quantized, EMBEDDING_BLOCK, symmetric=True, unchanged=in_float)
        if config.embeddings:
            tables_to_8_bits(quantized, in_float)
        return quantized

    layers = layers_in(graph, embeddings=config.embeddings)
    return write_rounded(write, layers, graph, model.path, config, context, out)


def _reads_rows(config: Config) -> bool:
    return config.smooth is not None or config.max_drop_pp is not None


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("onnx")},
    output="onnx",
    version=4,
    tag="quantized",
    facts=Quantization,
    settle=settle_range,
    needs_data=_reads_rows,
)
