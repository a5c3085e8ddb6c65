"""Quantize an ONNX model's weights to 4 bits in blocks; the arithmetic stays in float or int8.

Use it last, where the size on disk matters more than the latency: about 7x smaller with the embedding tables. On a
CPU it is rarely faster than float for an encoder. Costs seconds.

```yaml
- {name: int4, stage: quantize_onnx_4bit, block_size: 32}
```

Round to nearest, one scale for each block (ZeroQuant, Yao et al. 2022, arXiv:2206.01861, section 3.1), as the
operators MatMulNBits and GatherBlockQuantized of ONNX Runtime.
"""

import shutil
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from compress.context import Context
from compress.stages import Input, Stage, StageConfig, same_shape
from compress.store import Artifact


class Config(StageConfig):
    """How to round."""

    block_size: Literal[16, 32, 64, 128, 256] = 32
    """Weights that share a scale."""
    symmetric: bool = True
    """Scales only; otherwise a zero point for each block too."""
    accuracy_level: Literal[0, 1, 4] = 4
    """Arithmetic of the products: 1 float, 4 int8 (faster on most CPUs), 0 the kernel's own choice."""
    embeddings: bool = True
    """Quantize embedding tables too."""
    min_agreement: float = Field(0.8, ge=0, le=1)
    """Fail if fewer rows than this share keep their best class."""


def run(*, model: Artifact, config: Config, context: Context, out: Path) -> dict[str, Any]:
    """Split fused attention so that its weights can be reached, quantize, and compare on real rows."""
    import onnx

    from compress.models.blockwise import quantize_blockwise
    from compress.models.onnx_graph import read_float_graph, split_attention
    from compress.models.tokenizer import copy_tokenizer
    from compress.runtimes import parity
    from compress.runtimes.onnxruntime import model_path

    context.progress("quantizing", 0, 2)
    graph = read_float_graph(model_path(model.path))
    split = split_attention(graph)
    graph = quantize_blockwise(
        graph,
        ["MatMul", "Gather"] if config.embeddings else ["MatMul"],
        block_size=config.block_size,
        symmetric=config.symmetric,
        accuracy_level=config.accuracy_level,
    )
    onnx.save(graph, str(out / "model.onnx"))
    context.progress("quantizing", 1, 2)
    shutil.copyfile(model.path / "config.json", out / "config.json")
    copy_tokenizer(model.path, out)
    found = parity.gate(model.path, out, context, config.min_agreement)
    context.progress("quantizing", 2, 2)
    return {"attention_split": split, **found.facts()}


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("onnx")},
    output="onnx",
    version=1,
    shape=same_shape,
    needs_data=False,
)
