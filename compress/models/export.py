"""A torch model as an ONNX graph, its attention fused for onnxruntime."""

import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import torch
from onnxruntime.transformers import optimizer
from onnxruntime.transformers.fusion_options import FusionOptions

from compress.errors import CompressError
from compress.models.architectures import ARCHITECTURES, Architecture, Shape
from compress.models.fused_attention import fuse_attention
from compress.models.inputs import input_names
from compress.models.onnx_graph import keep_norms_apart
from compress.models.reshape import model_shape

FUSED = ("Attention", "MultiHeadAttention", "RotaryEmbedding", "SkipLayerNormalization", "BiasGelu", "FastGelu", "Gelu")
OPSET = 17


def export(
    network: Any, path: Path, *, opset: int = OPSET, fuses: bool = True, skip_layer_norm: bool = False
) -> dict[str, int] | None:
    """Write a model as an ONNX graph.

    Args:
        network: loaded with eager attention, the one that onnxruntime fuses; not to be used after this.
        fuses: whether attention is fused, where the family is known.
        skip_layer_norm: let onnxruntime add and normalize in one operator.

    Returns:
        Number of nodes of each fused kind; None where nothing is fused.

    Raises:
        CompressError: not every layer's attention fused.
    """
    shape = model_shape(network) if fuses else None
    counts = None
    if shape is not None:
        fuse_attention(network)
    _trace(network, path, opset)
    if shape is not None:
        counts = _fuse(path, ARCHITECTURES[shape.model_type], shape, skip_layer_norm)
    if not skip_layer_norm:
        graph = onnx.load(str(path), load_external_data=False)  # weights in another file stay where they are
        keep_norms_apart(graph)
        onnx.save(graph, str(path))
    return counts


def _trace(network: Any, path: Path, opset: int) -> None:
    """Write the unfused graph."""
    names = input_names(network)

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
            input_names=list(names),
            output_names=["logits"],
            dynamic_axes=axes,
            opset_version=opset,
            dynamo=False,  # the graph that onnxruntime's fusion knows; dynamo's fuses no attention
        )


def _fuse(path: Path, architecture: Architecture, shape: Shape, skip_layer_norm: bool) -> dict[str, int]:
    """Fuse the graph in place.

    Returns:
        Number of nodes of each fused kind.

    Raises:
        CompressError: not every layer's attention fused.
    """
    options = FusionOptions(architecture.fusion)
    options.enable_embed_layer_norm = False  # onnxruntime cannot quantize what it makes
    options.enable_skip_layer_norm = skip_layer_norm
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
