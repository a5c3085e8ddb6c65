"""A torch model as an ONNX graph, its attention fused for onnxruntime."""

import inspect
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
from compress.models.architectures import Architecture, Shape

FUSED = ("Attention", "MultiHeadAttention", "SkipLayerNormalization", "BiasGelu", "FastGelu", "Gelu")


def trace(network: Any, path: Path, opset: int) -> None:
    """Write the unfused graph."""
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


def fuse(path: Path, architecture: Architecture, shape: Shape) -> dict[str, int]:
    """Fuse the graph in place.

    Returns:
        Number of nodes of each fused kind.

    Raises:
        CompressError: not every layer's attention fused.
    """
    options = FusionOptions(architecture.fusion)
    options.enable_embed_layer_norm = False  # onnxruntime cannot quantize what it makes
    options.use_raw_attention_mask(True)  # right for padding on either side
    for heads in sorted(set(shape.heads)):  # each pass fuses the layers that have just so many heads
        fused = optimizer.optimize_model(
            str(path),
            model_type=architecture.fusion,
            num_heads=heads,
            hidden_size=heads * shape.head_size,
            optimization_options=options,
            opt_level=1,
            use_gpu=False,
        )
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
