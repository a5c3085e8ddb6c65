"""A torch model as an ONNX graph, its attention fused for onnxruntime."""

import os
import re
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from onnxruntime.transformers import optimizer
from onnxruntime.transformers.fusion_options import FusionOptions
from torch.onnx.errors import OnnxExporterError

from compress.errors import CompressError
from compress.export.fused_attention import fuse_attention
from compress.graphs.read import keep_norms_apart
from compress.models.architectures import ARCHITECTURES, Architecture, Shape, positions_of
from compress.models.exportable import IN_TORCH, POOLED_AT_END
from compress.models.inputs import input_names
from compress.models.reshape import model_shape

FUSED = ("Attention", "MultiHeadAttention", "RotaryEmbedding", "SkipLayerNormalization", "BiasGelu", "FastGelu", "Gelu")
OPSET = 17
TRACED = 16
"""Tokens of the rows that are traced, if the model has as many positions."""


def export(
    network: Any, path: Path, *, opset: int = OPSET, fuses: bool = True, skip_layer_norm: bool = False
) -> dict[str, int] | None:
    """Write a model as an ONNX graph.

    Args:
        network: a model loaded with eager attention, which onnxruntime can fuse; not to be used after this.
        fuses: whether attention is fused, for families that can be.
        skip_layer_norm: whether onnxruntime may add and normalize in one operator.

    Returns:
        Number of nodes of each fused kind; None if nothing is fused.

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
        graph = onnx.load(str(path), load_external_data=False)  # weights in other files are not needed
        keep_norms_apart(graph)
        onnx.save(graph, str(path))
    return counts


class _Logits(torch.nn.Module):
    """A model as a function of tensors that returns only the logits."""

    def __init__(self, network: Any, names: Sequence[str]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """(batch, classes) or (batch, tokens, classes); the inputs are those of `names`, each (batch, tokens)."""
        logits: torch.Tensor = self.network(**dict(zip(self.names, inputs, strict=True))).logits
        return logits


class _PooledAtEnd(_Logits):
    """The logits of a model whose head reads the last end token of each row.

    transformers' own code finds the end tokens of all rows at once, and is right only if all rows have the same number
    of them. In a row without an end token, such as one that was cut, the first token is read.
    """

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """(batch, classes); the inputs are those of `names`, each (batch, tokens)."""
        arguments = dict(zip(self.names, inputs, strict=True))
        ids = arguments["input_ids"]
        if hasattr(self.network, "_shift_right"):  # in T5 the classifier itself makes the decoder's inputs
            arguments["decoder_input_ids"] = self.network._shift_right(ids)
        hidden = self.network.base_model(**arguments)[0]  # (batch, tokens, width)
        is_end = (ids == self.network.config.eos_token_id).float()
        last = (is_end * torch.arange(ids.shape[1], device=ids.device)).argmax(dim=1)  # (batch,)
        pooled = hidden.gather(1, last[:, None, None].expand(-1, 1, hidden.shape[-1]))[:, 0]
        logits: torch.Tensor = self.network.classification_head(pooled)
        return logits


def _trace(network: Any, path: Path, opset: int) -> None:
    """Write the unfused graph.

    Raises:
        CompressError: the model's code cannot be traced, or has an operator that ONNX does not.
    """
    names = input_names(network)
    wrapper = _PooledAtEnd if network.config.model_type in POOLED_AT_END else _Logits
    examples = _examples(network.config)
    dynamic = {0: "batch", 1: "sequence"}
    axes: dict[str, dict[int, str]] = {**dict.fromkeys(names, dynamic), "logits": {0: "batch"}}
    try:
        with warnings.catch_warnings(), torch.no_grad(), _nothing_printed():
            warnings.simplefilter("ignore")  # the tracer's remarks on constants; parity is checked later
            torch.onnx.export(
                wrapper(network, names).eval(),
                tuple(examples[name] for name in names),
                str(path),
                input_names=list(names),
                output_names=["logits"],
                dynamic_axes=axes,
                opset_version=opset,
                dynamo=False,  # the graph that onnxruntime's fusion knows; dynamo's fuses no attention
            )
    except (OSError, MemoryError):
        raise
    except Exception as error:
        if "memory" in str(error):
            raise
        raise _untraceable(network, error, opset) from error


def _examples(config: Any) -> dict[str, torch.Tensor]:
    """Two rows for the tracer, each ending with the end token; the second is padded, so that the mask is traced."""
    padding, end = (getattr(config, f"{name}_token_id", None) for name in ("pad", "eos"))
    ends = end if isinstance(end, list) else [end]
    plain = [number for number in range(config.vocab_size) if number not in (padding, *ends)] or [0]
    tokens = min(TRACED, positions_of(config.to_dict()) or TRACED)
    half = (tokens + 1) // 2
    ids = torch.tensor([plain[place % len(plain)] for place in range(2 * tokens)]).view(2, tokens)
    mask = torch.ones_like(ids)
    mask[1, half:] = 0
    if isinstance(padding, int) and padding >= 0:
        ids[1, half:] = padding
    if isinstance(ends[0], int) and ends[0] >= 0:
        ids[0, -1] = ids[1, half - 1] = ends[0]
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}


@contextmanager
def _nothing_printed() -> Iterator[None]:
    """A context in which nothing reaches the terminal: torch's C++ prints whole graphs that it cannot convert."""
    sys.stdout.flush()
    terminal, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(terminal, 1)
        os.close(terminal)
        os.close(nowhere)


def _untraceable(network: Any, error: Exception, opset: int) -> CompressError:
    operator = re.search(r"operator '([\w:]+)'", str(error)) if isinstance(error, OnnxExporterError) else None
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    why = f"opset {opset} has no form of its operator {operator[1]}" if operator else first[:200]
    return CompressError(
        f"{type(network).__name__} cannot be exported to ONNX: {why}",
        fix=f"{'try a higher opset; or ' if operator else ''}{IN_TORCH}",
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
