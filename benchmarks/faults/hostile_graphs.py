"""ONNX graphs that never end, take all memory, or are not what they say.

Each is a small classifier whose logits go through what is hostile; its labels and its tokenizer are the small run's.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

from benchmarks.faults.cases import Case, Check, recipe, refused, small_run

IDS, FLOAT, BOOL, INT = "input_ids", TensorProto.FLOAT, TensorProto.BOOL, TensorProto.INT64
LIMIT = ["--max-call-s", "4"]
QUICK = ["--rounds", "1", "--samples", "1", "--warmup", "1", "--sequence-length", "16"]
QUANTIZERS: dict[str, dict[str, Any]] = {
    "dynamic": {"stage": "quantize_onnx_dynamic"},
    "static": {"stage": "quantize_onnx_static", "calibration_rows": 8},
    "4bit": {"stage": "quantize_onnx_4bit"},
    "fp16": {"stage": "quantize_onnx_fp16"},
    "skip": {"stage": "skip_unread_tokens"},
}
ENDLESS = "did not end in 4 s"

Nodes = tuple[list[onnx.NodeProto], dict[str, Any]]
"""Nodes that make `logits` of `plain`, (rows, 2), and constants that they read."""


def write_graph(folder: Path, nodes: Nodes, change: Callable[[onnx.ModelProto], None] = lambda _: None) -> Path:
    """A model's folder with such a graph.

    Args:
        change: what is done to the graph as a whole.
    """
    own, constants = nodes
    constants = {"weights": np.array([[0.1, -0.1]], np.float32), **constants}
    graph = helper.make_graph(
        [
            helper.make_node("Cast", [IDS], ["numbers"], to=FLOAT),
            helper.make_node("ReduceMean", ["numbers"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("MatMul", ["mean", "weights"], ["plain"], name="head"),
            *own,
        ],
        "hostile",
        [value(IDS, INT, ["rows", "tokens"])],
        [value("logits", FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("own", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    change(model)
    shutil.copytree(small_run() / "model", folder)
    (folder / "model.safetensors").unlink()
    config = (folder / "config.json").read_text(encoding="utf-8")
    labels = '"id2label": {"0": "bad", "1": "good"}, "label2id": {"bad": 0, "good": 1}'
    (folder / "config.json").write_text(config.replace("{", "{" + labels + ",", 1), encoding="utf-8")
    onnx.save(model, str(folder / "model.onnx"))
    return folder


def value(name: str, kind: int, shape: Sequence[int | str] | None) -> onnx.ValueInfoProto:
    """An input or an output."""
    return helper.make_tensor_value_info(name, kind, shape)


def loop(body: Sequence[onnx.NodeProto], *, shape: Sequence[int | str] | None = None) -> onnx.NodeProto:
    """A Loop without an end whose body makes `next` of `now`."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["on_and_on"]), *body],
        "body",
        [value("turn", INT, []), value("on", BOOL, []), value("now", FLOAT, shape)],
        [value("on_and_on", BOOL, []), value("next", FLOAT, shape)],
    )
    return helper.make_node("Loop", ["", "yes", "plain"], ["logits"], body=graph, name="round_and_round")


def endless() -> Nodes:
    """A Loop that does nothing for ever."""
    return [loop([helper.make_node("Add", ["now", "now"], ["next"])])], {"yes": True}


def endless_in_loops() -> Nodes:
    """A thousand million million turns, in two loops."""
    inner = loop([helper.make_node("Add", ["now", "now"], ["next"])])
    inner.input[0], inner.input[2], inner.output[0] = "many", "now", "next"
    outer = loop([inner])
    outer.input[0] = "many"
    return [outer], {"yes": True, "many": np.int64(3 * 10**7)}


def endless_if_long() -> Nodes:
    """A Loop without an end that only a long row gets to."""
    quiet = helper.make_graph(
        [helper.make_node("Identity", ["plain"], ["one"])], "short", [], [value("one", FLOAT, None)]
    )
    round_and_round = loop([helper.make_node("Add", ["now", "now"], ["next"])])
    loud = helper.make_graph([round_and_round], "long", [], [value("logits", FLOAT, None)])
    loud.node[0].output[0] = loud.output[0].name = "other"
    return [
        helper.make_node("Shape", [IDS], ["shape"]),
        helper.make_node("Gather", ["shape", "one_axis"], ["tokens_of"]),
        helper.make_node("Greater", ["tokens_of", "ten"], ["is_long"]),
        helper.make_node("If", ["is_long"], ["logits"], then_branch=loud, else_branch=quiet),
    ], {"yes": True, "one_axis": np.int64(1), "ten": np.int64(10)}


def doubling() -> Nodes:
    """What a Loop carries is twice as long after each turn."""
    return [loop([helper.make_node("Concat", ["now", "now"], ["next"], axis=0)])], {"yes": True}


