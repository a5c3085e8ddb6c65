"""The weights that a student starts from: parts of its teacher."""

from collections.abc import Sequence
from typing import Any

from compress.models.architectures import Shape
from compress.models.cutting import cut
from compress.models.elastic import cut_first, is_sorted
from compress.models.reshape import keep_layers, model_shape
from compress.training.narrowing import narrow_to_principal
from compress.training.scoring import ScoreRows, score_layers


def take_parts(model: Any, layers: Sequence[int], shape: Shape, rows: ScoreRows) -> dict[str, Any]:
    """Cut a model down to some of its layers, heads, neurons and hidden directions, in place.

    Heads and neurons are kept by the size of their weights: a better choice matters little, since training follows. Of
    an elastic model the first of each are kept, and the first hidden channels, as its sub-models have learned.

    Args:
        layers: the layers that stay, counted from 0.
        shape: the sizes to reach.

    Returns:
        Facts for the manifest.
    """
    keep_layers(model, layers)
    shape_before = model_shape(model)
    assert shape_before is not None
    if is_sorted(model):
        cut_first(model, shape)
        return {"layers_kept": tuple(layers)}
    scores = score_layers(model, shape_before, "magnitude", rows, "scoring heads and neurons")
    removed = [
        (layer.heads.removed(heads), layer.neurons.removed(neurons))
        for layer, heads, neurons in zip(scores, shape.heads, shape.neurons, strict=True)
    ]
    cut(model, shape_before, removed)
    facts: dict[str, Any] = {"layers_kept": tuple(layers)}
    if shape.hidden < shape_before.hidden:
        variance_share = narrow_to_principal(
            model, shape.hidden, lambda: rows.batches(model, "looking at hidden states")
        )
        facts["hidden_squares_kept"] = round(variance_share, 5)
    return facts
