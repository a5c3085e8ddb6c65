"""Quantize an ONNX model's weights to 4 bits in blocks; the arithmetic stays in float or int8.

Use it last, where the size on disk matters more than the latency: about 7x smaller with the embedding tables. On a
CPU it is rarely faster than float for an encoder. Costs seconds, with gptq half a minute for a MiniLM-L6.

```yaml
- {name: int4, stage: quantize_onnx_4bit, method: gptq, block_size: 128}
```

Methods: `rtn` rounds each weight to the nearest code, with one scale for each block (ZeroQuant, Yao et al. 2022,
arXiv:2206.01861, section 3.1). `gptq` lets the weights that are still to be rounded make up for the errors of those
that are, on the inputs that each matrix gets of training rows (Frantar et al. 2023, arXiv:2210.17323), the largest
inputs first; a block's range is the one that costs least then. `hqq` fits zero points that are no codes, without any
data (Badri and Shaji 2023); ONNX Runtime's CPU kernels take about twice as long for those. All are written as
MatMulNBits and GatherBlockQuantized of ONNX Runtime.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from compress.context import Context
from compress.facts import Quantization
from compress.stages import Input, RoundingConfig, Stage, refuse_idle_settings
from compress.store.artifacts import Artifact

if TYPE_CHECKING:
    import onnx

    from compress.graphs.matrices import Matrix
    from compress.ops.blockwise import Blocks

BITS = 4


class Config(RoundingConfig):
    """How to round."""

    method: Literal["rtn", "hqq", "gptq"] = "rtn"
    """rtn: to nearest; gptq: errors make up for each other on training rows; hqq: better zero points, without data."""
    block_size: Literal[16, 32, 64, 128, 256] = 128
    """At most so many weights share a scale: 128 take 4.25 bits each, 32 take 5, and are rounded more finely. Where a
    matrix's inputs are no multiple of it, they share it in the smaller blocks that take the fewest bytes."""
    symmetric: bool = True
    """Scales only; otherwise a zero point for each block too. Matrices of hqq always have zero points."""
    accuracy_level: Literal[0, 1, 4] = 0
    """Arithmetic of the products: 1 float, 4 int8, 0 the kernel's own choice, on CPUs float. int8 is the slower one
    where many tokens are read at once, as encoders do, and the faster where tokens come one by one. hqq has float
    only."""
    embeddings: bool = True
    """Quantize embedding tables too, to nearest; those of less than 1,024 rows to 8 bits."""
    calibration_rows: int = Field(256, ge=1)
    """Training rows that gptq looks at."""

    @model_validator(mode="after")
    def _fits_the_method(self) -> "Config":
        idle = {} if self.method == "gptq" else {"calibration_rows": "gptq"}
        if self.method == "hqq":  # ONNX Runtime's int8 kernels take no zero points that are not codes
            idle |= {"accuracy_level": "rtn or gptq"} if self.accuracy_level == 4 else {}
            idle |= {} if self.embeddings else {"symmetric": "rtn or gptq"}
        refuse_idle_settings(self, "method", idle)
        return self


def run(*, model: Artifact, config: Config, context: Context, out: Path) -> Quantization:
    """Split fused attention so that its weights can be reached, quantize, and compare on real rows."""
    import onnx

    from compress.graphs.embedding_tables import tables_to_4_bits, tables_to_8_bits
    from compress.graphs.matrices import gemms_to_matmuls, matrices
    from compress.graphs.read import read_float_graph, split_attention
    from compress.graphs.write_blocks import put_blocks
    from compress.models.files import model_path
    from compress.quantizing.mixed_precision import layers_in
    from compress.quantizing.write_and_gate import write_rounded

    graph = read_float_graph(model_path(model.path))
    split = split_attention(graph)
    gemms_to_matmuls(graph)
    blocks = _blocks(graph, matrices(graph), model.path, config, context)

    def write(in_float: frozenset[str]) -> onnx.ModelProto:
        quantized = onnx.ModelProto()
        quantized.CopyFrom(graph)
        products = [product for product in matrices(quantized) if product.node.name not in in_float]
        put_blocks(quantized, blocks, products, BITS, config.accuracy_level)
        if config.embeddings:
            tables_to_4_bits(quantized, config.block_size, symmetric=config.symmetric, unchanged=in_float)
            tables_to_8_bits(quantized, in_float)
        return quantized

    layers = layers_in(graph, embeddings=config.embeddings)
    facts = write_rounded(write, layers, graph, model.path, config, context, out)
    return facts.model_copy(update={"attention_split": split})


def _blocks(
    graph: "onnx.ModelProto", products: "list[Matrix]", folder: Path, config: Config, context: Context
) -> "dict[str, Blocks]":
    """The rounded blocks of each matrix, by its name."""
    from compress.ops.blockwise import fitting_size, round_to_nearest
    from compress.ops.gptq import gptq
    from compress.ops.hqq import half_quadratic

    moments = _moments(graph, products, folder, config, context) if config.method == "gptq" else {}
    zero_bits = 32 if config.method == "hqq" else 0 if config.symmetric else BITS
    blocks: dict[str, Blocks] = {}
    for done, product in enumerate(products):
        context.progress("quantizing", done, len(products))
        weights = product.weights.T  # (outputs, inputs)
        size = fitting_size(weights.shape[1], BITS, config.block_size, zero_bits)
        if config.method == "gptq":
            blocks[product.name] = gptq(weights, moments[product.name], BITS, size, symmetric=config.symmetric)
        elif config.method == "hqq":
            blocks[product.name] = half_quadratic(weights, BITS, size)
        else:
            blocks[product.name] = round_to_nearest(weights, BITS, size, symmetric=config.symmetric)
    context.progress("quantizing", len(products), len(products))
    return blocks


def _moments(
    graph: "onnx.ModelProto", products: "list[Matrix]", folder: Path, config: Config, context: Context
) -> dict[str, Any]:
    """The second moments of each matrix's inputs x, by its name: the mean of x xᵀ, (inputs, inputs)."""
    import numpy as np

    from compress.comparing.activations import activations, calibration_batches
    from compress.models.tokenizer import load_tokenizer

    batches = calibration_batches(context, load_tokenizer(folder), config.calibration_rows)
    names = sorted({product.reads for product in products})
    sums: dict[str, Any] = dict.fromkeys(names, 0.0)
    rows: dict[str, int] = dict.fromkeys(names, 0)
    for done, activations_by_name in enumerate(activations(graph, names, batches)):
        context.progress("calibrating", done, len(batches))
        for name, values in activations_by_name.items():
            sums[name] = sums[name] + (values.T @ values).astype(np.float64)
            rows[name] += len(values)
    context.progress("calibrating", len(batches), len(batches))
    readers: dict[str, set[str]] = {}
    for product in products:
        readers.setdefault(product.name, set()).add(product.reads)
    return {
        matrix: sum(sums[name] for name in reads) / sum(rows[name] for name in reads)
        for matrix, reads in readers.items()
    }


def _reads_rows(config: Config) -> bool:
    return config.method == "gptq" or config.max_drop_pp is not None


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("onnx")},
    output="onnx",
    version=5,
    tag="quantized",
    facts=Quantization,
    needs_data=_reads_rows,
)
