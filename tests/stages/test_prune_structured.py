"""prune_structured on tiny models of each family: which parts go, and what is done to those that stay."""

import copy
import itertools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from compress.context import Context
from compress.errors import CompressError, InputError
from compress.models.architectures import ARCHITECTURES, Shape, read_shape
from compress.models.config_file import read_config
from compress.models.cutting import cut, part
from compress.models.load import load, save_model
from compress.models.reshape import layers_of, model_shape
from compress.models.tokenizer import copy_tokenizer, load_tokenizer
from compress.planning.planner import make_plan
from compress.recipe.validation import Origin
from compress.sizing.layer_latency import LayerLatency, write_table
from compress.sizing.layer_timing import LayerTimer
from compress.stages import prune_structured
from compress.store.artifacts import Artifact
from compress.training.config import DistillationConfig
from compress.training.mask_tuning import _Stream, tune_masks
from compress.training.scoring import ScoreRows, least_needed_layers, score_hidden, score_layers
from tests.chain import FAST, Chain, Silent, chain_recipe
from tests.families import FAMILIES, POSITIONED
from tests.latencies import predicted_ms

SLOWLY_POSITIONED = [pytest.param(family, marks=pytest.mark.slow) for family in POSITIONED]
QUICK = ("bert", "distilbert", "modernbert")


def scored(first: str, *others: str) -> list[Any]:
    """Every family by the first importance and bert by all, by default; what an importance is knows of no family."""
    slow = pytest.mark.slow
    by_first = [*(pytest.param(family, first) for family in QUICK), *(pytest.param("bert", name) for name in others)]
    pairs = itertools.product(("bert", "distilbert", "modernbert", "roberta", "electra"), (first, *others))
    rest = [pair for pair in pairs if pair[0] != "bert" and (pair[0] not in QUICK or pair[1] != first)]
    return [*by_first, *(pytest.param(*pair, marks=slow) for pair in rest)]


@pytest.fixture
def classifier(
    make_classifier: Callable[..., Any], make_model: Callable[..., Path], tmp_path: Path
) -> Callable[[str], Artifact]:
    def make(family: str) -> Artifact:
        folder = tmp_path / family
        save_model(make_classifier(family), folder)
        copy_tokenizer(make_model(family), folder)
        return Artifact(folder, "1" * 64, "torch")

    return make


@pytest.fixture(scope="module")
def task(make_model: Callable[..., Path], reviews: Path) -> Any:
    return make_plan(chain_recipe(make_model(), reviews), Origin()).task


@pytest.fixture
def context(task: Any, tmp_path: Path) -> Context:
    def cached(name: str, _: Any, inputs: Mapping[str, str], make: Callable[[Path], Any]) -> Artifact:
        folder = tmp_path / name
        if not folder.is_dir():
            folder.mkdir()
            make(folder)
        return Artifact(folder, "2" * 64, "arrays")

    return Context(task, 0, "cpu", False, tmp_path / "work", Silent().progress, cached)


