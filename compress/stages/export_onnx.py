"""Export a torch model to ONNX, and fuse its attention.

Use it once the shape is final; the graph takes any batch size and sequence length. The folder holds model.onnx with
config.json and the tokenizer beside it, so other tools load it as it is. Costs seconds. The step fails if the outputs
differ from torch's on real rows or at any of many lengths, from one token to the most, or if attention that should fuse
does not. Families whose code lays itself out for one length, as Longformer and FNet, are refused in the plan.

```yaml
- {name: onnx, stage: export_onnx, fuse: auto, tolerance: 1.0e-3}
```

Fusion is that of onnxruntime.transformers.optimizer: Attention and BiasGelu. It does not know ModernBERT's attention,
which is traced as RotaryEmbedding and MultiHeadAttention from the start. Adding and normalizing stay apart unless
`skip_layer_norm` is on: on CPUs onnxruntime 1.31 takes 3 to 14 times as long for the two in one (one thread of a Zen 5,
widths of 64 to 768, lengths of 32 and 128).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from compress.context import Context, KnownStep
from compress.errors import InputError
from compress.models.architectures import Shape
from compress.stages import Input, Stage, StageConfig
from compress.store.artifacts import Artifact


class Config(StageConfig):
    """How to export."""

    opset: int = Field(17, ge=14, le=21)
    """ONNX operator set."""
    fuse: Literal["auto", "always", "never"] = "auto"
    """Fuse attention: auto where the architecture is known, always (fail where it is not), never."""
    skip_layer_norm: bool = False
    """Let onnxruntime add and normalize in one operator: for GPUs; on CPUs it is far slower than the two apart."""
    tolerance: float = Field(1e-3, gt=0)
    """Largest difference of any logit from torch's, as a share of the largest logit (at least 1)."""


def run(*, model: Artifact, config: Config, context: Context, out: Path) -> dict[str, Any]:
    """Trace, fuse, count the fused nodes, and compare the outputs with torch on real rows."""
    from compress.comparing import parity
    from compress.export.export import export
    from compress.models.files import copy_config_and_tokenizer
    from compress.models.load import load_model
    from compress.models.tokenizer import load_tokenizer
    from compress.recipe.schema import Target
    from compress.runtimes import load

    network = load_model(
        model.path,
        context.task.hub_task,
        attention="eager",  # sdpa keeps onnxruntime from fusing attention
        trust_remote_code=context.trust_remote_code,
    )
    context.progress("exporting", 0, 2)
    fused = export(
        network,
        out / "model.onnx",
        opset=config.opset,
        fuses=config.fuse != "never",
        skip_layer_norm=config.skip_layer_norm,
    )
    context.progress("exporting", 1, 2)
    copy_config_and_tokenizer(model.path, out)
    comparison = parity.compare(
        load(
            model.path,
            Target(runtime="torch"),
            context.task.hub_task,
            trust_remote_code=context.trust_remote_code,
        ),
        load(out, Target(runtime="onnxruntime"), context.task.hub_task),
        context.task,
        load_tokenizer(model.path),
    )
    context.progress("exporting", 2, 2)
    comparison.check(
        config.tolerance,
        "the exported model differs from torch",
        "set fuse: never to see whether fusion is to blame; measure the model on a torch target, where it is as it was",
    )
    return {"fused": fused, **comparison.facts()}


def _shape(config: Config, shapes: Mapping[str, Shape | None]) -> Shape | None:
    shape = shapes["model"]
    if config.fuse == "always" and shape is None:
        raise InputError("no fusion is known for this model's architecture", fix="set fuse: auto, or never")
    return shape


def _check(step: KnownStep) -> None:
    """Refuse a family of models whose graph would be wrong for some lengths, before any work."""
    from compress.models.config_file import read_config
    from compress.models.exportable import why_not_exportable

    why = why_not_exportable(read_config(step.model.origin), step.longest)
    if why is not None:
        raise InputError(why[0], fix=why[1])


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("torch")},
    output="onnx",
    version=2,
    shape=_shape,
    writes_floats=True,
    needs_data=False,
    check=_check,
)
