"""The sizes that a share of a model's parts leaves. Light to import: plans ask for them."""

import math
from dataclasses import replace

from compress.errors import InputError
from compress.models.architectures import Shape


def layers_left(total: int, ratio: float, share: float = 1.0) -> int:
    """Layers that stay where `ratio` of them are to go, and `share` of those go now.

    Raises:
        InputError: in the end none would stay.
    """
    if total - round(total * ratio) < 1:
        raise InputError(
            f"removing {ratio:.0%} of {total} layers leaves none", fix=f"remove at most {1 - 1 / total:.2f}"
        )
    return total - round(total * ratio * share)


def shrink(shape: Shape, *, heads: float, neurons: float, multiple: int) -> Shape:
    """The sizes after the same part of each layer is removed.

    Args:
        heads, neurons: ratios removed.
        multiple: numbers of neurons are rounded up to it, but never above what there are.

    Raises:
        InputError: a layer would be left empty.
    """
    return replace(
        shape,
        heads=tuple(_kept(count, heads, 1, "heads") for count in shape.heads),
        neurons=tuple(_kept(count, neurons, multiple, "neurons") for count in shape.neurons),
    )


def narrower(hidden: int, ratio: float, *, head_size: int, multiple: int) -> int:
    """The hidden width after a ratio of it is removed: rounded up to a multiple of both, but never above what it is."""
    unit = math.lcm(head_size, multiple)
    return min(hidden, max(math.ceil(round(hidden * (1 - ratio) / unit, 6)), 1) * unit)


def check_whole(shape: Shape) -> None:
    """Refuse a model from whose layers no heads, neurons or channels can be removed.

    Raises:
        InputError: its feed-forward matrices are factors.
    """
    if shape.ffn_rank is not None:
        raise InputError(
            "this model's layers cannot be cut: its feed-forward matrices are factorized",
            fix="put this step before factorize_low_rank",
        )


def _kept(count: int, ratio: float, multiple: int, kind: str) -> int:
    exact = count * (1 - ratio)
    number = min(count, math.ceil(round(exact / multiple, 6)) * multiple) if multiple > 1 else round(exact)
    if number < 1:
        raise InputError(
            f"removing {ratio:.0%} of {count} {kind} leaves a layer empty", fix=f"remove at most {1 - 1 / count:.2f}"
        )
    return number