@pytest.fixture
def prune(context: Context, tmp_path: Path) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Prunes an artifact, and gives the model and the facts."""

    def run(artifact: Artifact, **settings: Any) -> tuple[Any, dict[str, Any]]:
        config = prune_structured.Config.model_validate({"recover": {"epochs": 0}, **settings})
        out = tmp_path / "out"
        facts = prune_structured.run(model=artifact, teacher=None, config=config, context=context, out=out)
        assert load_tokenizer(out) is not None
        return load(out), facts

    return run


def _rows(artifact: Artifact, context: Context, count: int = 16) -> ScoreRows:
    return ScoreRows(load_tokenizer(artifact.path), count, DistillationConfig(batch_size=8), context)


def _logits(model: Any, rows: ScoreRows) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([model(**batch).logits for batch in rows.batches(model, "looking")])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_global_budget_costs_what_a_uniform_one_does_and_loses_less(
    family: str, classifier: Callable[[str], Artifact], prune: Callable[..., Any], context: Context
) -> None:
    artifact = classifier(family)
    rows = _rows(artifact, context)
    network = load(artifact.path)
    before = model_shape(network)
    assert before is not None
    scores = score_layers(network, before, "taylor", rows, "scoring")
    settings = {"heads": 0.5, "ffn": 0.5, "score_rows": 16}
    pruned, facts = prune(artifact, budget="global", **settings)
    after = model_shape(pruned)
    assert after is not None
    assert (facts["heads"], facts["neurons"]) == (after.heads, after.neurons)
    # a head is four matrices of 8 channels, a neuron is two of one
    assert 4 * 8 * sum(after.heads) + 2 * sum(after.neurons) == 4 * 8 * 4 + 2 * 64
    assert min(after.heads) >= 1
    assert {neurons % 8 for neurons in after.neurons} == {0}

    def lost(heads: tuple[int, ...], neurons: tuple[int, ...]) -> float:
        parts = [(layer.heads.scores, kept) for layer, kept in zip(scores, heads, strict=True)]
        parts += [(layer.neurons.scores, kept) for layer, kept in zip(scores, neurons, strict=True)]
        return sum(float(values.sort().values[: len(values) - kept].sum()) for values, kept in parts)

    assert lost(after.heads, after.neurons) <= lost((2, 2), (32, 32))


@pytest.mark.parametrize("family", [*FAMILIES, "mpnet", "deberta-v3"])
def test_unequal_layers_give_what_the_model_gives_with_their_lost_parts_masked(
    family: str, classifier: Callable[[str], Artifact], prune: Callable[..., Any], context: Context
) -> None:
    artifact = classifier(family)
    rows = _rows(artifact, context)
    masked = load(artifact.path)
    before = model_shape(masked)
    assert before is not None
    scores = score_layers(masked, before, "fisher", rows, "scoring")
    pruned, facts = prune(artifact, importance="fisher", budget="global", score_rows=16)
    architecture = ARCHITECTURES[before.model_type]
    sizes = zip(scores, facts["heads"], facts["neurons"], layers_of(masked, architecture), strict=True)
    for layer_scores, heads, neurons, layer in sizes:
        with torch.no_grad():
            for head in layer_scores.heads.removed(heads):
                part(layer, architecture, "attention_output").weight[:, head * 8 : (head + 1) * 8] = 0
            part(layer, architecture, "down").weight[:, layer_scores.neurons.removed(neurons)] = 0
    assert torch.allclose(_logits(pruned, rows), _logits(masked, rows), atol=1e-4)
    assert not torch.allclose(_logits(pruned, rows), _logits(load(artifact.path), rows), atol=1e-2)


@pytest.mark.parametrize("family", [*FAMILIES, *SLOWLY_POSITIONED])
def test_a_layer_that_does_nothing_is_the_one_that_goes(
    family: str, classifier: Callable[[str], Artifact], prune: Callable[..., Any], context: Context
) -> None:
    artifact = classifier(family)
    network = load(artifact.path)
    architecture = ARCHITECTURES[network.config.model_type]
    with torch.no_grad():  # what a layer adds is nothing; its norms keep what comes in, which is normed already
        for name in ("attention_output", "down"):
            for parameter in part(layers_of(network, architecture)[1], architecture, name).parameters():
                parameter.zero_()
    save_model(network, artifact.path)
    rows = _rows(artifact, context)
    ((index, divergence),) = least_needed_layers(network, 1, rows, "looking")
    assert index == 1
    assert divergence == pytest.approx(0, abs=1e-6)
    pruned, facts = prune(artifact, layers=0.5, heads=0, ffn=0, score_rows=16)
    assert facts["layers_kept"] == [0]
    assert torch.allclose(_logits(pruned, rows), _logits(network, rows), atol=1e-4)
    shape = read_shape(read_config(Path(pruned.name_or_path)))
    assert shape is not None
    assert shape.layers == 1


def test_the_divergence_of_a_skipped_layer_is_that_of_the_outputs(
    classifier: Callable[[str], Artifact], prune: Callable[..., Any], context: Context
) -> None:
    artifact = classifier("bert")
    rows = _rows(artifact, context)
    pruned, facts = prune(artifact, layers=0.5, heads=0, ffn=0, score_rows=16)
    whole, short = (_logits(model, rows).double().log_softmax(dim=-1) for model in (load(artifact.path), pruned))
    expected = (whole.exp() * (whole - short)).sum(dim=-1).mean().item()
    assert facts["layers_divergence"] == [pytest.approx(expected, abs=2e-5)]


@pytest.mark.parametrize(("family", "importance"), scored("taylor", "fisher", "activation"))
def test_a_part_that_nothing_reads_is_removed_first(
    importance: str, family: str, classifier: Callable[[str], Artifact], context: Context
) -> None:
    artifact = classifier(family)
    network = load(artifact.path)
    shape = model_shape(network)
    assert shape is not None
    architecture = ARCHITECTURES[shape.model_type]
    with torch.no_grad():
        part(layers_of(network, architecture)[1], architecture, "attention_output").weight[:, 8:16] = 0
        part(layers_of(network, architecture)[0], architecture, "down").weight[:, [3, 5]] = 0
    scores = score_layers(network, shape, importance, _rows(artifact, context), "scoring")
    assert scores[1].heads.removed(3) == [1]
    assert scores[0].neurons.removed(62) == [3, 5]
    assert len(scores[0].heads.removed(1)) == 3


@pytest.mark.parametrize("family", FAMILIES)
def test_what_masks_are_fitted_to_stands_after_the_residual_connections(
    family: str, classifier: Callable[[str], Artifact], context: Context
) -> None:
    artifact = classifier(family)
    network = load(artifact.path)
    architecture = ARCHITECTURES[network.config.model_type]
    layers = layers_of(network, architecture)
    after = {"distilbert": "output_layer_norm", "modernbert": None}.get(family, "output.LayerNorm")
    with torch.no_grad():
        batch = next(iter(_rows(artifact, context).batches(network, "looking")))
        stream = _Stream.begin(network, layers, batch)
        for index, layer in enumerate(layers):
            stream.advance_original(index, layer, architecture)
            hidden = stream.targets["down"]
            given = hidden if after is None else layer.get_submodule(after)(hidden)
            assert torch.allclose(given, stream.original_hidden[stream.real], atol=1e-5)


@pytest.mark.parametrize("family", [*FAMILIES, *SLOWLY_POSITIONED])
def test_tuned_masks_bring_each_part_nearer_to_the_whole_one(
    family: str, classifier: Callable[[str], Artifact], context: Context
) -> None:
    artifact = classifier(family)
    rows = _rows(artifact, context)
    network = load(artifact.path)
    whole = copy.deepcopy(network)
    shape = model_shape(network)
    assert shape is not None
    cut(network, shape, [([0, 2], list(range(0, 64, 2)))] * 2)
    cut_only = copy.deepcopy(network)
    facts = tune_masks(network, whole, 8, rows, "tuning")
    assert facts["mask_error_after"] < 0.99 * facts["mask_error_before"]
    # only whole heads and neurons are rescaled
    architecture = ARCHITECTURES[shape.model_type]
    pairs = zip(layers_of(network, architecture), layers_of(cut_only, architecture), strict=True)
    for layer, before in pairs:
        factors = (
            part(layer, architecture, "attention_output").weight / part(before, architecture, "attention_output").weight
        )
        assert torch.allclose(factors[:, :8], factors[0, 0].expand(32, 8), rtol=1e-3)
        assert torch.equal(part(layer, architecture, "up").weight, part(before, architecture, "up").weight)


def test_the_first_layer_stays_beside_a_convolution_and_masks_are_not_tuned(
    classifier: Callable[[str], Artifact], context: Context
) -> None:
    artifact, architecture = classifier("deberta-v2-conv"), ARCHITECTURES["deberta-v2"]
    network, rows = load(artifact.path), _rows(artifact, context)
    with torch.no_grad():
        for name in ("attention_output", "down"):  # it does nothing, and would go if it could
            for parameter in part(layers_of(network, architecture)[0], architecture, name).parameters():
                parameter.zero_()
    assert [index for index, _ in least_needed_layers(network, 1, rows, "looking")] == [1]
    with pytest.raises(InputError, match="this model has a convolution beside its first layer"):
        tune_masks(network, copy.deepcopy(network), 8, rows, "tuning")


@pytest.mark.parametrize("importance", ["taylor", "activation", "magnitude"])
def test_a_layer_that_runs_again_and_again_is_cut_alike_in_all_runs(
    importance: str, classifier: Callable[[str], Artifact], prune: Callable[..., Any], context: Context
) -> None:
    artifact = classifier("albert")
    rows = _rows(artifact, context)
    masked = load(artifact.path)
    before = model_shape(masked)
    assert before is not None
    scores = score_layers(masked, before, importance, rows, "scoring")
    assert len(scores) == 2
    pruned, facts = prune(artifact, importance=importance, heads=0.5, ffn=0.5, hidden=0, score_rows=16)
    assert (facts["heads"], facts["neurons"]) == ((2, 2), (32, 32))
    architecture = ARCHITECTURES["albert"]
    (layer,) = layers_of(masked, architecture)
    with torch.no_grad():
        for head in scores[0].heads.removed(2):
            part(layer, architecture, "attention_output").weight[:, head * 8 : (head + 1) * 8] = 0
        part(layer, architecture, "down").weight[:, scores[1].neurons.removed(32)] = 0
    assert torch.allclose(_logits(pruned, rows), _logits(masked, rows), atol=1e-4)


def test_masks_are_tuned_where_that_is_asked_for(
    classifier: Callable[[str], Artifact], prune: Callable[..., Any]
) -> None:
    _, facts = prune(classifier("bert"), mask_tuning=True, importance="fisher", score_rows=16)
    assert facts["mask_error_after"] < facts["mask_error_before"] < 1


def test_gradual_cuts_train_in_between_and_end_at_the_sizes_asked_for(chain: Chain, prune: Callable[..., Any]) -> None:
    recover = {**FAST, "epochs": 2}
    model, facts = prune(chain.artifacts["teacher"], heads=0.5, ffn=0.75, cuts=3, cut_epochs=1, recover=recover)
    assert [cut["heads"] for cut in facts["cuts"]] == [(3, 3), (2, 2), (2, 2)]
    # 64 x (1 - 0.75 x (1 - (1 - t)^3)) at t = 1/3 and 2/3, up to a multiple of 8
    assert [cut["neurons"] for cut in facts["cuts"]] == [(32, 32), (24, 24), (16, 16)]
    assert [cut["steps"] for cut in facts["cuts"]] == [6, 6, 12]
    assert (facts["heads"], facts["neurons"]) == ((2, 2), (16, 16))
    shape = model_shape(model)
    assert shape is not None
    assert shape.neurons == (16, 16)
    assert facts["best_validation_score"] >= 0.9


TABLE = LayerLatency(
    before_ms=10.0,
    fixed_ms=0.5,
    layer_ms=0.75,
    heads_ms={1: 0.0, 2: 0.5, 3: 1.0, 4: 1.5},
    neurons_ms={8: 0.0, 16: 0.25, 32: 1.0, 48: 1.75, 64: 2.5},
)


@pytest.fixture
def timed(context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The layers cost what `TABLE` says; gives what the table was asked for with."""

    def times(_: LayerTimer, encoders: list[list[tuple[int, int]]], _what: str) -> list[list[float]]:
        return [[10.0], [predicted_ms(TABLE, *zip(*encoders[1], strict=True))]]

    monkeypatch.setattr(LayerTimer, "times", times)
    folder = tmp_path / "layer_latency"
    folder.mkdir()
    write_table(TABLE, folder)
    asked: list[Any] = []
    kept = context.cached

    def cached(name: str, config: Any, *more: Any) -> Artifact:
        asked.append(config)
        return kept(name, config, *more)

    object.__setattr__(context, "cached", cached)
    return asked


