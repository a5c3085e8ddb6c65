"""Export a torch model to ONNX, and fuse its attention.

Use it once the shape is final; the graph takes any batch size and sequence length. The folder holds model.onnx with
config.json and the tokenizer beside it, so other tools load it as it is. Costs seconds. The step fails if the outputs
differ from torch's, or if attention that should fuse does not.

```yaml
- {name: onnx, stage: export_onnx, fuse: auto, tolerance: 1.0e-3}
```

Fusion is that of onnxruntime.transformers.optimizer: Attention, SkipLayerNormalization, BiasGelu.
"""

import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from compress.context import Context
from compress.errors import CompressError, InputError
from compress.models.architectures import ARCHITECTURES, Architecture, Shape
from compress.stages import Input, Stage, StageConfig
from compress.store import Artifact

FUSED = ("Attention", "MultiHeadAttention", "SkipLayerNormalization", "BiasGelu", "FastGelu", "Gelu")


class Config(StageConfig):
    """How to export."""

    opset: int = Field(17, ge=14, le=21)
    """ONNX operator set."""
    fuse: Literal["auto", "always", "never"] = "auto"
    """Fuse attention: auto where the architecture is known, always (fail where it is not), never."""
    tolerance: float = Field(1e-3, gt=0)
    """Largest difference of any logit from torch's, as a share of the largest logit (at least 1)."""


def run(*, model: Artifact, config: Config, context: Context, out: Path) -> dict[str, Any]:
    """Trace, fuse, count the fused nodes, and compare the outputs with torch on real rows."""
    from compress.models.load import load_model
    from compress.models.reshape import model_shape
    from compress.models.tokenizer import copy_tokenizer, load_tokenizer
    from compress.recipe import Target
    from compress.runtimes import load, parity

    network = load_model(
        model.path,
        context.task.hub_task,
        attention="eager",  # sdpa keeps onnxruntime from fusing attention
        trust_remote_code=context.trust_remote_code,
    )
    shape = model_shape(network)
    architecture = ARCHITECTURES.get(network.config.model_type)
    path = out / "model.onnx"
    context.progress("exporting", 0, 3)
    _trace(network, path, config.opset)
    context.progress("exporting", 1, 3)
    facts: dict[str, Any] = {"fused": None}
    if config.fuse != "never" and architecture is not None and shape is not None:
        facts["fused"] = _fuse(path, architecture, shape)
    context.progress("exporting", 2, 3)
    shutil.copyfile(model.path / "config.json", out / "config.json")
    copy_tokenizer(model.path, out)
    found = parity.compare(
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
    context.progress("exporting", 3, 3)
    allowed = config.tolerance * max(found.scale, 1.0)
    if not found.max_abs_difference <= allowed:
        raise CompressError(
            f"the exported model differs from torch by {found.max_abs_difference:.2g} on {found.rows} rows; "
            f"allowed is {allowed:.2g}",
            fix="set fuse: never to see whether fusion is to blame; raise tolerance only if you can bear it",
        )
    return {**facts, **found.facts()}


def write_graph(network: Any, folder: Path) -> None:
    """Write a network of a known architecture as this stage does by default: traced and fused, as model.onnx."""
    from compress.models.reshape import model_shape

    shape = model_shape(network)
    assert shape is not None
    path = folder / "model.onnx"
    _trace(network, path, Config().opset)
    _fuse(path, ARCHITECTURES[shape.model_type], shape)


def _trace(network: Any, path: Path, opset: int) -> None:
    """Write the unfused graph."""
    import inspect

    import torch

    accepted = set(inspect.signature(network.forward).parameters)
    if getattr(network.config, "type_vocab_size", 2) < 2:
        accepted.discard("token_type_ids")  # RoBERTa takes them, but has no second segment
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in accepted]

    class Logits(torch.nn.Module):
        """The model as a function of tensors, returning the logits alone."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.network(**dict(zip(names, inputs, strict=True))).logits
            return logits

    ids = torch.ones(2, 16, dtype=torch.long)
    mask = torch.ones(2, 16, dtype=torch.long)
    mask[1, 8:] = 0  # so that the trace sees padding
    examples = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    dynamic = {0: "batch", 1: "sequence"}
    axes: dict[str, dict[int, str]] = {**dict.fromkeys(names, dynamic), "logits": {0: "batch"}}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer's remarks on constants; parity is checked below
        torch.onnx.export(
            Logits().eval(),
            tuple(examples[name] for name in names),
            str(path),
            input_names=names,
            output_names=["logits"],
            dynamic_axes=axes,
            opset_version=opset,
            dynamo=False,  # the graph that onnxruntime's fusion knows; dynamo's fuses no attention
        )


def _fuse(path: Path, architecture: Architecture, shape: Shape) -> dict[str, int]:
    """Fuse the attention of all layers in the graph, in place.

    Returns:
        Number of nodes of each fused kind.

    Raises:
        CompressError: not every layer's attention fused.
    """
    import onnx
    from onnxruntime.transformers import optimizer
    from onnxruntime.transformers.fusion_options import FusionOptions

    options = FusionOptions(architecture.fusion)
    options.enable_embed_layer_norm = False  # onnxruntime cannot quantize what it makes
    options.use_raw_attention_mask(True)  # right for padding on either side
    fused = optimizer.optimize_model(
        str(path),
        model_type=architecture.fusion,
        num_heads=shape.heads[0],
        hidden_size=shape.heads[0] * shape.head_size,
        optimization_options=options,
        opt_level=1,
        use_gpu=False,
    )
    _set_heads(fused.model, shape.head_size)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        whole = Path(scratch) / path.name
        fused.save_model_to_file(str(whole))
        whole.replace(path)
    kinds = Counter(node.op_type for node in onnx.load(str(path), load_external_data=False).graph.node)
    counts = {kind: kinds[kind] for kind in FUSED if kinds[kind]}
    attention = counts.get("Attention", 0) + counts.get("MultiHeadAttention", 0)
    if attention != shape.layers:
        raise CompressError(
            f"attention fused in {attention} of {shape.layers} layers",
            fix="set fuse: never to export without fusion, and measure what that costs",
        )
    return counts


def _set_heads(model: Any, head_size: int) -> None:
    """Give each fused attention the number of heads that its own matrix holds: layers may differ in it."""
    channels = {tensor.name: tensor.dims[1] // 3 for tensor in model.graph.initializer if len(tensor.dims) == 2}
    for node in model.graph.node:
        if node.op_type == "Attention":
            (heads,) = (attribute for attribute in node.attribute if attribute.name == "num_heads")
            heads.i = channels[node.input[1]] // head_size


def _shape(config: Config, shapes: Mapping[str, Shape | None]) -> Shape | None:
    shape = shapes["model"]
    if config.fuse == "always" and shape is None:
        raise InputError("no fusion is known for this model's architecture", fix="set fuse: auto, or never")
    return shape


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("torch")},
    output="onnx",
    version=2,
    shape=_shape,
    needs_data=False,
)
