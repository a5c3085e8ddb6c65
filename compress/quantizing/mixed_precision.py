"""The choice of layers that stay in float, so that rounding the others stays within a budget of quality.

Each layer is rounded alone, to measure how far that moves the outputs. The most sensitive layers are kept in float, as
few as the budget needs: each set of layers that is tried is measured as a whole on held-back rows. The loss of the
chosen set is then measured on other rows, because a search over many sets fits them to the rows that it sees.

Ranking layers by the effect of their rounding on the outputs follows HAWQ-V2 (Dong et al. 2020, arXiv:1911.03852);
here the effect is measured instead of estimated from curvature.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx

from compress.comparing.held_back import Array, HeldBack, agreement, flat
from compress.context import Context
from compress.facts import LayerCost, Sensitivity, TriedSet
from compress.graphs.embedding_tables import tables
from compress.graphs.matrices import matrices
from compress.ops.divergence import divergence
from compress.runtimes.onnxruntime import open_graph

SCORE_ROWS = 128
"""Number of held-back rows on which single layers are scored; sets of layers are measured on all rows."""

Write = Callable[[frozenset[str]], onnx.ModelProto]
"""A function of the names of layers that stay in float -> the graph with all others rounded."""


@dataclass(frozen=True)
class Layer:
    """A matrix product or a table that can be rounded.

    Attributes:
        name: the name of its node.
        bytes: size of its weights in float.
    """

    name: str
    bytes: int


def layers_in(graph: onnx.ModelProto, *, embeddings: bool) -> list[Layer]:
    """The layers of a graph that can be rounded, in the graph's order.

    Args:
        embeddings: whether tables of embeddings are taken too.
    """
    nodes_and_bytes = [(item.node.name, item.weights.nbytes) for item in matrices(graph, attention=True)]
    nodes_and_bytes += [(item.node.name, item.weights.nbytes) for item in tables(graph)] if embeddings else []
    place = {node.name: index for index, node in enumerate(graph.graph.node)}
    return [Layer(*item) for item in sorted(nodes_and_bytes, key=lambda item: place[item[0]])]


def keep_what_matters(
    write: Write,
    layers: Sequence[Layer],
    reference: onnx.ModelProto,
    held: HeldBack,
    max_drop_pp: float,
    context: Context,
) -> tuple[frozenset[str], Sensitivity]:
    """The layers to keep in float, with each layer's score and the search for the manifest.

    Args:
        layers: the layers that `write` can round.
        reference: the float graph.
        held: held-back rows with answers.
        max_drop_pp: largest loss of the task's metric on these rows, in percentage points.
    """
    expected = held.outputs(open_graph(reference, context.task.outputs))
    scores = _divergences(write, layers, expected, held, context)
    ranked = sorted(layers, key=lambda layer: -scores[layer.name])
    search = _Search(write, expected, held, max_drop_pp, context)
    float_layers = search.run([layer.name for layer in ranked])
    costs = [
        LayerCost(
            name=layer.name, bytes=layer.bytes, divergence=scores[layer.name], kept_in_float=layer.name in float_layers
        )
        for layer in layers
    ]
    return float_layers, Sensitivity(rows=len(held.rows), max_drop_pp=max_drop_pp, layers=costs, tried=search.tried)


def _divergences(
    write: Write, layers: Sequence[Layer], expected: Sequence[Array], held: HeldBack, context: Context
) -> dict[str, float]:
    """Name of each layer -> how far the outputs move when it alone is rounded, on some of the rows."""
    every = max(1, len(held.rows) // SCORE_ROWS)
    some, own = held.every(every), flat(expected[::every])
    names = frozenset(layer.name for layer in layers)
    divergences = {}
    for done, layer in enumerate(layers):
        context.progress("rounding layers one by one", done, len(layers))
        divergences[layer.name] = divergence(
            own, flat(some.outputs(open_graph(write(names - {layer.name}), held.task.outputs)))
        )
    context.progress("rounding layers one by one", len(layers), len(layers))
    return divergences


class _Search:
    """The search for the fewest layers that must stay in float.

    Attributes:
        tried: the results of the sets that were measured, in order.
    """

    def __init__(
        self, write: Write, expected: Sequence[Array], held: HeldBack, max_drop_pp: float, context: Context
    ) -> None:
        self.tried: list[TriedSet] = []
        self._write, self._expected, self._held = write, expected, held
        self._max_drop_pp, self._context = max_drop_pp, context

    def run(self, ranked: Sequence[str]) -> frozenset[str]:
        """The layers to keep in float, from the layers ranked by their sensitivity, the most sensitive first.

        The number of kept layers is doubled until the budget holds, then narrowed down by halving. At last each kept
        layer is tried in rounded form once more.
        """
        too_few, enough = -1, 0
        best = self._measure(ranked[:0])
        while best.drop_pp > self._max_drop_pp:
            too_few, enough = enough, min(len(ranked), max(1, 2 * enough))
            best = self._measure(ranked[:enough])
        while enough - too_few > 1:
            middle = (too_few + enough) // 2
            half = self._measure(ranked[:middle])
            if half.drop_pp <= self._max_drop_pp:
                enough, best = middle, half
            else:
                too_few = middle
        float_layers = list(ranked[:enough])
        for name in reversed(ranked[: max(0, enough - 1)]):  # without the last one the loss was too large
            rest = [other for other in float_layers if other != name]
            less = self._measure(rest)
            if less.drop_pp <= self._max_drop_pp:
                float_layers, best = rest, less
        if self.tried[-1] is not best:
            self.tried.append(best)
        return frozenset(float_layers)

    def _measure(self, float_layers: Sequence[str]) -> TriedSet:
        """The loss from rounding all other layers."""
        outputs = self._held.outputs(open_graph(self._write(frozenset(float_layers)), self._held.task.outputs))
        drop = self._held.drop(self._expected, outputs)
        assert drop is not None  # the rows have answers
        same = agreement(self._held.task, self._held.rows, self._expected, outputs)
        trial = TriedSet(kept=len(float_layers), drop_pp=100 * drop.value, agreement=same)
        self.tried.append(trial)
        self._context.progress("looking for what must stay in float", len(self.tried), len(self.tried) + 1)
        return trial