@pytest.mark.parametrize("family", FAMILIES)
def test_the_shape_reaches_the_speed_that_was_asked_for(
    family: str, classifier: Callable[[str], Artifact], prune: Callable[..., Any], timed: list[Any]
) -> None:
    model, facts = prune(classifier(family), min_speedup=2.5, importance="fisher", score_rows=16)
    after = model_shape(model)
    assert after is not None
    assert (facts["heads"], facts["neurons"]) == (after.heads, after.neurons)
    assert facts["latency_before_ms"] == 10
    own = sum(TABLE.heads_ms[heads] for heads in after.heads) + sum(TABLE.neurons_ms[count] for count in after.neurons)
    assert facts["timed_latency_ms"] == pytest.approx(0.5 + 2 * 0.75 + own)
    assert 3.5 <= facts["timed_latency_ms"] <= 4  # one size more would be too slow
    assert facts["timed_speedup"] == pytest.approx(10 / facts["timed_latency_ms"], abs=1e-3)
    (asked,) = timed
    assert asked["target"]["sequence_length"] == 128
    assert set(asked["host"]) == {"cpu", "isa", "cores", "system", "versions"}


def test_a_speed_is_approached_in_cuts(chain: Chain, prune: Callable[..., Any], timed: list[Any]) -> None:
    recover = {**FAST, "epochs": 1}
    _, facts = prune(chain.artifacts["teacher"], min_speedup=4, cuts=2, recover=recover)
    first, second = facts["cuts"]
    # the cubic schedule's share of the way to 2.5 ms
    assert predicted_ms(TABLE, first["heads"], first["neurons"]) <= 10 - 7 / 8 * 7.5
    assert "timed_speedup" not in first
    assert second["timed_latency_ms"] == facts["timed_latency_ms"] <= 2.5


