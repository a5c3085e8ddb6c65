"""Rewrites an ONNX graph into forms that other tools write; each computes the same."""

from collections.abc import Callable, Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def constants_of(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in model.graph.initializer}


def products(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, np.ndarray]]:
    """Each MatMul by a constant matrix."""
    known = constants_of(model)
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in known:
            yield node, numpy_helper.to_array(known[node.input[1]])


def put_nodes(model: onnx.ModelProto, nodes: list[onnx.NodeProto], *, last: tuple[onnx.NodeProto, ...] = ()) -> None:
    """Put nodes at the head and the end of a graph."""
    kept = [*nodes, *model.graph.node, *last]
    del model.graph.node[:]
    model.graph.node.extend(kept)


def as_it_is(model: onnx.ModelProto) -> onnx.ModelProto:
    return model


def constants_are_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    held = [helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in model.graph.initializer]
    del model.graph.initializer[:]
    put_nodes(model, held)
    return model


def weights_are_turned(model: onnx.ModelProto) -> onnx.ModelProto:
    """As exporters write torch's (outputs, inputs)."""
    made = []
    for node, weights in list(products(model)):
        name = f"{node.output[0]}_own"
        turned = np.ascontiguousarray(weights.T)
        model.graph.initializer.append(numpy_helper.from_array(turned, name))
        node.input[1] = f"{name}_turned"
        made.append(helper.make_node("Transpose", [name], [node.input[1]], perm=[1, 0]))
    put_nodes(model, made)
    return model


def weights_pass_through(model: onnx.ModelProto) -> onnx.ModelProto:
    """Identity, Reshape of a flat constant, and Cast of half a float stand before every matrix and table."""
    made = []
    for tensor in list(model.graph.initializer):
        if len(tensor.dims) != 2 or tensor.data_type != TensorProto.FLOAT:
            continue
        values, name = numpy_helper.to_array(tensor), tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.reshape(-1).astype(np.float16), f"{name}_half"))
        shape = numpy_helper.from_array(np.array(values.shape, dtype=np.int64), f"{name}_shape")
        model.graph.initializer.append(shape)
        made += [
            helper.make_node("Cast", [f"{name}_half"], [f"{name}_flat"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", [f"{name}_flat", f"{name}_shape"], [f"{name}_whole"]),
            helper.make_node("Identity", [f"{name}_whole"], [name]),
        ]
    put_nodes(model, made)
    return model


def products_are_gemms(model: onnx.ModelProto) -> onnx.ModelProto:
    """The head has both factors, and reads its activations turned."""
    head = next(node for node in reversed(model.graph.node) if node.op_type == "Gemm")
    known = constants_of(model)
    for position, factor in ((1, 4.0), (2, 0.5)):
        tensor = known[head.input[position]]
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) / np.float32(factor), tensor.name))
    index = list(model.graph.node).index(head)
    turn = helper.make_node("Transpose", [head.input[0]], ["pooled_turned"], perm=[1, 0])
    transposed = next((item.i for item in head.attribute if item.name == "transB"), 0)
    model.graph.node[index].CopyFrom(
        helper.make_node(
            "Gemm",
            ["pooled_turned", *head.input[1:]],
            list(head.output),
            alpha=4.0,
            beta=0.5,
            transA=1,
            transB=transposed,
        )
    )
    model.graph.node.insert(index, turn)
    return model


def nodes_have_no_names(model: onnx.ModelProto) -> onnx.ModelProto:
    for node in model.graph.node:
        node.name = ""
    return model


def tokens_are_int32(model: onnx.ModelProto) -> onnx.ModelProto:
    """And stand in another order, without segments."""
    made = []
    for item in model.graph.input:
        item.type.tensor_type.elem_type = TensorProto.INT32
        wide = f"{item.name}_wide"
        for node in model.graph.node:
            for position, name in enumerate(node.input):
                if name == item.name:
                    node.input[position] = wide
        made.append(helper.make_node("Cast", [item.name], [wide], to=TensorProto.INT64))
    put_nodes(model, made)
    inputs = list(reversed(model.graph.input))
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    return model


def without_segments(model: onnx.ModelProto) -> onnx.ModelProto:
    """token_type_ids are made inside."""
    kept = [item for item in model.graph.input if item.name != "token_type_ids"]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.graph.initializer.append(numpy_helper.from_array(np.array(0, dtype=np.int64), "nought"))
    put_nodes(model, [helper.make_node("Mul", ["input_ids", "nought"], ["token_type_ids"])])
    return model


def output_has_another_name(model: onnx.ModelProto) -> onnx.ModelProto:
    """And is the second of two, of which none is called logits."""
    model.graph.output[0].name = "score"
    for node in model.graph.node:
        for position, name in enumerate(node.output):
            if name == "logits":
                node.output[position] = "score"
    model.graph.output.append(helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "sequence"]))
    put_nodes(model, [], last=(helper.make_node("Identity", ["input_ids"], ["ids"]),))
    return model


def constants_are_inputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """As the third version of the format wanted it."""
    model.ir_version = 3
    model.graph.input.extend(
        helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims) for tensor in model.graph.initializer
    )
    return model


def products_are_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """As torch's newer exporter keeps modules."""
    opsets = [item for item in model.opset_import if item.domain == ""]
    body = [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")]
    model.functions.append(helper.make_function("own.modules", "Linear", ["x", "w"], ["y"], body, opsets))
    model.opset_import.append(helper.make_opsetid("own.modules", 1))
    for node, _ in list(products(model)):
        node.op_type, node.domain = "Linear", "own.modules"
    model.ir_version = 8
    return model


def table_is_tied(model: onnx.ModelProto) -> onnx.ModelProto:
    """The table of tokens is multiplied by too, as a language model's head does, to add nothing to the logits."""
    gather = next(node for node in model.graph.node if node.op_type == "Gather" and "word" in node.input[0])
    table = gather.input[0]
    made = (
        helper.make_node("Transpose", [table], ["table_turned"], perm=[1, 0]),
        helper.make_node("MatMul", [gather.output[0], "table_turned"], ["words"]),
        helper.make_node("ReduceMean", ["words"], ["word"], keepdims=0),
        helper.make_node("Mul", ["word", "nought"], ["nothing"]),
        helper.make_node("Add", ["inner_logits", "nothing"], ["logits"]),
    )
    for node in model.graph.node:
        for position, name in enumerate(node.output):
            if name == "logits":
                node.output[position] = "inner_logits"
    model.graph.initializer.append(numpy_helper.from_array(np.array(0, dtype=np.float32), "nought"))
    put_nodes(model, [], last=made)
    return model


FORMS: list[Callable[[onnx.ModelProto], onnx.ModelProto]] = [
    as_it_is,
    constants_are_nodes,
    weights_are_turned,
    weights_pass_through,
    products_are_gemms,
    nodes_have_no_names,
    tokens_are_int32,
    without_segments,
    output_has_another_name,
    constants_are_inputs,
    products_are_functions,
    table_is_tied,
]
