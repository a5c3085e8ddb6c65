"""Quantize a torch model's weights to 8 bits or to 4-bit NormalFloat with bitsandbytes.

Use it for torch targets, on a GPU first of all: it saves memory. On a CPU it is slower than fp32, unless the
processor has AVX512-BF16. Its weights do not export to ONNX. The head stays in float, and in 4 bits what has not
inputs in multiples of 64 and outputs in multiples of 32. Costs seconds.

```yaml
- {name: nf4, stage: quantize_bnb, bits: 4}
```

LLM.int8: Dettmers et al. 2022 (arXiv:2208.07339). NF4: Dettmers et al. 2023 (arXiv:2305.14314), section 3.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from compress.context import Context
from compress.facts import Quantization
from compress.stages import Input, Stage, StageConfig
from compress.store.artifacts import Artifact


class Config(StageConfig):
    """How to round."""

    bits: Literal[4, 8] = 4
    """4: NormalFloat with double quantization; 8: LLM.int8."""
    min_agreement: float = Field(0.8, ge=0, le=1)
    """Fail if fewer rows than this share keep their best class, or if Cohen's kappa, the agreement beyond chance, is
    less than half of it."""


def run(*, model: Artifact, config: Config, context: Context, out: Path) -> Quantization:
    """Load with quantized weights, save, and compare the reloaded outputs with the float model's on real rows."""
    from compress.comparing import parity
    from compress.models import bnb
    from compress.models.load import load_model, save_model
    from compress.models.reshape import model_shape
    from compress.models.tokenizer import copy_tokenizer

    context.progress("quantizing", 0, 2)
    trust = context.trust_remote_code
    floats = load_model(model.path, context.task.hub_task, trust_remote_code=trust)
    float_layers, shape = bnb.kept_in_float(floats, config.bits), model_shape(floats)
    network = load_model(
        model.path,
        context.task.hub_task,
        trust_remote_code=trust,
        quantization_config=bnb.scheme(config.bits, float_layers),
        device_map=context.device,
    )
    save_model(network, out, shape)
    copy_tokenizer(model.path, out)
    context.progress("quantizing", 1, 2)
    agreement = parity.gate(
        model.path,
        out,
        context,
        config.min_agreement,
        device=context.device,
        trust_remote_code=trust,
    )
    context.progress("quantizing", 2, 2)
    return Quantization.model_validate({"parity": agreement, "kept_in_float": float_layers})


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("torch")},
    output="torch_bnb",
    version=2,
    tag="quantized",
    facts=Quantization,
    needs_data=False,
)