def test_a_speed_that_the_smallest_sizes_do_not_reach_fails_with_the_best(
    classifier: Callable[[str], Artifact], prune: Callable[..., Any], timed: list[Any]
) -> None:
    with pytest.raises(CompressError, match=re.escape("min_speedup: 6 is not reached")) as caught:
        prune(classifier("bert"), min_speedup=6, score_rows=16)
    assert "are 5x faster" in caught.value.what
    assert caught.value.fix == "set min_speedup below 5, or remove layers: layers: 0.5"
    model, facts = prune(classifier("bert"), min_speedup=6, layers=0.5, score_rows=16)
    shape = model_shape(model)
    assert shape is not None
    assert shape.layers == 1
    assert facts["timed_speedup"] >= 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 0.5}, "min_speedup chooses the sizes itself; leave out heads, or it"),
        ({"ffn": 0.0}, "leave out ffn, or it"),
        ({"budget": "global"}, "leave out budget: global, or it"),
        ({"importance": "magnitude"}, "min_speedup ranks parts of different layers, which importance: magnitude"),
        ({"hidden": 0.5}, "remove .hidden. in a step of its own, before"),
        ({"target": {"runtime": "openvino"}}, "layers are timed with onnxruntime, not with target.runtime: openvino"),
    ],
)
def test_what_does_not_go_with_a_speed_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prune_structured.Config.model_validate({"min_speedup": 3, **settings})


