"""Sizes worth a training of their own, found by one elastic student.

It is trained once; its sub-models are scored on searching rows as they are, and timed by the table of layer latencies.
What is best among them goes on to a training of its own, from the teacher's layers: it need not wait for an elastic
student of each part of the rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from compress.comparing.sample import sample_rows
from compress.context import Context, Progress
from compress.models.elastic import Size, cut_first
from compress.models.load import load_model
from compress.models.reshape import model_shape
from compress.ops import pareto
from compress.planning.feasibility import training_device
from compress.search.candidates import Candidate
from compress.search.making import BASELINE, Maker
from compress.search.scoring import Scorer
from compress.search.space import Facts, elastic_step, sized, spared
from compress.sizing.layer_latency import LayerLatency, layer_latency
from compress.sizing.layer_timing import LayerTimer
from compress.store.artifacts import Artifact, Identity
from compress.training.elastic import SubModelOutputs, all_sizes

MOST_SIZES = 240
"""Sub-models that are scored."""
POPULATION = 30
"""Sub-models in a generation of the evolutionary search."""
NAMES = tuple(field.name for field in fields(Size))
SCORING = "scoring sub-models"
ROWS = 400
"""The most searching rows that each is scored on."""
CATCHES_UP = 0.04
"""Drop that a training of its own makes up for, at most, as a share of the rows."""
PICKS = 4


@dataclass(frozen=True)
class Scored:
    """A sub-model as it is.

    Attributes:
        drop: what it loses against the teacher on searching rows, as a share.
        cost: its predicted milliseconds, or its weights.
    """

    size: Size
    drop: float
    cost: float


def scored_sizes(maker: Maker, scorer: Scorer, facts: Facts, *, by_latency: bool) -> list[Scored]:
    """The sub-models of an elastic student, which is made first.

    Raises:
        CompressError: it cannot be made.
    """
    task = maker.task(0)
    elastic = maker.make_steps([spared(facts), elastic_step(facts)])
    sizes = [elastic.facts["sizes"][name] for name in ("layers", "hidden", "heads", "ffn")]
    rows = sample_rows(task, task.validation, ROWS)
    truth, metric = task.truth(rows), task.spec.metric
    places = {id(row): place for place, row in enumerate(task.validation)}
    baseline = scorer.answers(maker.make(BASELINE), task, task.validation, "validation")
    before = baseline.take([places[id(row)] for row in rows]).outcome(truth, metric)
    tables = _tables(elastic, sizes[1], maker, scorer) if by_latency else {}
    outputs = SubModelOutputs(elastic.path, task, rows)

    def score(size: Size) -> Scored:
        outcome = task.answers(list(outputs(size)), rows).outcome(truth, metric)
        table = tables.get(size.hidden)
        cost = _weights(size) if table is None else table.predicted_ms(size.heads, size.neurons, size.layers)
        return Scored(size, before.value - outcome.value, cost)

    return explored(sizes, score, maker.start.seed, maker.observer.progress)


def explored(
    sizes: Sequence[Sequence[int]], score: Callable[[Size], Scored], seed: int, progress: Progress
) -> list[Scored]:
    """All sub-models; of more than `MOST_SIZES`, those that an evolutionary search proposes (NSGA-II, Deb et al. 2002).

    The smallest, and those that are cut in depth alone, are always among them.

    Args:
        sizes: the sizes of each dimension: layers, hidden, heads, neurons.
    """
    largest = Size(*map(max, sizes))
    always = [Size(*map(min, sizes)), *(replace(largest, layers=layers) for layers in sizes[0])]
    every = all_sizes(sizes)
    if len(every) <= MOST_SIZES:
        found = []
        for size in every:
            found.append(score(size))
            progress(SCORING, len(found), len(every))
        return found
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    for size in always:
        study.enqueue_trial(asdict(size))
    scored: dict[Size, Scored] = {}
    for _ in range(3 * MOST_SIZES):  # some are proposed again
        trial = study.ask()
        size = Size(
            *(trial.suggest_categorical(name, list(choices)) for name, choices in zip(NAMES, sizes, strict=True))
        )
        if size not in scored:
            scored[size] = score(size)
            progress(SCORING, len(scored), MOST_SIZES)
        study.tell(trial, [scored[size].drop, scored[size].cost])
        if len(scored) == MOST_SIZES:
            break
    return list(scored.values())


def picked(scored: Sequence[Scored], facts: Facts, margin: float) -> list[Candidate]:
    """The candidates of sizes on the front that may keep the margin once they are trained: a few of all costs."""
    on_front = [scored[place] for place in pareto.front([(one.drop, one.cost) for one in scored])]
    near = sorted((one for one in on_front if one.drop <= margin + CATCHES_UP), key=lambda one: one.cost)
    if not near:
        near = [min(scored, key=lambda one: one.drop)]
    count = min(PICKS, len(near))
    chosen = [near[round(place * (len(near) - 1) / max(1, count - 1))] for place in range(count)]
    return [candidate(one.size, facts) for one in chosen]


def depths(scored: Sequence[Scored], margin: float) -> list[int]:
    """Numbers of layers worth a training of their own at the whole width: the least that may keep the margin, by what a
    training may make up for at most, and the least that needs it to make up for little.
    """
    largest = max(one.size for one in scored)
    whole = {one.size.layers: one.drop for one in scored if replace(one.size, layers=largest.layers) == largest}
    fewer = sorted(layers for layers in whole if layers < largest.layers)
    found = [
        next((layers for layers in fewer if whole[layers] <= margin + slack), fewer[-1])
        for slack in (CATCHES_UP, CATCHES_UP / 4)
    ]
    return sorted(set(found))


def candidate(size: Size, facts: Facts) -> Candidate:
    """A student of a sub-model's size, cut out of the teacher itself."""
    return Candidate(
        f"elastic-{size.layers}x{size.hidden}x{size.heads}x{size.neurons}",
        "elastic",
        f"{size.layers} layers of {size.hidden} channels, {size.heads} heads and {size.neurons} neurons",
        (spared(facts), sized(facts, size)),
    )


def _weights(size: Size) -> float:
    """Weights of the layers, over the size of a head."""
    return float(size.layers * size.hidden * (4 * size.heads + 2 * size.neurons))


def _tables(elastic: Artifact, widths: Sequence[int], maker: Maker, scorer: Scorer) -> Mapping[int, LayerLatency]:
    """The table of layer latencies of each width, from the store or timed now."""
    recipe, task = maker.start, maker.task(0)

    def cached(name: str, config: Mapping[str, Any], inputs: Mapping[str, str], make: Any) -> Artifact:
        identity = Identity(name, 1, config, inputs, "", 0)
        return maker.store.obtain(identity, "arrays", lambda out, _: make(out), host=maker.host)[0]

    context = Context(
        task=task,
        seed=recipe.seed,
        device=training_device(recipe),
        trust_remote_code=recipe.trust_remote_code,
        work=Path(),
        progress=maker.observer.progress,
        cached=cached,
        host=maker.host,
    )
    tables = {}
    for width in widths:
        model = load_model(elastic.path, task.hub_task)
        whole = model_shape(model)
        assert whole is not None
        cut_first(model, replace(whole, hidden=width))
        timer = LayerTimer(model, scorer.target, task.hub_task, maker.observer.progress)
        shape = model_shape(model)
        assert shape is not None
        tables[width] = layer_latency(timer, shape, min(shape.neurons) // 12 or 1, context)
    return tables
