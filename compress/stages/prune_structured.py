"""Remove the heads, neurons and layers that matter least, then recover.

Use it after `distill`, on attention heads, feed-forward neurons and whole layers: what is removed is really gone, so
the model is smaller and faster on any runtime, without sparse kernels. Costs a forward and backward pass over
`score_rows` rows for each cut, two forward passes for each part of each layer where masks are tuned, as many as
layers are left for each layer that goes, and the training after and between the cuts.

```yaml
- {name: pruned, stage: prune_structured, teacher: teacher, heads: 0.5, ffn: 0.5, recover: {epochs: 1}}
```

Scores: first-order Taylor (Molchanov et al. 2017, arXiv:1611.06440; for heads Michel et al. 2019, arXiv:1905.10650);
empirical Fisher with mask rearrangement and mask tuning (Kwon et al. 2022, arXiv:2204.09656); norms of activations
and of weights (after Sun et al. 2024, arXiv:2306.11695); norms of weights alone. Layers go by what their absence does
to the outputs. Gradual cuts follow Zhu & Gupta 2017 (arXiv:1710.01878). Channels are removed through the dependency
graph of torch-pruning (Fang et al. 2023, arXiv:2301.12900).
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from compress.context import Context
from compress.errors import InputError
from compress.models.architectures import ARCHITECTURES, Shape
from compress.stages import Input, Stage, StageConfig
from compress.store import Artifact
from compress.training.config import DistillationConfig

if TYPE_CHECKING:
    from compress.ops.importance import LayerScores
    from compress.training.scoring import ScoreRows


class Recover(DistillationConfig):
    """The training after the cut."""

    epochs: float = Field(1.0, ge=0, le=10_000)
    """Passes over the training rows; 0 leaves the model as the cut made it."""


class Config(StageConfig):
    """What to remove, how to choose it, and how to recover."""

    heads: float = Field(0.5, ge=0, lt=1)
    """Fraction of attention heads removed."""
    ffn: float = Field(0.5, ge=0, lt=1)
    """Fraction of feed-forward neurons removed."""
    layers: float = Field(0.0, ge=0, lt=1)
    """Fraction of whole layers removed: those whose absence changes the outputs least."""
    budget: Literal["uniform", "global"] = "uniform"
    """uniform: the same fractions in every layer. global: as many multiply-adds, wherever they lose least."""
    importance: Literal["taylor", "fisher", "activation", "magnitude"] = "taylor"
    """Scores from gradients (taylor, fisher) or activations on training rows, or from the weights alone."""
    mask_tuning: Literal["auto", "always", "never"] = "auto"
    """Rescale what is left of each layer to give what the whole one gave. auto: where nothing is trained after."""
    score_rows: int = Field(256, ge=1)
    """Training rows that scores and mask tuning are taken from."""
    multiple_of: int = Field(8, ge=1)
    """Neurons kept are a multiple of this, which matrix kernels like."""
    cuts: int = Field(1, ge=1, le=100)
    """Cuts until all is removed, on a cubic schedule: much at first, less and less later; each is scored anew."""
    cut_epochs: float = Field(1.0, gt=0, le=10_000)
    """Passes over the training rows, as `recover` says them, after each cut but the last."""
    recover: Recover = Recover()
    """The training after the last cut."""

    @model_validator(mode="after")
    def _comparable(self) -> "Config":
        if self.budget == "global" and self.importance not in {"taylor", "fisher"}:
            raise ValueError(
                f"budget: global ranks parts of different layers, which importance: {self.importance} cannot compare; "
                "take taylor or fisher"
            )
        return self


def run(*, model: Artifact, teacher: Artifact | None, config: Config, context: Context, out: Path) -> dict[str, Any]:
    """Score, cut, and train under the teacher (the model before the cut, where none is named)."""
    from compress.models.load import load_model, save_model
    from compress.models.reshape import model_shape
    from compress.models.tokenizer import copy_tokenizer, load_tokenizer
    from compress.ops.budget import cubic_shares
    from compress.training.loop import set_seed
    from compress.training.scoring import ScoreRows
    from compress.training.teacher import train_under_teacher

    set_seed(context.seed)
    network = load_model(model.path, context.task.hub_task, trust_remote_code=context.trust_remote_code)
    tokenizer = load_tokenizer(model.path)
    rows = ScoreRows(tokenizer, config.score_rows, config.recover, context)
    before = model_shape(network)
    assert before is not None  # checked by the plan
    kept = list(range(before.layers))
    facts: dict[str, Any] = {"cuts": []}
    for number, share in enumerate(cubic_shares(config.cuts), 1):
        name = f" {number} of {config.cuts}" if config.cuts > 1 else ""
        last = number == config.cuts
        training = config.recover if last else config.recover.model_copy(update={"epochs": config.cut_epochs})
        tune = config.mask_tuning == "always" or (config.mask_tuning == "auto" and training.epochs == 0)
        cut_facts = _cut(network.to(context.device), before, kept, share, config, rows, name, tune=tune)
        what = "recovering" if last else f"recovering from cut{name}"
        if training.epochs > 0:
            cut_facts |= train_under_teacher(network, tokenizer, teacher or model, training, context, what=what)
        facts = {**cut_facts, "cuts": [*facts["cuts"], cut_facts]}
    save_model(network.cpu(), out)
    copy_tokenizer(model.path, out)
    if config.cuts == 1:
        del facts["cuts"]
    return facts


def _cut(
    network: Any,
    before: Shape,
    kept: list[int],
    share: float,
    config: Config,
    rows: "ScoreRows",
    name: str,
    *,
    tune: bool,
) -> dict[str, Any]:
    """One cut of the network, in place.

    Args:
        before: sizes before the first cut.
        kept: the layers that are left of those, counted from 0; changed in place.
        share: how much of what is to go is gone after this cut.
        name: of the cut, for the progress bar.
        tune: whether to rescale what is left.
    """
    import copy

    from compress.models.cutting import cut
    from compress.models.reshape import keep_layers, model_shape
    from compress.training.mask_tuning import tune_masks
    from compress.training.scoring import least_needed_layers, score_layers

    device = network.device
    gone = least_needed_layers(
        network, len(kept) - layers_left(before, config, share), rows, f"looking at layers{name}"
    )
    stay = [index for index in range(len(kept)) if index not in dict(gone)]
    facts: dict[str, Any] = {"layers_kept": [kept[index] for index in stay]}
    if gone:
        facts["layers_divergence"] = [round(divergence, 5) for _, divergence in gone]
        keep_layers(network, stay)
        kept[:] = facts["layers_kept"]
    shape = model_shape(network)
    assert shape is not None
    scores = score_layers(network, shape, config.importance, rows, f"scoring heads and neurons{name}")
    after = _sizes(before.with_layers(tuple(kept)), config, share, scores)
    removed = [
        (layer.heads.removed(heads), layer.neurons.removed(neurons))
        for layer, heads, neurons in zip(scores, after.heads, after.neurons, strict=True)
    ]
    whole = copy.deepcopy(network) if tune else None
    cut(network.cpu(), shape, removed)
    if whole is not None:
        facts |= tune_masks(network.to(device), whole, shape.head_size, rows, f"tuning masks{name}")
    return {**facts, "heads": after.heads, "neurons": after.neurons}


def _sizes(before: Shape, config: Config, share: float, scores: "list[LayerScores]") -> Shape:
    """The sizes after a cut; `before` and `share` are those of `_cut`, with the layers that are left."""
    uniform = shrink(before, config, share)
    if config.budget == "uniform":
        return uniform
    from compress.ops.budget import ladders, least_loss

    # in multiply-adds of one token by the width: four matrices hold a head's channels, two hold a neuron
    head_costs = {heads: 4 * before.head_size * heads for heads in range(1, max(before.heads) + 1)}
    multiples = range(config.multiple_of, max(before.neurons) + 1, config.multiple_of)
    neuron_costs = {neurons: 2 * neurons for neurons in (*multiples, *before.neurons)}
    allowed = sum(4 * before.head_size * heads for heads in uniform.heads) + 2 * sum(uniform.neurons)
    sizes = least_loss(ladders(scores, head_costs, neuron_costs), allowed)
    assert sizes is not None  # the uniform sizes are among them
    return replace(before, heads=tuple(sizes[::2]), neurons=tuple(sizes[1::2]))


def layers_left(shape: Shape, config: Config, share: float = 1.0) -> int:
    """Layers after a cut that removes `share` of what is to go.

    Raises:
        InputError: none would be left.
    """
    left = shape.layers - round(shape.layers * config.layers * share)
    if left < 1:
        raise InputError(
            f"removing {config.layers:.0%} of {shape.layers} layers leaves none",
            fix=f"remove at most {1 - 1 / shape.layers:.2f}",
        )
    return left


def shrink(shape: Shape, config: Config, share: float = 1.0) -> Shape:
    """The sizes of the layers after a cut that removes `share` of what is to go, the same part from each.

    Raises:
        InputError: a layer would be left empty.
    """

    def kept(count: int, ratio: float, multiple: int, kind: str) -> int:
        exact = count * (1 - ratio * share)
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


def _shape(config: Config, shapes: Mapping[str, Shape | None]) -> Shape | None:
    """The planned sizes: those after the cut, or as large as any layer's where scores choose which shrink how far."""
    shape = shapes["model"]
    if shape is None:
        raise InputError(
            "this model cannot be pruned: the parts of its architecture are not known",
            fix=f"known: {', '.join(sorted(ARCHITECTURES))}",
        )
    count = layers_left(shape, config)
    uniform = shrink(shape, config)
    if config.budget == "global":
        uniform = shape
    if count < shape.layers:  # which layers go is not known yet
        heads, neurons = (max(uniform.heads),) * count, (max(uniform.neurons),) * count
        return replace(uniform, layers=count, heads=heads, neurons=neurons)
    return uniform


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("torch"), "teacher": Input("torch", optional=True)},
    output="torch",
    version=4,
    shape=_shape,
)
