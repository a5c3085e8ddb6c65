"""The layers of a torch model behind the matrices and tables of its ONNX graph: they hold the same numbers."""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
import torch

from compress.errors import CompressError
from compress.graphs.embedding_tables import tables
from compress.graphs.matrices import Matrix, matrices
from compress.models.low_rank import LowRankEmbedding

Content = tuple[tuple[int, ...], bytes]

INSTEAD = "quantize the exported graph: quantize_onnx_dynamic, quantize_onnx_static or quantize_onnx_4bit"
ROLES = 3
"""Queries, keys and values: the matrices that a fused Attention holds side by side."""


def layers_of_products(graph: onnx.ModelProto, network: Any) -> dict[str, tuple[str, ...]]:
    """Names of the Linear layers that each matrix of a product is made of, by the name of the matrix.

    Args:
        graph: the export of `network`, without Gemm; its fused Attentions have queries, keys and values of one width.

    Raises:
        CompressError: a matrix belongs to no layer, or two layers hold the same numbers.
    """
    layers = _by_content(
        (name, layer.weight.T) for name, layer in network.named_modules() if type(layer) is torch.nn.Linear
    )
    return {product.name: _parts(product, layers) for product in matrices(graph, attention=True)}


def layers_of_tables(graph: onnx.ModelProto, network: Any) -> dict[str, str]:
    """Name of the Embedding layer of each table, by the name of the table.

    Raises:
        CompressError: a table belongs to no layer, or two layers hold the same numbers.
    """
    kinds = (torch.nn.Embedding, LowRankEmbedding)
    layers = _by_content((name, layer.weight) for name, layer in network.named_modules() if type(layer) in kinds)
    return {table.node.input[0]: _find(table.weights, layers, table.node) for table in tables(graph)}


def _by_content(layers: Iterable[tuple[str, torch.Tensor]]) -> dict[Content, str]:
    """Names of layers by the content of their weights."""
    names: dict[Content, str] = {}
    for name, weight in layers:
        content = _content(weight.detach().cpu().numpy())
        if content in names:
            raise CompressError(
                f"the layers '{names[content]}' and '{name}' hold the same numbers: a graph does not tell them apart",
                fix=INSTEAD,
            )
        names[content] = name
    return names


def _content(weights: np.ndarray[Any, Any]) -> Content:
    whole = np.ascontiguousarray(weights, dtype=np.float32)
    return whole.shape, hashlib.sha256(whole.tobytes()).digest()


def _parts(product: Matrix, layers: dict[Content, str]) -> tuple[str, ...]:
    parts = np.split(product.weights, ROLES, axis=1) if product.is_attention else [product.weights]
    return tuple(_find(part, layers, product.node) for part in parts)


def _find(weights: np.ndarray[Any, Any], layers: dict[Content, str], node: onnx.NodeProto) -> str:
    name = layers.get(_content(weights))
    if name is None:
        raise CompressError(
            f"the weights of the graph's node '{node.name or node.output[0]}' are no layer's of the model, "
            "so their rounding cannot be trained",
            fix=INSTEAD,
        )
    return name
