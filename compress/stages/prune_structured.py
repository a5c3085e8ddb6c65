"""Remove the heads and neurons that matter least, then recover.

Use it after `distill`, on attention heads and feed-forward neurons: what is removed is really gone, so the model is
smaller and faster on any runtime, without sparse kernels. Costs a forward and backward pass over `score_rows` rows,
and the recovery's training.

```yaml
- {name: pruned, stage: prune_structured, teacher: teacher, heads: 0.5, ffn: 0.5, recover: {epochs: 1}}
```

Channels are removed through the dependency graph of torch-pruning (Fang et al. 2023, arXiv:2301.12900). First-order
Taylor scores: Molchanov et al. 2017 (arXiv:1611.06440) for neurons, Michel et al. 2019 (arXiv:1905.10650) for heads.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from compress.context import Context
from compress.errors import CompressError, InputError
from compress.models.architectures import ARCHITECTURES, Architecture, Shape
from compress.stages import Input, Stage, StageConfig
from compress.store import Artifact
from compress.training.config import DistillationConfig

if TYPE_CHECKING:
    import torch


class Recover(DistillationConfig):
    """The training after the cut."""

    epochs: float = Field(1.0, ge=0, le=10_000)
    """Passes over the training rows; 0 leaves the model as the cut made it."""


class Config(StageConfig):
    """What to remove, how to choose it, and how to recover."""

    heads: float = Field(0.5, ge=0, lt=1)
    """Fraction of attention heads removed in each layer."""
    ffn: float = Field(0.5, ge=0, lt=1)
    """Fraction of feed-forward neurons removed in each layer."""
    importance: Literal["taylor", "magnitude"] = "taylor"
    """Scores from gradients on training rows, or from the weights alone."""
    score_rows: int = Field(256, ge=1)
    """Training rows that the Taylor scores are taken from."""
    multiple_of: int = Field(8, ge=1)
    """Neurons kept are a multiple of this, which matrix kernels like."""
    recover: Recover = Recover()
    """The training after the cut."""


def run(*, model: Artifact, teacher: Artifact | None, config: Config, context: Context, out: Path) -> dict[str, Any]:
    """Score, cut, and train under the teacher (the model before the cut, where none is named)."""
    from compress.models.load import load_model, save_model
    from compress.models.reshape import model_shape
    from compress.models.tokenizer import copy_tokenizer, load_tokenizer
    from compress.training.loop import set_seed
    from compress.training.teacher import train_under_teacher

    set_seed(context.seed)
    network = load_model(model.path, context.task.hub_task, trust_remote_code=context.trust_remote_code)
    tokenizer = load_tokenizer(model.path)
    before = model_shape(network)
    assert before is not None  # checked by the plan
    after = shrink(before, config)
    scores = _scores(network.to(context.device), before, tokenizer, config, context)
    cut(network.cpu(), after, scores)
    facts: dict[str, Any] = {"heads": after.heads, "neurons": after.neurons}
    if config.recover.epochs > 0:
        facts |= train_under_teacher(network, tokenizer, teacher or model, config.recover, context, what="recovering")
    save_model(network, out)
    copy_tokenizer(model.path, out)
    return facts


def shrink(shape: Shape, config: Config) -> Shape:
    """The sizes after the cut.

    Raises:
        InputError: a layer would be left empty.
    """

    def kept(count: int, ratio: float, multiple: int, kind: str) -> int:
        exact = count * (1 - ratio)
        number = min(count, math.ceil(round(exact / multiple, 6)) * multiple) if multiple > 1 else round(exact)
        if number < 1:
            raise InputError(
                f"removing {ratio:.0%} of {count} {kind} leaves a layer empty",
                fix=f"remove at most {1 - 1 / count:.2f}",
            )
        return number

    return replace(
        shape,
        heads=tuple(kept(count, config.heads, 1, "heads") for count in shape.heads),
        neurons=tuple(kept(count, config.ffn, config.multiple_of, "neurons") for count in shape.neurons),
    )


def cut(model: Any, after: Shape, scores: "list[tuple[torch.Tensor, torch.Tensor]]") -> None:
    """Remove the lowest-scored heads and neurons of each layer, in place.

    Args:
        after: the sizes to reach.
        scores: for each layer, (heads,) and (neurons,).

    Raises:
        CompressError: the dependency graph ties a matrix to others than its layer's own.
    """
    import torch
    import torch_pruning as tp

    from compress.models.reshape import layers_of, set_heads
    from compress.ops.importance import least_important

    architecture = ARCHITECTURES[after.model_type]
    example = torch.ones(1, 8, dtype=torch.long)
    graph = None  # that graph does not follow matrices in which parts are stacked
    if len(architecture.stack("query")) == 1:
        graph = tp.DependencyGraph().build_dependency(
            model,
            example_inputs={"input_ids": example, "attention_mask": example},
            output_transform=lambda output: output.logits,
        )
    for layer, heads, neurons, (head_scores, neuron_scores) in zip(
        layers_of(model, architecture), after.heads, after.neurons, scores, strict=True
    ):
        size = after.head_size
        channels = [head * size + channel for head in least_important(head_scores, heads) for channel in range(size)]
        attention = ("query", "key", "value", "attention_output")
        _prune(graph, layer, architecture, attention, channels)
        _prune(
            graph, layer, architecture, (*architecture.neuron_parts, "down"), least_important(neuron_scores, neurons)
        )
        set_heads(layer, architecture, heads)


def _prune(graph: Any, layer: Any, architecture: Architecture, parts: tuple[str, ...], removed: list[int]) -> None:
    """Remove output channels of the first of `parts`, and what depends on them: exactly the other parts."""
    import torch_pruning as tp

    from compress.models.reshape import cut_stacked

    if not removed:
        return
    if graph is None:
        cut_stacked(layer, architecture, parts, removed)
        return
    modules = [layer.get_submodule(getattr(architecture, part)) for part in parts]
    group = graph.get_pruning_group(modules[0], tp.prune_linear_out_channels, idxs=removed)
    touched = {
        id(dependency.target.module): indices
        for dependency, indices in group
        if any(True for _ in dependency.target.module.parameters())
    }
    expected = {id(module): removed for module in modules}
    if touched != expected:
        raise CompressError(
            f"the model ties '{getattr(architecture, parts[0])}' to other matrices than its layer's own",
            fix="this variant of the architecture cannot be pruned",
        )
    group.prune()


def _scores(
    model: Any, shape: Shape, tokenizer: Any, config: Config, context: Context
) -> "list[tuple[torch.Tensor, torch.Tensor]]":
    """For each layer the scores of its heads (heads,) and neurons (neurons,)."""
    from compress.models.reshape import layers_of, weight_of
    from compress.ops.importance import Gate, magnitude

    architecture = ARCHITECTURES[shape.model_type]
    layers = layers_of(model, architecture)

    def part(layer: Any, name: str) -> Any:
        return layer.get_submodule(getattr(architecture, name))

    if config.importance == "magnitude":
        return [
            (
                magnitude(
                    [weight_of(layer, architecture, name) for name in ("query", "key", "value")]
                    + [part(layer, "attention_output").weight.T],
                    shape.head_size,
                ),
                magnitude(
                    [weight_of(layer, architecture, name) for name in architecture.neuron_parts]
                    + [part(layer, "down").weight.T],
                    1,
                ),
            )
            for layer in layers
        ]
    gates = [(Gate(part(layer, "attention_output"), shape.head_size), Gate(part(layer, "down"), 1)) for layer in layers]
    for batch in _scoring_batches(model, tokenizer, config, context):
        output = model(**batch)
        (output.loss * len(batch["labels"])).backward()  # the loss is a mean; the gates want a sum over rows
        for head_gate, neuron_gate in gates:
            head_gate.collect()
            neuron_gate.collect()
        model.zero_grad(set_to_none=True)
    return [(head_gate.close(), neuron_gate.close()) for head_gate, neuron_gate in gates]


def _scoring_batches(
    model: Any, tokenizer: Any, config: Config, context: Context
) -> Iterator[dict[str, "torch.Tensor"]]:
    import inspect

    import torch

    from compress.data.splits import sample
    from compress.training.loop import training_length

    accepted = set(inspect.signature(model.forward).parameters)
    chosen = sample(context.task.train, config.score_rows, context.seed)
    rows = context.task.encode(chosen, tokenizer, training_length(config.recover.train_length, context))
    rows.sort(key=lambda row: len(row["input_ids"]))
    for start in range(0, len(rows), config.recover.batch_size):
        part = rows[start : start + config.recover.batch_size]
        arrays = {name: array for name, array in tokenizer.pad(part).items() if name in accepted}
        batch = {name: torch.from_numpy(array).to(context.device) for name, array in arrays.items()}
        yield {**batch, "labels": torch.tensor([row["labels"] for row in part], device=context.device)}
        whole = min(config.score_rows, context.train_rows)
        context.progress("scoring heads and neurons", start + len(part), whole)


def _shape(config: Config, shapes: Mapping[str, Shape | None]) -> Shape | None:
    shape = shapes["model"]
    if shape is None:
        raise InputError(
            "this model cannot be pruned: the parts of its architecture are not known",
            fix=f"known: {', '.join(sorted(ARCHITECTURES))}",
        )
    return shrink(shape, config)


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("torch"), "teacher": Input("torch", optional=True)},
    output="torch",
    version=3,
    shape=_shape,
)
