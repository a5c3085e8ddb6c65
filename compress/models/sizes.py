"""The sizes that remain after a share of a model's parts is removed. Light to import, because plans need it."""

import math
from dataclasses import replace

from compress.errors import InputError
from compress.models.architectures import Shape


def layers_left(total: int, ratio: float, share: float = 1.0) -> int:
    """Number of layers that remain if `ratio` of them is removed in the end, and `share` of those now.

    Raises:
        InputError: in the end no layer would remain.
    """
    if total - round(total * ratio) < 1:
        raise InputError(
            f"removing {ratio:.0%} of {total} layers leaves none", fix=f"remove at most {1 - 1 / total:.2f}"
        )
    return total - round(total * ratio * share)


def shrink(shape: Shape, *, heads: float, neurons: float, multiple: int) -> Shape:
    """The sizes after the same share of each layer is removed.

    Args:
        heads, neurons: ratios removed.
        multiple: numbers of neurons are rounded up to a multiple of it, but never above the present number.

    Raises:
        InputError: nothing of a layer would remain.
    """
    return replace(
        shape,
        heads=tuple(_remaining(count, heads, 1, "heads") for count in shape.heads),
        neurons=tuple(_remaining(count, neurons, multiple, "neurons") for count in shape.neurons),
    )


def narrower(hidden: int, ratio: float, *, head_size: int, multiple: int) -> int:
    """The hidden width after a ratio of it is removed, rounded up to a multiple of both, but never above `hidden`."""
    unit = math.lcm(head_size, multiple)
    return min(hidden, max(math.ceil(round(hidden * (1 - ratio) / unit, 6)), 1) * unit)


def check_whole(shape: Shape) -> None:
    """Refuse a model whose heads, neurons and channels cannot be removed.

    Raises:
        InputError: the feed-forward matrices are factorized.
    """
    if shape.ffn_rank is not None:
        raise InputError(
            "this model's layers cannot be cut: its feed-forward matrices are factorized",
            fix="put this step before factorize_low_rank",
        )


def check_beside_embeddings(hidden: int, embeddings: int, head_size: int) -> None:
    """Refuse hidden states of the width of embeddings that a matrix maps to them: such a model reloads without it.

    Raises:
        InputError: both widths are the same.
    """
    if hidden == embeddings:
        raise InputError(
            f"hidden states as wide as the embeddings ({hidden}) would reload without the matrix between them",
            fix=f"take {hidden + head_size}",
        )


def _remaining(count: int, ratio: float, multiple: int, kind: str) -> int:
    exact = count * (1 - ratio)
    number = min(count, math.ceil(round(exact / multiple, 6)) * multiple) if multiple > 1 else round(exact)
    if number < 1:
        raise InputError(
            f"removing {ratio:.0%} of {count} {kind} leaves a layer empty", fix=f"remove at most {1 - 1 / count:.2f}"
        )
    return number
