"""Train a model with the rounding of the ONNX graph that it becomes, then write that graph with the scales it learned.

Use it where rounding alone loses what you cannot spare, as with outliers among the weights of a 4-bit block. Where it
loses nothing, as with most students, there is nothing to win: try the quantizers without a training first. It reads a
torch model, trains it shortly under the teacher while weights and activations are rounded as ONNX Runtime will round
them, and gives the quantized ONNX graph, as large and as fast as those of `quantize_onnx_dynamic`,
`quantize_onnx_static` or `quantize_onnx_4bit`. Costs a training, each epoch 1.3 (int4) to 1.8 (int8_static) times as
long as one in float, and two exports. The manifest says how far the graph's outputs are from those of the network as
it was trained (`as_trained`), and how far the scales went (`scales`).

```yaml
- {name: int4, stage: quantize_onnx_trained, model: student, teacher: teacher, scheme: int4, recover: {epochs: 2}}
```

Schemes: `int8_dynamic`, where the range of activations is found in each call (in training for each text alone, without
padding, as a deployed graph that answers one text at a time finds it); `int8_static`, where ranges are learned, from
those of least squared error on training rows; `int4`, weights in blocks. Weights keep their float values beneath, and
get the gradient as if they were not rounded (straight-through, Bengio et al. 2013, arXiv:1308.3432). Scales are learned
as in LSQ (Esser et al. 2020, arXiv:1902.08153), the zero points of ranges as in LSQ+ (Bhalgat et al. 2020,
arXiv:2004.09576), both by their logarithm or share, which suits AdamW (Jain et al. 2020, arXiv:1903.08066). With
`recover: {epochs: 0}` the graph is the one that rounding to nearest gives.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from compress.context import Context, KnownStep
from compress.errors import InputError, did_you_mean
from compress.facts import Quantization
from compress.machine.processor import instruction_sets, saturates
from compress.recipe.schema import Target
from compress.stages import Input, Names, Stage, StageConfig, refuse_idle_settings, settle_range
from compress.store.artifacts import Artifact
from compress.training.config import RecoverRounded

if TYPE_CHECKING:
    import onnx

    from compress.training.fake_quantization import ActivationRange, FakeQuantization, WeightGrid

BITS = 4
"""Bits of a weight in the scheme that has blocks."""
COMPARED_ROWS = 16
"""Held-back rows on which the graph is compared with the network as it was trained."""


class Config(StageConfig):
    """How to round, and how to train with it."""

    scheme: Literal["int8_dynamic", "int8_static", "int4"] = "int8_static"
    """Which graph it becomes: that of quantize_onnx_dynamic, quantize_onnx_static or quantize_onnx_4bit."""
    recover: RecoverRounded = RecoverRounded()
    """The training."""
    calibration_rows: int = Field(256, ge=1)
    """Training rows from which ranges start, for int8_static."""
    block_size: Literal[16, 32, 64, 128, 256] = 128
    """At most so many weights share a scale, for int4; see quantize_onnx_4bit."""
    symmetric: bool = True
    """Scales only; otherwise a zero point for each block too, for int4."""
    accuracy_level: Literal[0, 1, 4] = 0
    """Arithmetic of the products, for int4: 1 float, 4 int8, 0 the kernel's own choice; see quantize_onnx_4bit."""
    reduce_range: bool | None = None
    """Use 7 of the 8 bits for weights, so that AVX2 cannot saturate. Left out: as this processor needs it."""
    embeddings: bool = True
    """Round tables of embeddings too; for int4 those of less than 1,024 rows to 8 bits."""
    keep_float: Names = ()
    """Names of the torch model's layers that are not rounded."""
    min_agreement: float = Field(0.8, ge=0, le=1)
    """Fail if fewer rows than this share keep the best class that the model gave them before, or if Cohen's kappa, the
    agreement beyond chance, is less than half of it."""
    tolerance: float | None = Field(None, gt=0)
    """Largest difference of the graph's outputs from those of the network as it was trained, on a row of the middle, as
    a share of the largest output. Left out: 0.05; where activations are not rounded 0.001."""

    @model_validator(mode="after")
    def _fits_the_scheme(self) -> "Config":
        settings_of_scheme = {
            "int4": ("block_size", "symmetric", "accuracy_level"),
            "int8_static": ("calibration_rows",),
        }
        for scheme, names in settings_of_scheme.items():
            refuse_idle_settings(self, "scheme", {} if scheme == self.scheme else dict.fromkeys(names, scheme))
        if self.scheme == "int4":
            refuse_idle_settings(self, "scheme", {"reduce_range": "int8_static"})
        return self


