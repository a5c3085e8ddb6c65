"""Remove the heads, neurons, hidden channels and layers that matter least, then recover.

Use it after `distill`: what is removed is really gone, so the model is smaller and faster on any runtime, without
sparse kernels. Costs, for each cut, a forward and backward pass over `score_rows` rows (one more for the hidden
channels), five forward passes where masks are tuned, as many as layers are left for each layer that goes; with
`min_speedup`, a minute or two of timing, most of it once a machine; and the training after and between the cuts.

```yaml
- {name: pruned, stage: prune_structured, teacher: teacher, heads: 0.5, ffn: 0.5, recover: {epochs: 1}}
```

Scores: first-order Taylor (Molchanov et al. 2017, arXiv:1611.06440; for heads Michel et al. 2019, arXiv:1905.10650);
empirical Fisher with mask rearrangement and mask tuning (Kwon et al. 2022, arXiv:2204.09656); norms of activations
and of weights (after Sun et al. 2024, arXiv:2306.11695); norms of weights alone. Layers go by what their absence does
to the outputs. `min_speedup` is the idea of ZipLM (Kurtic et al. 2023, arXiv:2302.04089). Gradual cuts follow Zhu &
Gupta 2017 (arXiv:1710.01878). Heads and neurons are removed through the dependency graph of torch-pruning (Fang et
al. 2023, arXiv:2301.12900).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from compress.context import Context, KnownStep
from compress.errors import InputError
from compress.models.architectures import ARCHITECTURES, Shape
from compress.models.sizes import check_whole, layers_left, narrower, shrink
from compress.recipe.schema import Target
from compress.stages import Input, Stage, StageConfig
from compress.store.artifacts import Artifact
from compress.training.config import Recover

if TYPE_CHECKING:
    from compress.ops.importance import LayerScores
    from compress.sizing.target_speedup import TargetSpeedup
    from compress.training.scoring import ScoreRows


class Config(StageConfig):
    """What to remove, how to choose it, and how to recover."""

    heads: float | None = Field(None, ge=0, lt=1)
    """Fraction of attention heads removed. Left out: 0.5, or what `min_speedup` takes."""
    ffn: float | None = Field(None, ge=0, lt=1)
    """Fraction of feed-forward neurons removed. Left out: 0.5, or what `min_speedup` takes."""
    layers: float = Field(0.0, ge=0, lt=1)
    """Fraction of whole layers removed: those whose absence changes the outputs least."""
    hidden: float = Field(0.0, ge=0, lt=1)
    """Fraction of the hidden states' channels removed, so that what is left is a multiple of a head's size too."""
    budget: Literal["uniform", "global"] = "uniform"
    """uniform: the same fractions in every layer. global: as many multiply-adds, wherever they lose least."""
    min_speedup: float | None = Field(None, gt=1)
    """Remove heads and neurons, wherever they lose least, until the model is so many times faster on `target`."""
    target: Target = Target()
    """Where `min_speedup` is to be reached: each size of a layer is timed there, once a machine."""
    importance: Literal["taylor", "fisher", "activation", "magnitude"] = "taylor"
    """Scores from gradients (taylor, fisher) or activations on training rows, or from the weights alone."""
    mask_tuning: bool = False
    """Rescale what is left of each layer to give what the whole one gave, by least squares; compare before you ship."""
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
    def _fits_together(self) -> "Config":
        if self.min_speedup is not None:
            ratio = next((name for name in ("heads", "ffn") if getattr(self, name) is not None), None)
            if ratio is not None or self.budget == "global":
                raise ValueError(f"min_speedup chooses the sizes itself; leave out {ratio or 'budget: global'}, or it")
            if self.hidden > 0:
                raise ValueError("min_speedup times layers of one width; remove 'hidden' in a step of its own, before")
            if self.target.runtime != "onnxruntime":
                raise ValueError(f"layers are timed with onnxruntime, not with target.runtime: {self.target.runtime}")
        chooses = "min_speedup" if self.min_speedup is not None else "budget: global"
        if (self.min_speedup is not None or self.budget == "global") and self.importance not in {"taylor", "fisher"}:
            raise ValueError(
                f"{chooses} ranks parts of different layers, which importance: {self.importance} cannot compare; "
                "take taylor or fisher"
            )
        return self


def run(*, model: Artifact, teacher: Artifact | None, config: Config, context: Context, out: Path) -> dict[str, Any]:
    """Score, cut, and train under the teacher; if none is named, under the model before the cut."""
    from compress.models.load import load_model, save_model
    from compress.models.reshape import model_shape
    from compress.models.tokenizer import copy_tokenizer, load_tokenizer
    from compress.ops.budget import cubic_shares
    from compress.sizing.target_speedup import TargetSpeedup
    from compress.training.loop import set_seed
    from compress.training.scoring import ScoreRows
    from compress.training.teacher import train_under_teacher

    set_seed(context.seed)
    network = load_model(model.path, context.task.hub_task, trust_remote_code=context.trust_remote_code)
    tokenizer = load_tokenizer(model.path)
    shape = model_shape(network)
    assert shape is not None  # checked by the plan
    speedup = None
    if config.min_speedup is not None:
        speedup = TargetSpeedup(network, shape, config.min_speedup, config.multiple_of, config.target, context)
    rows = ScoreRows(tokenizer, config.score_rows, config.recover, context)
    pruning = _Pruning(network, config, rows, shape, speedup, list(range(shape.layers)))
    facts: dict[str, Any] = {}
    history = []
    for number, share in enumerate(cubic_shares(config.cuts), 1):
        last = number == config.cuts
        training = config.recover if last else config.recover.model_copy(update={"epochs": config.cut_epochs})
        network.to(context.device)
        facts = pruning.cut(share, f" {number} of {config.cuts}" if config.cuts > 1 else "")
        if training.epochs > 0:
            what = "recovering" if last else f"recovering from cut {number} of {config.cuts}"
            facts |= train_under_teacher(network, tokenizer, teacher or model, training, context, what=what)
        history.append(facts)
    save_model(network.cpu(), out)
    copy_tokenizer(model.path, out)
    return facts | ({"cuts": history} if config.cuts > 1 else {})


@dataclass(frozen=True)
class _Pruning:
    """A network that is cut, in several cuts, to the sizes that the settings ask for.

    Attributes:
        before: the sizes before the first cut.
        speedup: the speed-up that the sizes must reach, where `min_speedup` decides.
        kept: the original layers that are left, counted from 0; the list gets shorter.
    """

    network: Any
    config: Config
    rows: "ScoreRows"
    before: Shape
    speedup: "TargetSpeedup | None"
    kept: list[int]

    def cut(self, share: float, name: str) -> dict[str, Any]:
        """Cut until `share` of all parts to remove is removed, and return facts.

        Args:
            name: the cut's name in the progress bar.
        """
        import copy

        from compress.models.cutting import cut
        from compress.models.reshape import model_shape
        from compress.training.mask_tuning import tune_masks
        from compress.training.scoring import score_layers

        facts = self._drop_layers(share, f"looking at layers{name}")
        facts |= self._narrow(share, name)
        shape = model_shape(self.network)
        assert shape is not None
        what = f"scoring heads and neurons{name}"
        scores = score_layers(self.network, shape, self.config.importance, self.rows, what)
        heads, neurons, timed = self._sizes(scores, share)
        facts |= timed
        removed = [
            (layer.heads.removed(kept_heads), layer.neurons.removed(kept_neurons))
            for layer, kept_heads, kept_neurons in zip(scores, heads, neurons, strict=True)
        ]
        device, whole = self.network.device, copy.deepcopy(self.network) if self.config.mask_tuning else None
        cut(self.network.cpu(), shape, removed)
        if whole is not None:
            facts |= tune_masks(self.network.to(device), whole, shape.head_size, self.rows, f"tuning masks{name}")
        return facts | {"heads": heads, "neurons": neurons}

    def _drop_layers(self, share: float, what: str) -> dict[str, Any]:
        from compress.models.reshape import keep_layers
        from compress.training.scoring import least_needed_layers

        count = len(self.kept) - layers_left(self.before.layers, self.config.layers, share)
        removed = least_needed_layers(self.network, count, self.rows, what)
        if not removed:
            return {"layers_kept": list(self.kept)}
        stay = [index for index in range(len(self.kept)) if index not in dict(removed)]
        keep_layers(self.network, stay)
        self.kept[:] = [self.kept[index] for index in stay]
        divergences = [round(divergence, 5) for _, divergence in removed]
        return {"layers_kept": list(self.kept), "layers_divergence": divergences}

    def _narrow(self, share: float, name: str) -> dict[str, Any]:
        from compress.models.reshape import model_shape
        from compress.training.narrowing import narrow_to_channels
        from compress.training.scoring import score_hidden

        shape = model_shape(self.network)
        assert shape is not None
        width = _width(self.before, self.config, share)
        if width < shape.hidden:
            importance, rows = self.config.importance, self.rows
            scores = score_hidden(self.network, shape, importance, rows, f"scoring hidden channels{name}")
            channels = sorted(set(range(shape.hidden)) - set(scores.removed(width)))
            narrow_to_channels(self.network, channels, lambda: rows.batches(self.network, f"fitting norms{name}"))
        return {"hidden": width}

    def _sizes(
        self, scores: "list[LayerScores]", share: float
    ) -> tuple[tuple[int, ...], tuple[int, ...], dict[str, float]]:
        """The heads and neurons to keep in each layer, and the facts of the timing that chose them."""
        if self.speedup is not None:
            if share < 1:
                return *self.speedup.sizes_at(scores, share), {}
            timed = self.speedup.reach(scores)
            return timed.heads, timed.neurons, timed.facts()
        with_kept_layers = self.before.with_layers(tuple(self.kept))
        uniform = _uniform(with_kept_layers, self.config, share)
        if self.config.budget == "uniform":
            return uniform.heads, uniform.neurons, {}
        from compress.ops.budget import sizes_of_cost

        multiple = self.config.multiple_of
        heads, neurons = sizes_of_cost(scores, with_kept_layers.head_size, multiple, uniform.heads, uniform.neurons)
        return tuple(heads), tuple(neurons), {}


def _width(shape: Shape, config: Config, share: float = 1.0) -> int:
    return narrower(shape.hidden, config.hidden * share, head_size=shape.head_size, multiple=config.multiple_of)


def _uniform(shape: Shape, config: Config, share: float = 1.0) -> Shape:
    """The sizes after `share` of a cut that takes the same fraction from each layer."""
    heads, neurons = (0.5 if ratio is None else ratio for ratio in (config.heads, config.ffn))
    return shrink(shape, heads=heads * share, neurons=neurons * share, multiple=config.multiple_of)


def _shape(config: Config, shapes: Mapping[str, Shape | None]) -> Shape | None:
    """The planned sizes after the cut; where scores choose the sizes of layers, the largest that each may have."""
    shape = shapes["model"]
    if shape is None:
        raise InputError(
            "this model cannot be pruned: the parts of its architecture are not known",
            fix=f"known: {', '.join(sorted(ARCHITECTURES))}",
        )
    check_whole(shape)
    _check_repeats(shape, config)
    count = layers_left(shape.layers, config.layers)
    equal = config.min_speedup is None and _uniform(shape, config)
    after = replace(equal if equal and config.budget == "uniform" else shape, hidden=_width(shape, config))
    if count < shape.layers:  # which layers go is not known yet
        heads, neurons = (max(after.heads),) * count, (max(after.neurons),) * count
        norms = after.attention_norms[:count]
        return replace(after, layers=count, heads=heads, neurons=neurons, attention_norms=norms)
    return after


def _check_repeats(shape: Shape, config: Config) -> None:
    """Refuse settings that treat layers apart, for a model whose layers are one.

    Raises:
        InputError: names the setting.
    """
    settings = {
        "min_speedup": config.min_speedup is not None,
        "budget: global": config.budget == "global",
        "mask_tuning": config.mask_tuning,
    }
    setting = next((name for name, is_set in settings.items() if is_set), None)
    if setting is not None and ARCHITECTURES[shape.model_type].repeats:
        raise InputError(
            f"{setting} gives each layer what is its own, and all layers of this {shape.model_type} model are one",
            fix=f"leave out {setting}; heads, ffn, hidden and layers say what is removed",
        )


def _times_on(config: Config) -> Target | None:
    """The target of the timing. It is no lambda, since a rehearsal sends the stage to another process."""
    return None if config.min_speedup is None else config.target


def _check(step: KnownStep) -> None:
    """Refuse a training whose teacher does not fit the model."""
    from compress.training.matching import check_lesson

    for training in (step.config.recover, *_trainings(step.config)):
        check_lesson(training, step)


def _trainings(config: Config) -> list[Recover]:
    """The training between cuts, and the one after the last."""
    between = [config.recover.model_copy(update={"epochs": config.cut_epochs})] if config.cuts > 1 else []
    return [training for training in (*between, config.recover) if training.epochs > 0]


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("torch"), "teacher": Input("torch", optional=True)},
    output="torch",
    version=7,
    tag="pruned",
    shape=_shape,
    teacher_role="teacher",
    check=_check,
    times_on=_times_on,
    trainings=_trainings,
)