@pytest.mark.parametrize("importance", ["magnitude", "activation"])
def test_scores_that_do_not_compare_across_layers_take_no_global_budget(importance: str) -> None:
    with pytest.raises(ValueError, match=f"which importance: {importance} cannot compare; take taylor or fisher"):
        prune_structured.Config.model_validate({"budget": "global", "importance": importance})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": 0.8}, "removing 80% of 2 layers leaves none"),
        ({"heads": 0.9}, "removing 90% of 4 heads leaves a layer empty"),
        ({"heads": 0.9, "budget": "global"}, "removing 90% of 4 heads leaves a layer empty"),
    ],
)
def test_the_plan_refuses_to_empty_a_model(settings: dict[str, Any], message: str) -> None:
    config = prune_structured.Config.model_validate(settings)
    with pytest.raises(InputError, match=message):
        prune_structured.STAGE.shape_of(config, {"model": Shape("bert", 2, 32, 8, (4, 4), (64, 64))})


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, Shape("bert", 4, 32, 8, (2,) * 4, (32,) * 4)),
        ({"layers": 0.5}, Shape("bert", 2, 32, 8, (2, 2), (32, 32))),
        ({"layers": 0.25, "budget": "global"}, Shape("bert", 3, 32, 8, (4,) * 3, (64,) * 3)),
        ({"hidden": 0.3, "heads": 0, "ffn": 0}, Shape("bert", 4, 24, 8, (4,) * 4, (64,) * 4)),
        ({"min_speedup": 3}, Shape("bert", 4, 32, 8, (4,) * 4, (64,) * 4)),
    ],
)
def test_the_plan_names_the_sizes_or_the_largest_possible(settings: dict[str, Any], expected: Shape) -> None:
    config = prune_structured.Config.model_validate(settings)
    before = Shape("bert", 4, 32, 8, (4,) * 4, (64,) * 4)
    assert prune_structured.STAGE.shape_of(config, {"model": before}) == expected