def run(*, model: Artifact, teacher: Artifact | None, config: Config, context: Context, out: Path) -> Quantization:
    """Export, train with the graph's rounding, export again, and write that in few bits."""
    from compress.comparing.as_trained import EXACT, ROUNDED, differences, logits_of
    from compress.comparing.held_back import held_back
    from compress.models.load import load_model, save_model
    from compress.models.tokenizer import copy_tokenizer, load_tokenizer
    from compress.quantizing.write_and_gate import gate_rounded
    from compress.runtimes import load
    from compress.training.loop import set_dropout, set_seed
    from compress.training.teacher import train_under_teacher

    set_seed(context.seed)
    network = load_model(model.path, context.task.hub_task, trust_remote_code=context.trust_remote_code)
    tokenizer = load_tokenizer(model.path)
    with tempfile.TemporaryDirectory(dir=context.work) as scratch:
        before, trained = Path(scratch) / "before", Path(scratch) / "trained"
        fake = _fake_quantization(network, _export(model.path, before, config, context), before, config, context)
        fake.attach(network)
        facts: dict[str, Any] = {}
        if config.recover.epochs > 0:
            set_dropout(network, config.recover.dropout)
            what = "training with rounding"
            facts = train_under_teacher(network, tokenizer, teacher or model, config.recover, context, what=what)
        rows = held_back(context.task, tokenizer, COMPARED_ROWS).inputs
        network_outputs = logits_of(network.cpu().eval(), rows)
        fake.detach(network)
        save_model(network, trained)
        copy_tokenizer(model.path, trained)
        graph = _export(trained, Path(scratch) / "after", config, context)
        scales = fake.facts()
        _write(graph, network, fake, config)
        quantized = gate_rounded(graph, before, config.min_agreement, context, out)
        predictor = load(out, Target(runtime="onnxruntime"), context.task.hub_task)
        differs = differences(network_outputs, [predictor(row) for row in rows])
        is_exact = config.scheme == "int4" and config.accuracy_level != 4
        cut_off = config.reduce_range is False and saturates(instruction_sets())
        differs.check(config.tolerance or (EXACT if is_exact else ROUNDED), cut_off=cut_off)
        return quantized.model_copy(update={**facts, "scales": scales, "as_trained": differs.facts()})


def _export(source: Path, folder: Path, config: Config, context: Context) -> "onnx.ModelProto":
    """The float graph of a torch model, in the form that is rounded; `folder` gets the files of an artifact."""
    from compress.export.export import export
    from compress.graphs.matrices import fits_8_bits, gemms_to_matmuls
    from compress.graphs.read import read_float_graph, split_attention
    from compress.models.files import copy_config_and_tokenizer
    from compress.models.load import load_model

    folder.mkdir()
    eager = load_model(
        source, context.task.hub_task, attention="eager", trust_remote_code=context.trust_remote_code
    )  # which onnxruntime fuses
    export(eager, folder / "model.onnx")
    copy_config_and_tokenizer(source, folder)
    graph = read_float_graph(folder / "model.onnx")
    if config.scheme == "int4":
        split_attention(graph)
    else:
        split_attention(graph, fits_8_bits)
    gemms_to_matmuls(graph)
    return graph


def _fake_quantization(
    network: Any, graph: "onnx.ModelProto", folder: Path, config: Config, context: Context
) -> "FakeQuantization":
    """The fake quantization of the network, which rounds as the graph will."""
    from compress.export.layers_in_graph import layers_of_products, layers_of_tables
    from compress.training.fake_quantization import FakeQuantization

    products = layers_of_products(graph, network)
    linears = {name for names in products.values() for name in names}
    layers = linears | (set(layers_of_tables(graph, network).values()) if config.embeddings else set())
    for name in sorted(set(config.keep_float) - layers):
        raise InputError(f"keep_float names '{name}', which is no layer here", fix=did_you_mean(name, sorted(layers)))
    for names in products.values():
        if len(set(names) - set(config.keep_float)) not in (0, len(names)):
            raise InputError(
                f"keep_float names some of {', '.join(names)}, which are one matrix in the graph",
                fix="name all of them, or none",
            )
    rounded = [name for name, _ in network.named_modules() if name in layers - set(config.keep_float)]
    ranges = _ranges(graph, products, folder, config, context) if config.scheme == "int8_static" else {}
    return FakeQuantization(
        {name: _grid(network.get_submodule(name), config) for name in rounded},
        {name: ends for name, ends in ranges.items() if name in rounded},
        blocks=config.scheme == "int4" and config.accuracy_level == 4,
        dynamic=config.scheme == "int8_dynamic",
        learning_rate=config.recover.scale_learning_rate,
    )


