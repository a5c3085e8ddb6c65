"""Which layers of a graph stay in float so that rounding the others loses no more than a budget allows.

Each layer is rounded alone, which tells how far that moves the outputs. The most sensitive ones are kept, as few as
the budget needs: every set of layers that the search looks at is measured as a whole on held-back rows. What the last
one loses is then said of other rows, since a search through many sets fits them to the rows at hand.

The score of a layer is that of HAWQ's successors, who rank layers by what rounding them does to the outputs (Dong et
al. 2020, arXiv:1911.03852); here it is measured instead of estimated from curvature.
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
"""Held-back rows on which single layers are scored; sets of layers are measured on all."""

Write = Callable[[frozenset[str]], onnx.ModelProto]
"""The names of layers that stay in float -> the graph in which all others are rounded."""


@dataclass(frozen=True)
class Layer:
    """A matrix product or a table that can be rounded.

    Attributes:
        name: of its node.
        bytes: of its weights in float.
    """

    name: str
    bytes: int


def layers_in(graph: onnx.ModelProto, *, embeddings: bool) -> list[Layer]:
    """What can be rounded of a graph, in its order.

    Args:
        embeddings: tables too.
    """
    found = [(item.node.name, item.weights.nbytes) for item in matrices(graph, attention=True)]
    found += [(item.node.name, item.weights.nbytes) for item in tables(graph)] if embeddings else []
    place = {node.name: index for index, node in enumerate(graph.graph.node)}
    return [Layer(*item) for item in sorted(found, key=lambda item: place[item[0]])]


def keep_what_matters(
    write: Write,
    layers: Sequence[Layer],
    reference: onnx.ModelProto,
    held: HeldBack,
    max_drop_pp: float,
    context: Context,
) -> tuple[frozenset[str], Sensitivity]:
    """The layers to keep in float, and what the manifest says of it: each layer's score, and the search.

    Args:
        layers: those that `write` can round.
        reference: the float graph.
        held: rows with answers.
        max_drop_pp: largest loss of the task's metric on these rows, in percentage points.
    """
    expected = held.outputs(open_graph(reference, context.task.outputs))
    scores = _divergences(write, layers, expected, held, context)
    ranked = sorted(layers, key=lambda layer: -scores[layer.name])
    search = _Search(write, expected, held, max_drop_pp, context)
    kept = search.run([layer.name for layer in ranked])
    costs = [
        LayerCost(name=layer.name, bytes=layer.bytes, divergence=scores[layer.name], kept_in_float=layer.name in kept)
        for layer in layers
    ]
    return kept, Sensitivity(rows=len(held.rows), max_drop_pp=max_drop_pp, layers=costs, tried=search.tried)


def _divergences(
    write: Write, layers: Sequence[Layer], expected: Sequence[Array], held: HeldBack, context: Context
) -> dict[str, float]:
    """By the name of each layer: how far the outputs move when it alone is rounded, on some of the rows."""
    every = max(1, len(held.rows) // SCORE_ROWS)
    some, own = held.every(every), flat(expected[::every])
    names = frozenset(layer.name for layer in layers)
    found = {}
    for done, layer in enumerate(layers):
        context.progress("rounding layers one by one", done, len(layers))
        found[layer.name] = divergence(
            own, flat(some.outputs(open_graph(write(names - {layer.name}), held.task.outputs)))
        )
    context.progress("rounding layers one by one", len(layers), len(layers))
    return found


class _Search:
    """Looks for the fewest layers that must stay in float.

    Attributes:
        tried: what was measured, in its order.
    """

    def __init__(
        self, write: Write, expected: Sequence[Array], held: HeldBack, max_drop_pp: float, context: Context
    ) -> None:
        self.tried: list[TriedSet] = []
        self._write, self._expected, self._held = write, expected, held
        self._max_drop_pp, self._context = max_drop_pp, context

    def run(self, ranked: Sequence[str]) -> frozenset[str]:
        """The layers to keep, of those that are ranked by what rounding them does, the worst first.

        Twice as many are kept until the budget holds, then half as many more or less; at last, each that was kept for
        the sake of its rank alone is rounded after all.
        """
        too_few, enough = -1, 0
        found = self._measure(ranked[:0])
        while found.drop_pp > self._max_drop_pp:
            too_few, enough = enough, min(len(ranked), max(1, 2 * enough))
            found = self._measure(ranked[:enough])
        while enough - too_few > 1:
            middle = (too_few + enough) // 2
            half = self._measure(ranked[:middle])
            if half.drop_pp <= self._max_drop_pp:
                enough, found = middle, half
            else:
                too_few = middle
        kept = list(ranked[:enough])
        for name in reversed(ranked[: max(0, enough - 1)]):  # without the last one it was too much
            rest = [other for other in kept if other != name]
            less = self._measure(rest)
            if less.drop_pp <= self._max_drop_pp:
                kept, found = rest, less
        if self.tried[-1] is not found:
            self.tried.append(found)
        return frozenset(kept)

    def _measure(self, kept: Sequence[str]) -> TriedSet:
        """What rounding all others loses."""
        outputs = self._held.outputs(open_graph(self._write(frozenset(kept)), self._held.task.outputs))
        drop = self._held.drop(self._expected, outputs)
        assert drop is not None  # the rows have answers
        same = agreement(self._held.task, self._held.rows, self._expected, outputs)
        found = TriedSet(kept=len(kept), drop_pp=100 * drop.value, agreement=same)
        self.tried.append(found)
        self._context.progress("looking for what must stay in float", len(self.tried), len(self.tried) + 1)
        return found