def collecting() -> Nodes:
    """A Loop without an end that keeps a megabyte of each turn."""
    node = loop([helper.make_node("Identity", ["now"], ["next"])])
    body = node.attribute[0].g
    body.node.append(helper.make_node("Expand", ["now", "megabyte"], ["kept"]))
    body.output.append(value("kept", FLOAT, None))
    node.output.append("all")
    return [node], {"yes": True, "megabyte": np.array([130_000, 1, 2])}


def constant_of_shape() -> Nodes:
    """Forty gigabytes of zeros, which a runtime makes while it loads the graph."""
    return [
        helper.make_node("ConstantOfShape", ["large"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("Add", ["plain", "sum"], ["logits"]),
    ], {"large": np.array([100_000, 100_000])}


def tiled(op: str) -> Nodes:
    """Rows made a thousand million times as many, and summed again."""
    return [
        helper.make_node(op, ["plain", "large"], ["more"]),
        helper.make_node("ReduceMean", ["more"], ["mean_of_all"], keepdims=0),
        helper.make_node("Add", ["plain", "mean_of_all"], ["logits"]),
    ], {"large": np.array([10**9, 1] if op == "Tile" else [10**9, 1, 1])}


def looked_up() -> Nodes:
    """A table of three rows, for ids up to some dozens."""
    return [
        helper.make_node("Gather", ["table", IDS], ["rows_of_table"], name="word_embeddings"),
        helper.make_node("ReduceMean", ["rows_of_table"], ["mean_of_rows"], axes=[1], keepdims=0),
        helper.make_node("Add", ["plain", "mean_of_rows"], ["logits"]),
    ], {"table": np.ones((3, 2), np.float32)}


def through(op: str, *inputs: str, constants: dict[str, Any] | None = None, **settings: Any) -> Nodes:
    """One node that makes the logits."""
    return [helper.make_node(op, list(inputs), ["logits"], name="last", **settings)], constants or {}


def functions(levels: int, *, recursive: bool = False) -> Callable[[onnx.ModelProto], None]:
    """Local functions, each of which calls the one below it twice; or the last one itself."""

    def change(model: onnx.ModelProto) -> None:
        for level in range(levels):
            below = f"f{level - 1}" if level else "Identity"
            below = f"f{level}" if recursive else below
            domain = "own" if level or recursive else ""
            nodes = [
                helper.make_node(below, ["x"], ["y"], domain=domain),
                helper.make_node(below, ["y"], ["z"], domain=domain),
            ]
            opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
            model.functions.append(helper.make_function("own", f"f{level}", ["x"], ["z"], nodes, opsets))

    return change


def lying(dims: Sequence[int]) -> Callable[[onnx.ModelProto], None]:
    """Weights of eight bytes that say they have other dimensions."""

    def change(model: onnx.ModelProto) -> None:
        tensor = next(item for item in model.graph.initializer if item.name == "weights")
        del tensor.dims[:]
        tensor.dims.extend(dims)

    return change


def nested(levels: int) -> Nodes:
    """If in If in If, deeper than a stack."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["plain"], ["deep"])], "deepest", [], [value("deep", FLOAT, None)]
    )
    for level in range(levels):
        node = helper.make_node(
            "If", ["yes"], [f"o{level}"], then_branch=graph, else_branch=graph if not level else None
        )
        if level:
            node.attribute[-1].CopyFrom(helper.make_attribute("else_branch", _other(level)))
        graph = helper.make_graph([node], f"g{level}", [], [value(f"o{level}", FLOAT, None)])
    last = graph.node[0]
    last.output[0] = "logits"
    return [last], {"yes": True}


def _other(level: int) -> onnx.GraphProto:
    return helper.make_graph(
        [helper.make_node("Identity", ["plain"], [f"e{level}"])], f"e{level}", [], [value(f"e{level}", FLOAT, None)]
    )


def _renamed(model: onnx.ModelProto) -> None:
    model.graph.node[-1].name = "\x1b[2J\x1b[31mall is well\u202e"


def _not_a_number(model: onnx.ModelProto) -> None:
    tensor = next(item for item in model.graph.initializer if item.name == "weights")
    tensor.CopyFrom(numpy_helper.from_array(np.full((1, 2), np.nan, np.float32), "weights"))


def _from_the_future(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 9999


def _in_a_circle(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Add", ["plain", "circle"], ["circle"]))


def _asks_for_more(model: onnx.ModelProto) -> None:
    model.graph.input.append(value("password", INT, ["rows", "tokens"]))


PLAIN = through("Identity", "plain")
Change = Callable[[onnx.ModelProto], None]


def benched(name: str, nodes: Nodes, *words: str, change: Change = lambda _: None, command: str = "bench") -> Case:
    """A graph that `bench` or `compare` is asked to measure, beside one that is well."""

    def prepare(folder: Path) -> list[str]:
        write_graph(folder / "hostile", nodes, change)
        write_graph(folder / "well", PLAIN)
        shutil.copyfile(small_run() / "test.csv", folder / "test.csv")
        return [command, "well", "hostile", "--data", "test.csv", *QUICK, *LIMIT]

    def check(folder: Path, ended: Any) -> str | None:
        wrong = refused("'hostile' on", "failed", *words, code=1)(folder, ended)
        return wrong or (None if "well" in ended.stdout else "the other row was not measured")

    return Case(f"{name}, {command}", "graph", prepare, check if command == "bench" else refused(*words))


def stepped(name: str, nodes: Nodes, how: str, *words: str, change: Change = lambda _: None) -> Case:
    """A graph that a recipe's one step takes."""

    def prepare(folder: Path) -> list[str]:
        write_graph(folder / "hostile", nodes, change)
        shutil.copyfile(small_run() / "train.csv", folder / "train.csv")
        task = {"train": "train.csv", "columns": {"text": "text", "label": "label"}, "max_length": 32}
        content = recipe(
            name="hostile",
            task=task,
            steps=[{"name": "small", "model": "hostile", **QUANTIZERS[how]}],
            targets={},
            bench={"max_call_s": 4},
        )
        (folder / "hostile.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        return ["run", "hostile.yaml"]

    return Case(f"{name}, {how}", "graph", prepare, refused("'small'", *words))


def examined(name: str, nodes: Nodes, *words: str, change: Change = lambda _: None) -> Case:
    """A graph that `doctor` is asked about."""

    def prepare(folder: Path) -> list[str]:
        write_graph(folder / "hostile", nodes, change)
        return ["doctor", "hostile", "--threads", "1"]

    check: Check = refused(*words)
    return Case(f"{name}, doctor", "graph", prepare, check)


MEMORY = "memory"
CASES = [
    benched("endless loop", endless(), "no answer for"),
    benched("endless loop", endless(), "no answer for", command="compare"),
    benched("loops in loops", endless_in_loops(), ""),
    benched("endless loop for long rows", endless_if_long(), "no answer for"),
    stepped("endless loop", endless(), "dynamic", ENDLESS),
    stepped("endless loop", endless(), "static", ENDLESS),
    stepped("endless loop", endless(), "4bit", ENDLESS),
    stepped("endless loop", endless(), "skip", ENDLESS),
    stepped("endless loop for long rows", endless_if_long(), "dynamic", ENDLESS),
    examined("endless loop", endless(), "did not end in"),
    benched("doubling", doubling(), ""),
    stepped("doubling", doubling(), "dynamic", "graph"),
    benched("collecting", collecting(), ""),
    stepped("collecting", collecting(), "4bit", ""),
    benched("forty gigabytes of zeros", constant_of_shape(), MEMORY),
    stepped("forty gigabytes of zeros", constant_of_shape(), "dynamic", MEMORY),
    examined("forty gigabytes of zeros", constant_of_shape(), MEMORY),
    benched("tiled", tiled("Tile"), ""),
    stepped("expanded", tiled("Expand"), "static", "graph"),
    benched("ids beyond the table", looked_up(), "out of data bounds", "word_embeddings"),
    stepped("ids beyond the table", looked_up(), "dynamic", "out of data bounds", "word_embeddings"),
    stepped("ids beyond the table", looked_up(), "fp16", "out of data bounds", "word_embeddings"),
    benched("a bomb of functions", through("f30", "plain", domain="own"), "", change=functions(31)),
    stepped("a bomb of functions", through("f30", "plain", domain="own"), "dynamic", "", change=functions(31)),
    benched(
        "a function that calls itself", through("f0", "plain", domain="own"), "", change=functions(1, recursive=True)
    ),
    stepped(
        "a function that calls itself",
        through("f0", "plain", domain="own"),
        "dynamic",
        "",
        change=functions(1, recursive=True),
    ),
    benched("branches below branches", nested(150), ""),
    stepped("branches below branches", nested(150), "dynamic", ""),
    benched("giant dimensions", PLAIN, "", change=lying([2**40, 2**40])),
    stepped("giant dimensions", PLAIN, "4bit", "of memory", change=lying([2**31, 2**31])),
    stepped("negative dimensions", PLAIN, "dynamic", "", change=lying([-1, 2])),
    benched(
        "no rows", through("Slice", "plain", "none", "none", constants={"none": np.array([0])}), "logits of (batch"
    ),
    benched("one class of two", through("ReduceMean", "plain", axes=[0, 1], keepdims=1), "2 labels"),
    benched("whole numbers", through("Cast", "plain", to=INT), "logits"),
    benched("words", through("Cast", "plain", to=TensorProto.STRING), "logits"),
    benched("three classes", through("Concat", "plain", "mean", axis=1), "2 labels"),
    benched("not a number", PLAIN, "finite", change=_not_a_number),
    benched("operators of the future", PLAIN, "9999", change=_from_the_future),
    benched("a circle", PLAIN, "", change=_in_a_circle),
    stepped("a circle", PLAIN, "dynamic", "", change=_in_a_circle),
    benched("an unknown operator", through("Detonate", "plain", domain="own"), "Detonate"),
    benched("asks for a password", PLAIN, "'password'", change=_asks_for_more),
    benched(
        "control characters",
        through("Reshape", "plain", "shape", constants={"shape": np.array([7, 7])}),
        "\\x1b[2J",
        change=_renamed,
    ),
]