def _grid(layer: Any, config: Config) -> "WeightGrid":
    """The grid that a layer's weights are rounded to."""
    import torch

    from compress.graphs.embedding_tables import worth_4_bits
    from compress.ops.blockwise import fitting_size
    from compress.ops.int8 import largest_code
    from compress.training.fake_quantization import WeightGrid

    weights = layer.weight.detach().numpy()
    is_table = isinstance(layer, torch.nn.Embedding)
    if config.scheme == "int4" and (not is_table or worth_4_bits(*weights.shape)):
        fitting = fitting_size(weights.shape[1], BITS, config.block_size, 0 if config.symmetric else BITS)
        size = config.block_size if is_table else fitting
        return WeightGrid.of_blocks(weights, BITS, size, symmetric=config.symmetric)
    if is_table:
        return WeightGrid.of_table(weights)
    return WeightGrid.of_columns(weights, largest_code(reduce_range=config.reduce_range is not False))


def _ranges(
    graph: "onnx.ModelProto", products: dict[str, tuple[str, ...]], folder: Path, config: Config, context: Context
) -> "dict[str, ActivationRange]":
    """The range of each Linear's inputs, by the layer's name; layers that read the same tensor share a range."""
    from scipy.cluster.hierarchy import DisjointSet

    from compress.comparing.activations import calibration_batches
    from compress.graphs.matrices import matrices
    from compress.models.tokenizer import load_tokenizer
    from compress.quantizing.calibration import ranges_of
    from compress.training.fake_quantization import ActivationRange

    every = matrices(graph, attention=True)
    batches = calibration_batches(context, load_tokenizer(folder), config.calibration_rows)
    measured_ranges = ranges_of(graph, sorted({product.reads for product in every}), batches, context, "mse")
    together = DisjointSet([("reads", name) for name in measured_ranges])
    for product in every:
        for name in products[product.name]:
            together.add(("linear", name))
            together.merge(("reads", product.reads), ("linear", name))
    range_of_linear = {}
    for group in together.subsets():
        lows, highs = zip(*(measured_ranges[name] for kind, name in group if kind == "reads"), strict=True)
        one = ActivationRange(min(lows), max(highs))
        range_of_linear.update({name: one for kind, name in group if kind == "linear"})
    return range_of_linear


def _write(graph: "onnx.ModelProto", network: Any, fake: "FakeQuantization", config: Config) -> None:
    """Round the graph of the trained network, in place, with the learned scales."""
    import numpy as np

    from compress.export.layers_in_graph import layers_of_products, layers_of_tables
    from compress.graphs.embedding_tables import tables, tables_to_4_bits, tables_to_8_bits
    from compress.graphs.matrices import matrices
    from compress.graphs.write_blocks import put_blocks
    from compress.graphs.write_int8 import put_int8
    from compress.ops.int8 import Rounded

    grids = fake.weights()
    weights = {name: network.get_submodule(name).weight.detach() for name in grids}
    of_products = layers_of_products(graph, network)
    products = [product for product in matrices(graph, attention=True) if of_products[product.name][0] in grids]
    if config.scheme == "int4":
        blocks = {product.name: of_products[product.name][0] for product in products}
        rounded_blocks = {name: grids[layer].blocks(weights[layer]) for name, layer in blocks.items()}
        put_blocks(graph, rounded_blocks, products, BITS, config.accuracy_level)
    else:
        eights = {}
        for name in {product.name for product in products}:
            parts = [grids[layer].rounded(weights[layer]) for layer in of_products[name]]
            codes, scales = zip(*parts, strict=True)
            eights[name] = Rounded(np.concatenate(codes, 1), np.concatenate(scales))
        ranges = None
        if config.scheme == "int8_static":
            ranges = {product.reads: fake.input_range(of_products[product.name][0]).ends() for product in products}
        put_int8(graph, products, eights, ranges)
    if not config.embeddings:
        return
    of_tables = layers_of_tables(graph, network)
    float_tables = [table.node.name for table in tables(graph) if of_tables[table.node.input[0]] not in grids]
    rounded_tables = {name: layer for name, layer in of_tables.items() if layer in grids}
    large = {
        name: grids[layer].blocks(weights[layer]) for name, layer in rounded_tables.items() if grids[layer].block_size
    }
    small = {name: grids[layer].rounded(weights[layer]) for name, layer in rounded_tables.items() if name not in large}
    if large:
        tables_to_4_bits(graph, config.block_size, symmetric=config.symmetric, unchanged=float_tables, rounded=large)
    tables_to_8_bits(graph, float_tables, small)


def _settle(config: Config, isa: Any) -> Config:
    settled: Config = config if config.scheme == "int4" else settle_range(config, isa)
    return settled


def _check(step: KnownStep) -> None:
    """Refuse a training whose teacher does not fit the model."""
    from compress.training.matching import check_lesson

    check_lesson(step.config.recover, step)


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("torch"), "teacher": Input("torch", optional=True)},
    output="onnx",
    version=2,
    tag="quantized",
    facts=Quantization,
    teacher_role="teacher",
    check=_check,
    settle=_settle,
)
