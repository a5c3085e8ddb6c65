"""Reading and checking of ONNX files, and the rewriting of graphs that stages share."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import onnx
import onnx.version_converter
from onnx import helper, numpy_helper

from compress.errors import InputError
from compress.files.whole import stays_inside
from compress.graphs.fused_embeddings import split_embeddings
from compress.graphs.matrices import replace_nodes
from compress.graphs.normal_form import in_normal_form, without_functions
from compress.graphs.quantizable import QUANTIZED, check_quantizable, check_runs

ROLES = ("query", "key", "value")
HEADS_SETTINGS = ("num_heads", "mask_filter_value", "scale", "unidirectional")
"""The settings that MultiHeadAttention takes over from Attention."""


def read_graph(path: Path) -> onnx.ModelProto:
    """An ONNX model, without weights that are kept in other files.

    Raises:
        InputError: it is not ONNX, or is cut off.
    """
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf and onnx raise classes without a common base
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(
            f"not a readable ONNX file ({path.stat().st_size:,} bytes): {first[:200]}",
            where=str(path),
            fix="export it again, or copy it whole",
        ) from error
    if not model.graph.node:
        raise InputError("the ONNX file holds no graph", where=str(path), fix="export it again, or copy it whole")
    return model


def check_external_data(path: Path) -> list[str]:
    """Refuse a graph that reads anything but plain files of its own folder.

    Any tensor of the model (in the graph, a subgraph, a node's attribute or a function) may keep its numbers in another
    file. That file must lie in the folder or below it, and hold the bytes that the tensor names. The only links that
    are allowed are those of the Hugging Face hub's cache.

    Returns:
        Relative paths of the files that it reads.

    Raises:
        InputError: it is not ONNX, leads out of its folder, names bytes that are not there, or holds a compiled engine.
    """
    model = read_graph(path)
    files: set[str] = set()
    for message in _messages(model):
        if isinstance(message, onnx.NodeProto) and message.op_type == "EPContext":
            raise InputError(
                "the graph holds a compiled engine (EPContext), which is code",
                where=str(path),
                fix="take the graph that the engine was made from",
            )
        if isinstance(message, onnx.TensorProto) and message.external_data:
            fields = {entry.key: entry.value for entry in message.external_data}
            location = fields.get("location", "")
            problem = _location_problem(location, path.parent) or _range_problem(fields, path.parent / location)
            if problem is None and len(fields) == len(message.external_data):
                files.add(PurePosixPath(location).as_posix())
                continue
            raise InputError(
                f"the graph's weights stand in '{location[:200]}', {problem or 'or elsewhere: that is said twice'}",
                where=str(path),
                fix="copy the graph with the weight files that belong to it, or export it again",
            )
    return sorted(files)


def _messages(message: Any) -> Iterator[Any]:
    """A protobuf message and all messages inside it; tensors are not looked into."""
    yield message
    if isinstance(message, onnx.TensorProto):
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for item in (value,) if hasattr(value, "ListFields") else value:
                yield from _messages(item)


def _location_problem(location: str, folder: Path) -> str | None:
    """The reason why a file that a graph names cannot be read from its folder, or None."""
    name = PurePosixPath(location)
    if not location or name.is_absolute() or ".." in name.parts or set(location) & set("\\:\0"):
        return "outside of the model's folder"
    file = folder / name
    if not stays_inside(file, folder):
        return "a link that leads out of the model's folder"
    return None if file.is_file() else "which is not there"


def _range_problem(fields: Mapping[str, str], file: Path) -> str | None:
    """The reason why the file cannot hold the bytes that a tensor names, or None."""
    size = file.stat().st_size
    try:
        offset = int(fields.get("offset") or 0)
        length = int(fields.get("length") or max(0, size - offset))
    except ValueError:
        return "at a place that is no number"
    if offset < 0 or length < 0 or offset + length > size:
        return f"from byte {offset:,} to {offset + length:,}, where the file has {size:,}"
    return None


def read_float_graph(path: Path, least_opset: int = 0) -> onnx.ModelProto:
    """An ONNX model that is not quantized yet, with its weights, in the form that `in_normal_form` gives.

    Embeddings that were fused into one operator are split into plain operators again.

    Args:
        least_opset: a graph with an older opset is converted to this one.

    Raises:
        InputError: the file is not ONNX, a file of its weights is missing or cut off, onnxruntime does not load it, it
            has other inputs than a tokenizer gives, its operators are too old, or there is nothing in it to quantize.
    """
    check_external_data(path)
    check_runs(path)
    model = without_functions(read_graph(path))  # before the weights are loaded, because this copies the whole message
    onnx.load_external_data_for_model(model, str(path.parent))
    model = in_normal_form(model)
    check_quantizable(model, path)
    opset = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), 0)
    model = model if opset >= least_opset else _converted(model, opset, least_opset, path)
    split_embeddings(model)
    return model


def _converted(model: onnx.ModelProto, opset: int, least_opset: int, path: Path) -> onnx.ModelProto:
    """The same computation in the operators of a later opset."""
    try:
        return in_normal_form(onnx.version_converter.convert_version(model, least_opset))
    except Exception as error:  # the converter raises classes without a common base
        raise InputError(
            f"the graph has the operators of opset {opset}; at least {least_opset} is needed",
            where=str(path),
            fix=f"export it again with opset: {least_opset} or later",
        ) from error


def parameters_in(path: Path) -> int:
    """Number of weights in an ONNX file; a quantized weight counts as one, however many share a byte.

    The scales and zero points of quantized weights and integer constants are not counted; biases and norms are.
    """
    model = onnx.load(str(path), load_external_data=False)
    in_a_byte = {
        node.input[1 if node.op_type == "MatMulNBits" else 0]: 8 // _bits(node)
        for node in model.graph.node
        if node.op_type in ("MatMulNBits", "GatherBlockQuantized")
    }
    beside = {
        name
        for node in model.graph.node
        if node.op_type in (*QUANTIZED, "DequantizeLinear")
        for name in _scales_of(node)
    }
    total = 0
    for tensor in model.graph.initializer:
        if tensor.name in beside or tensor.data_type == onnx.TensorProto.INT64:
            continue
        count = int(np.prod(tensor.dims)) if tensor.dims else 1
        total += count * (in_a_byte.get(tensor.name, 1) if tensor.data_type == onnx.TensorProto.UINT8 else 1)
    return total


def _bits(node: onnx.NodeProto) -> int:
    """Bits of each weight of a node that packs its weights."""
    return next((int(item.i) for item in node.attribute if item.name == "bits"), 4)


def _scales_of(node: onnx.NodeProto) -> list[str]:
    """Names of a quantized node's scales and zero points."""
    positions = {
        "MatMulNBits": range(2, 4),
        "GatherBlockQuantized": range(2, 4),
        "DequantizeLinear": range(1, 3),
        "MatMulInteger": range(2, 4),
        "DynamicQuantizeMatMul": range(2, 4),
        "MatMulIntegerToFloat": range(2, 6),
        "QAttention": (3, 4, 6, 7),
    }.get(node.op_type, ())
    return [node.input[position] for position in positions if position < len(node.input)]


def keep_norms_apart(model: onnx.ModelProto) -> int:
    """Write the Add before each LayerNormalization as a Sum of two, in place.

    The arithmetic is the same. onnxruntime fuses an Add with a LayerNormalization while it loads a graph, but no Sum.

    Returns:
        Number of nodes rewritten.
    """
    makers = {output: node for node in model.graph.node for output in node.output}
    norms = [node for node in model.graph.node if node.op_type == "LayerNormalization"]
    sums = {norm.input[0] for norm in norms if norm.input[0] in makers and makers[norm.input[0]].op_type == "Add"}
    for name in sums:
        makers[name].op_type = "Sum"
    return len(sums)


def split_attention(model: onnx.ModelProto, stays: Callable[[onnx.NodeProto], bool] = lambda _: False) -> int:
    """Turn each fused Attention into three MatMul and a MultiHeadAttention, in place.

    Attention holds its projection weights inside, where weight-only quantization does not reach them. The result
    computes the same. An Attention stays as it is if it reads or gives earlier keys and values, as in decoders, or has
    rotary positions.

    Args:
        stays: whether an Attention is to stay whole.

    Returns:
        Number of nodes split.
    """
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    parts: dict[tuple[str, ...], list[str]] = {}
    by = {}
    for node in graph.node:
        if node.op_type != "Attention" or node.input[1] not in weights or not _splits(node) or stays(node):
            continue
        weight = numpy_helper.to_array(weights[node.input[1]])  # (hidden, query + key + value)
        sizes = _settings(node).get("qkv_hidden_sizes") or [weight.shape[1] // 3] * 3
        key = (node.input[1], *map(str, sizes))
        if key not in parts:  # several nodes may share their weights
            again = (
                f"_{len(parts)}" if any(name == node.input[1] for name, *_ in parts) else ""
            )  # split in other widths
            parts[key] = [f"{node.input[1]}_{role}{again}" for role in ROLES]
            split = np.split(weight, np.cumsum(sizes)[:-1], axis=1)
            graph.initializer.extend(
                numpy_helper.from_array(np.ascontiguousarray(part), name)
                for part, name in zip(split, parts[key], strict=True)
            )
        by[node.output[0]] = _split(node, parts[key])
    replace_nodes(model, by)
    return len(by)


def _settings(node: onnx.NodeProto) -> dict[str, Any]:
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def _splits(node: onnx.NodeProto) -> bool:
    """Whether a MultiHeadAttention of three products computes what an Attention does."""
    keeps_past = any(node.input[4:5]) or any(node.input[6:]) or any(node.output[1:])
    return not keeps_past and not _settings(node).get("do_rotary")


def _split(node: onnx.NodeProto, parts: list[str]) -> list[onnx.NodeProto]:
    """The nodes that replace an Attention: products with the `parts` of its weights, and a MultiHeadAttention."""
    hidden, _, *rest = node.input
    bias, mask, _, scores_bias = [*rest, "", "", "", ""][:4]
    outputs = [f"{node.output[0]}_{role}" for role in ROLES]
    nodes = [
        helper.make_node("MatMul", [hidden, part], [output], name=f"{node.name}_{role}")
        for role, part, output in zip(ROLES, parts, outputs, strict=True)
    ]
    settings = {key: value for key, value in _settings(node).items() if key in HEADS_SETTINGS}
    nodes.append(
        helper.make_node(
            "MultiHeadAttention",
            [*outputs, bias, mask, *([scores_bias] if scores_bias else [])],
            [node.output[0]],
            name=f"{node.name}_heads",
            domain="com.microsoft",
            **settings,
        )
    )
    return nodes