@pytest.mark.parametrize(("family", "importance"), scored("taylor", "fisher", "activation", "magnitude"))
def test_hidden_channels_that_say_nothing_go_first(
    importance: str, family: str, classifier: Callable[[str], Artifact], prune: Callable[..., Any], context: Context
) -> None:
    artifact = classifier(family)
    network = load(artifact.path)
    idle = [1, 2, 7, 12, 20, 21, 22, 31]
    with torch.no_grad():  # nothing writes these channels, and nothing reads them
        for module in network.modules():
            if isinstance(module, torch.nn.LayerNorm) and module.normalized_shape == (32,):
                for parameter in module.parameters():
                    parameter[idle] = 0
            elif isinstance(module, torch.nn.Linear) and module.in_features == 32:
                module.weight[:, idle] = 0
            if isinstance(module, torch.nn.Linear) and module.out_features == 32:
                module.weight[idle] = 0
    save_model(network, artifact.path)
    rows = _rows(artifact, context)
    before = model_shape(network)
    assert before is not None
    assert score_hidden(network, before, importance, rows, "scoring").removed(24) == idle
    settings = {"hidden": 0.25, "heads": 0, "ffn": 0, "importance": importance, "score_rows": 16}
    pruned, facts = prune(artifact, **settings)
    after = read_shape(read_config(Path(pruned.name_or_path)))
    assert facts["hidden"] == 24
    assert after is not None
    assert (after.hidden, after.head_size, after.heads, after.neurons) == (24, 8, (4, 4), (64, 64))
    # the norms are fitted, so that what remains is near what it was
    spread = (_logits(network, rows) - _logits(network, rows).mean(dim=0)).abs().mean()
    assert (_logits(pruned, rows) - _logits(network, rows)).abs().mean() < 2 * spread


def test_hidden_scores_are_those_of_masking_a_channel_everywhere(
    classifier: Callable[[str], Artifact], context: Context
) -> None:
    artifact = classifier("bert")
    network = load(artifact.path).double()
    shape = model_shape(network)
    assert shape is not None
    rows = _rows(artifact, context, 4)
    scores = score_hidden(network, shape, "taylor", rows, "scoring").scores
    (batch,) = rows.batches(network, "looking")
    step = 1e-5
    gate = torch.ones(32, dtype=torch.float64)
    norms = [module for module in network.modules() if isinstance(module, torch.nn.LayerNorm)]
    for norm in norms:
        norm.register_forward_hook(lambda _, __, output: output * gate)

    def losses() -> torch.Tensor:
        with torch.no_grad():
            return torch.nn.functional.cross_entropy(network(**batch).logits, batch["labels"], reduction="none")

    for channel in (0, 13, 31):
        gate[channel] = 1 + step
        up = losses()
        gate[channel] = 1 - step
        slope = (up - losses()) / (2 * step)
        gate[channel] = 1
        assert scores[channel].item() == pytest.approx(slope.abs().mean().item(), rel=1e-4)


def test_hidden_width_goes_gradually_and_together_with_heads_and_layers(
    chain: Chain, prune: Callable[..., Any]
) -> None:
    recover = {**FAST, "epochs": 4}
    model, facts = prune(
        chain.artifacts["teacher"], hidden=0.5, heads=0.5, ffn=0.5, layers=0.5, cuts=2, recover=recover
    )
    assert [cut["hidden"] for cut in facts["cuts"]] == [24, 16]
    shape = model_shape(model)
    assert shape == Shape("bert", 1, 16, 8, (2,), (32,))
    assert facts["best_validation_score"] >= 0.9
