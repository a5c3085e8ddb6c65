"""The page's parts on quantizing: the cost of each layer as a picture and a table, and the choice of a candidate."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from compress.answers import Words
from compress.facts import Candidate, Choice, LayerCost, Sensitivity, estimate
from compress.report import quantized_words as words
from compress.report.figure import Chart, Mark, PictureRow, Rows, Scale, Tick, number, plain
from compress.report.model import Report
from compress.report.page_cells import Cell, with_interval
from compress.report.page_tables import Line, PageTable
from compress.report.quantized import Quantized
from compress.report.words import POINTS, interval

FEW = 60
"""The most layers of a picture with the taller rows."""
TALL, SHORT = 19, 14
"""Height of a row of the picture, in pixels."""
NAME = 25
"""The most characters of a layer's name beside its bar."""
COMMON = 0.5
"""Share of the paths at which a part that they share may be left out."""
DECADES = 1e6
"""The largest divergence over the least one on the axis."""
LABELS = 3
"""The most powers of ten whose names a phone has room for; of more, every second one has a name."""
SUMMED_UP = 5
"""Number of layers in the picture's summary for people who cannot see it."""
COLOURS = {True: "accent", False: "baseline"}
"""Colours of layers that stay in float, and of layers that are rounded."""
WHERE = {True: "in float", False: "rounded"}
"""Words for layers that stay in float, and for layers that are rounded."""


@dataclass(frozen=True)
class LayersPart:
    """The part of the page about a step's layers.

    Attributes:
        sentences: which layers stay in float, and how they were chosen.
        chart: the picture; None if layers were not rounded one by one.
        left_in_float: names of nodes that could be rounded and were not.
    """

    step: str
    anchor: str
    sentences: list[str]
    chart: Chart | None
    table: PageTable | None
    left_in_float: list[str]


@dataclass(frozen=True)
class ChoicePart:
    """The part of the page about the choice of a candidate."""

    step: str
    verdict: str
    about: str
    table: PageTable


def layers_parts(report: Report) -> list[LayersPart]:
    """The parts about steps that rounded layers one by one, or left some in float."""
    steps = [step for step in report.rounded if step.sensitivity or step.left_in_float]
    return [_layers_part(step, number, report.test.words) for number, step in enumerate(steps, 1)]


def choice_parts(report: Report) -> list[ChoicePart]:
    """The parts about steps that chose a candidate."""
    return [
        ChoicePart(step.step, step.choice.verdict, words.choice_words(step.choice), candidate_table(step.choice))
        for step in report.rounded
        if step.choice is not None
    ]


def _layers_part(quantized: Quantized, number: int, answers: Words) -> LayersPart:
    sensitivity = quantized.sensitivity
    searched = sensitivity is not None
    sentences = []
    if quantized.parity:
        sentences = [f"as written, {words.agreed_words(quantized.parity, answers, searched=searched)}"]
    if sensitivity is not None:
        kept_sentence = f"{words.kept_words(sensitivity, 0)}; {words.change_words(sensitivity)}"
        sentences = [kept_sentence, words.search_words(sensitivity), *sentences]
    return LayersPart(
        step=quantized.step,
        anchor=f"layers-{number}",
        sentences=[f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences],
        chart=layer_chart(sensitivity) if sensitivity and sensitivity.layers else None,
        table=layer_table(sensitivity) if sensitivity and sensitivity.layers else None,
        left_in_float=quantized.left_in_float,
    )


def layer_chart(sensitivity: Sensitivity) -> Chart:
    """The picture of what rounding each layer alone does, in the graph's order."""
    layers = sensitivity.layers
    worst = sorted(layers, key=lambda layer: -layer.divergence)[:SUMMED_UP]
    summary = f"{len(layers)} layers, the most sensitive: " + ", ".join(
        f"{layer.name} {words.nats(layer.divergence)} nats" for layer in worst
    )
    return Chart(
        "divergence",
        "What rounding each layer alone does",
        f"{summary}.",
        "How far the outputs move from the float model's when this layer alone is rounded: mean Kullback-Leibler "
        "divergence in nats, on a logarithmic axis. Layers stand in the graph's order.",
        _layer_picture(layers),
        is_wide=True,
    )


