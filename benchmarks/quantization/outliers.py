"""A model with outlier channels that computes what another one does, and what `quantize_onnx_auto` makes of it."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from benchmarks.quantization.making import recipe_of, run_recipe
from compress.comparing.parity import compare
from compress.errors import CompressError
from compress.files.whole import file_sha256, fingerprint, new_folder
from compress.graphs.read import read_float_graph
from compress.models.tokenizer import copy_tokenizer, load_tokenizer
from compress.recipe.schema import Target
from compress.runtimes import load
from compress.store.artifacts import Artifact
from compress.tasks import Task

CHANNELS = 6
"""So many channels of each norm are made larger."""
FACTOR = 150.0
"""By so much. Language models have such features of up to 20 times the others' size (Dettmers et al. 2022,
arXiv:2208.07339, section 4). This small one bears more: plain int8 costs it about a point at 60 times."""


SAME = 1e-5
"""Logits that differ by less are those of the same model."""


def with_outliers(source: Artifact, folder: Path, task: Task) -> Artifact:
    """A float model of the same function whose norms write some channels many times larger.

    Scale and shift of each norm that a matrix reads are multiplied by the factor in the channels, the matrices' rows
    divided by it, and so is what else reads the norm: the residual stream.

    Args:
        task: of whose rows both models must say the same.

    Raises:
        CompressError: they do not.
    """
    key = fingerprint(["outliers", file_sha256(source.path / "model.onnx"), CHANNELS, FACTOR])
    out = folder / f"float-{key[:16]}"
    if not out.exists():
        graph = read_float_graph(source.path / "model.onnx")
        _scale_norms(graph)
        onnx.checker.check_model(graph)
        with new_folder(out) as part:
            onnx.save(graph, str(part / "model.onnx"))
            shutil.copyfile(source.path / "config.json", part / "config.json")
            copy_tokenizer(source.path, part)
    check_same(source.path, out, task)
    return Artifact(out, key, "onnx")


def check_same(before: Path, after: Path, task: Task) -> None:
    """Refuse a model with outliers that computes something else than the one without.

    Raises:
        CompressError: a logit of real rows differs by `SAME` or more.
    """
    first, second = (load(folder, Target(), task.hub_task) for folder in (before, after))
    found = compare(first, second, task, load_tokenizer(before))
    if not found.max_abs_difference < SAME:
        raise CompressError(
            f"the model with outliers is another one: logits of {found.rows} rows differ by up to "
            f"{found.max_abs_difference:.2g}, allowed is less than {SAME:.0e}",
            where=str(before),
            fix="lower FACTOR, or see which reader of a norm is not scaled back",
        )


def _scale_norms(model: onnx.ModelProto) -> None:
    """Do it in place; the channels of each norm are drawn at random."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    random = np.random.default_rng(0)
    nodes = []
    for norm in graph.node:
        nodes.append(norm)
        if norm.op_type != "LayerNormalization":
            continue
        readers = [node for node in graph.node if norm.output[0] in node.input]
        products = [node for node in readers if node.op_type in ("MatMul", "Attention") and node.input[1] in constants]
        if not products:
            continue
        scale = np.ones(constants[norm.input[1]].dims[0], dtype=np.float32)  # (channels,)
        scale[random.choice(len(scale), CHANNELS, replace=False)] = FACTOR
        for name in norm.input[1:3]:
            _multiply(constants[name], scale)
        for node in products:
            _multiply(constants[node.input[1]], 1 / scale[:, None])
        others = [node for node in readers if node not in products]
        if others:
            back, inverse = f"{norm.output[0]}_as_before", f"{norm.output[0]}_inverse"
            graph.initializer.append(numpy_helper.from_array(1 / scale, inverse))
            nodes.append(helper.make_node("Mul", [norm.output[0], inverse], [back]))
            for node in others:
                node.input[:] = [back if name == norm.output[0] else name for name in node.input]
    del graph.node[:]
    graph.node.extend(nodes)


def _multiply(tensor: onnx.TensorProto, by: np.ndarray[Any, Any]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * by, tensor.name))


def picked_by_auto(model: Artifact, runs_dir: Path, environment: Mapping[str, str]) -> Artifact:
    """What `quantize_onnx_auto`, which `compress quantize --auto` runs, picks for a model on two threads.

    Args:
        environment: variables of the process that times and picks.
    """
    recipe = recipe_of("r8")
    auto = {
        "name": "auto",
        "stage": "quantize_onnx_auto",
        "model": str(model.path.resolve()),
        "max_drop_pp": 0.5,
        "prefer": "latency",
        "target": Target().model_dump(),
    }
    recipe |= {"name": "quantization-outlier", "steps": [auto]}
    return run_recipe(recipe, runs_dir, ["auto"], environment)["auto"]
