"""Keep an ONNX model's weights in 16 bits, and compute in them.

Use it for CUDA targets, which multiply halves several times as fast as floats; the file is half as large. On a CPU it
buys nothing but the smaller file: onnxruntime makes floats of all of it while it loads, which takes about as long a
call as the float model on the CPUs tried (1.00 times for MiniLM-L6 of 32 and 128 tokens, onnxruntime 1.32 on an x86
processor with AVX512) and as much memory. Costs seconds.

```yaml
- {name: fp16, stage: quantize_onnx_fp16, float_operators: [Pow, ReduceMean, Sqrt, Softmax]}
```

Inputs and outputs stay as they are. A half reaches to 65,504: operators that make or read numbers larger than a quarter
of that, on the rows looked at, stay in float, and so do those that read larger constants, unless these do nothing but
mask, which 10,000 does as well. So do those of `float_operators`: left out, the parts of a norm that is written out.
Micikevicius et al. 2018 (arXiv:1710.03740), section 3; the conversion is that of onnxruntime.transformers.float16.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from compress.context import Context
from compress.facts import Quantization
from compress.recipe.schema import Target
from compress.stages import Input, Stage, StageConfig
from compress.store.artifacts import Artifact

CUDA = "CUDAExecutionProvider"


class Config(StageConfig):
    """What stays in float."""

    float_operators: tuple[str, ...] = ("Pow", "ReduceMean", "Sqrt")
    """Operators that compute in float wherever they stand."""
    calibration_rows: int = Field(0, ge=0)
    """Training rows on which numbers are looked for that are too large for 16 bits; 0: a few built-in texts."""
    min_agreement: float = Field(0.95, ge=0, le=1)
    """Fail if fewer rows than this share keep their best class, or if Cohen's kappa, the agreement beyond chance, is
    less than half of it."""


def run(*, model: Artifact, config: Config, context: Context, out: Path) -> Quantization:
    """Look for large numbers, convert, and compare the outputs with the float model's on real rows."""
    from compress.comparing import parity
    from compress.comparing.activations import calibration_batches
    from compress.comparing.held_back import built_in_batches
    from compress.graphs.masks import clip_masks
    from compress.graphs.read import read_float_graph
    from compress.graphs.write_half import LARGEST_TO_KEEP, in_half
    from compress.models.files import copy_config_and_tokenizer, model_path
    from compress.models.tokenizer import load_tokenizer
    from compress.quantizing.magnitudes import magnitudes
    from compress.quantizing.write_and_gate import save_graph
    from compress.runtimes.onnxruntime import lacks_provider

    graph = read_float_graph(model_path(model.path))
    clip_masks(graph)
    tokenizer = load_tokenizer(model.path)
    rows = config.calibration_rows
    batches = (
        calibration_batches(context, tokenizer, rows)
        if rows
        else built_in_batches(tokenizer, context.task.spec.max_length)
    )
    largest = magnitudes(graph, batches, context.progress)
    large = {name for name, magnitude in largest.items() if magnitude > LARGEST_TO_KEEP}
    half_graph, float_nodes = in_half(graph, largest, large, config.float_operators)
    save_graph(half_graph, out)
    copy_config_and_tokenizer(model.path, out)
    device: Literal["cpu", "cuda"] = "cpu" if lacks_provider(CUDA) else "cuda"
    agreed = parity.gate(model.path, out, context, config.min_agreement, device=device)
    return Quantization.model_validate(
        {"parity": agreed, "kept_in_float": float_nodes, "largest_activation": max(largest.values())}
    )


def _reads_rows(config: Config) -> bool:
    return config.calibration_rows > 0


def _remark(_: Config, targets: Mapping[str, Target]) -> str | None:
    """The remark that 16 bits are not faster on a CPU, if a target is a CPU; else None."""
    on_cpu = [f"target '{name}'" for name, target in targets.items() if target.device == "cpu"]
    if not targets:
        from compress.runtimes.onnxruntime import lacks_provider

        on_cpu = ["this machine, without onnxruntime on CUDA,"] if lacks_provider(CUDA) else []
    if not on_cpu:
        return None
    return (
        f"{' and '.join(on_cpu)} computes on a CPU, for which onnxruntime makes floats of 16-bit weights as it loads: "
        "no faster than the float model, and no less memory; for CPUs, quantize to 8 bits"
    )


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("onnx")},
    output="onnx",
    version=2,
    tag="quantized",
    facts=Quantization,
    needs_data=_reads_rows,
    remark=_remark,
)