def _layer_picture(layers: Sequence[LayerCost]) -> Rows:
    few = len(layers) <= FEW
    names = short_names([layer.name for layer in layers])
    scale = _divergences(layers)
    lines = [
        PictureRow(
            plain(name, NAME),
            [Mark("bar", 0, scale.at(layer.divergence), COLOURS[layer.kept_in_float], _hint(layer))],
            words.nats(layer.divergence),
            "muted",
            is_strong=layer.kept_in_float,
        )
        for layer, name in zip(layers, names, strict=True)
    ]
    legend = [(Mark("bar", 0, 100, COLOURS[is_kept]), WHERE[is_kept]) for is_kept in COLOURS]
    return Rows(scale, lines, TALL if few else SHORT, legend)


def _hint(layer: LayerCost) -> str:
    return f"{layer.name}: {words.nats(layer.divergence)} nats, {WHERE[layer.kept_in_float]}"


def _divergences(layers: Sequence[LayerCost]) -> Scale:
    """A logarithmic scale for the divergences; it leaves out those too small to matter beside the largest."""
    divergences = [layer.divergence for layer in layers if layer.divergence > 0] or [1.0]
    low, high = math.log10(max(min(divergences), max(divergences) / DECADES) / 2), math.log10(1.3 * max(divergences))
    powers = range(math.ceil(low), math.floor(high) + 1)
    every = 1 if len(powers) <= LABELS else 2
    scale = Scale("divergence, nats", low, high, is_log=True)
    ticks = [Tick(scale.at(10.0**power), f"{10.0**power:.0e}" if power % every == 0 else "") for power in powers]
    return replace(scale, ticks=[tick._replace(label=tick.label.replace("e-0", "e-")) for tick in ticks])


def short_names(names: Sequence[str]) -> list[str]:
    """Paths without the parts that most of them share, if then no two are equal and none begins another."""
    paths = [tuple(name.strip("/").split("/")) for name in names]
    counts = Counter(part for path in paths if len(path) > 1 for part in set(path))
    often = COMMON * sum(len(path) > 1 for path in paths)
    for part in [part for part, count in counts.most_common() if count >= often]:
        shorter = [tuple(other for other in path if other != part) for path in paths]
        if _are_distinct(shorter):
            paths = shorter
    return ["/".join(path) for path in paths]


def _are_distinct(paths: Sequence[tuple[str, ...]]) -> bool:
    """Whether all paths differ, and none is the beginning of another."""
    ordered = sorted(paths)
    return all(ordered) and all(one != other[: len(one)] for one, other in pairwise(ordered))


def layer_table(sensitivity: Sensitivity) -> PageTable:
    """The table of all layers."""
    heads = [
        ("size, MB", "Of its weights in float; 1 MB is a million bytes"),
        ("divergence, nats", "Of the outputs from the float model's, when this layer alone is rounded"),
        ("written", "In float, or rounded"),
    ]
    lines = [
        Line(
            layer.name,
            "",
            [Cell(words.megabytes(layer.bytes)), Cell(words.nats(layer.divergence)), Cell(WHERE[layer.kept_in_float])],
            is_last=layer.kept_in_float,
        )
        for layer in sensitivity.layers
    ]
    return PageTable(f"All {len(lines)} layers, in the graph's order", heads, lines, first="layer")


def candidate_table(choice: Choice) -> PageTable:
    """The table of all candidates."""
    heads = [
        ("size, MB", "Weights or graph, tokenizer, configuration; 1 MB is a million bytes"),
        ("smaller", "Size of the float model over this one's"),
        (
            "change, points",
            "Against the float model on the held-back rows, with the paired 95% interval; negative is a loss",
        ),
        ("agreement", "Share of the held-back rows on which it says what the float model says"),
        ("p50, ms", "Median latency of a call on the target"),
        ("times faster", "Latency of the float model over this one's, with its 95% interval"),
        ("why not", "What speaks against it"),
    ]
    lines = [_candidate_line(item) for item in choice.candidates]
    return PageTable(f"Candidates on {choice.rows:,} held-back rows", heads, lines, first="candidate")


def _candidate_line(item: Candidate) -> Line:
    badge = "chosen" if item.chosen else ""
    if item.size_bytes is None:
        return Line(item.name, "", (), reason=item.reason or "it was not made", badge=badge)
    cells = [
        Cell(words.megabytes(item.size_bytes)),
        Cell(interval(estimate(item.smaller, None, None), ".1f", "x")),
        with_interval(interval(item.change, POINTS)),
        Cell("" if item.agreement is None else f"{item.agreement:.1%}"),
        Cell("" if item.latency_ms is None else number(item.latency_ms)),
        with_interval(interval(item.faster, ".2f", "x")),
        Cell(item.reason, is_text=True),
    ]
    return Line(item.name, "", cells, is_last=item.chosen, badge=badge)
