"""Findings on matrix products with weights: their number format, their widths, and those left in float."""

from collections import defaultdict
from collections.abc import Mapping
from typing import TypeVar

from compress.benching.flops import INT8_PRODUCTS, PRODUCTS
from compress.doctor.advice import ARITHMETIC, INT8_KINDS, Finding, times
from compress.doctor.executed import Product, ProfiledGraph, Rates, accuracy_levels, is_weight_product, products
from compress.graphs.quantizable import QUANTIZED
from compress.machine.kernels import Kernel

MULTIPLE = 16
MATTERS = 0.02
"""Share of a call's time below which there is no finding."""
SAME_WITHIN = 0.05
"""Difference of rates and times below which they count as the same."""
ALTERNATIVES = {
    "fp32": INT8_KINDS,
    "int8_dynamic": ("fp32", "int8_static"),
    "int8_static": ("fp32", "int8_dynamic"),
    "4bit": ("fp32", *INT8_KINDS),
    "4bit_float": ("fp32", *INT8_KINDS),
}
NAMES = {
    "fp32": "fp32",
    "int8_dynamic": "dynamic int8",
    "int8_static": "static int8",
    "4bit": "4 bits",
    "4bit_float": "4 bits",
}
Key = TypeVar("Key")

COMPARE = "then compare both with compress bench"
FIX = {
    "fp32": "ship the float export",
    "int8_dynamic": f"compress quantize FLOAT, {COMPARE}: it may cost quality",
    "int8_static": f"compress quantize FLOAT --how onnx_static, {COMPARE}: it may cost quality",
}
"""Faster format -> the fix that leads to it."""


def number_format(subject: ProfiledGraph) -> Finding | None:
    """A finding if another number format is faster than that of most products, at the graph's own shapes."""
    by_kind: dict[str, dict[tuple[int, int, int], float]] = defaultdict(lambda: defaultdict(float))
    for item in products(subject):
        by_kind[item.kind][item.rows, item.inputs, item.outputs] += item.us
    if not by_kind:
        return None
    own = max(by_kind, key=lambda kind: sum(by_kind[kind].values()))
    shapes = _longest(by_kind[own], 3)
    pairs = [(kind, shape) for kind in (own, *ALTERNATIVES[own]) for shape in shapes]
    measured = subject.rates([Kernel(kind, *shape, subject.threads) for kind, shape in pairs])
    rates = dict(zip(pairs, measured, strict=True))
    needs = {
        kind: sum(us * rates[own, shape] / rates[kind, shape] for shape, us in shapes.items())
        for kind in (own, *ALTERNATIVES[own])
    }
    best = min(needs, key=lambda kind: needs[kind])
    share = sum(by_kind[own].values()) / subject.total_us
    cost = share * (1 - needs[best] / needs[own])
    if cost < SAME_WITHIN:
        return None
    return Finding(
        f"the matrix products run in {NAMES[own]}, and {NAMES[best]} is faster here",
        f"they take {share:.0%} of the time; at their shapes {NAMES[best]} runs "
        f"{times([needs[own] / needs[best]])} as fast",
        _fix(own, best),
        cost,
    )


def _fix(own: str, best: str) -> str:
    if own in ARITHMETIC:
        return f"keep 4 bits where size counts; for speed {FIX[best]}"
    return FIX[best] + ("; int8 saves size only on this machine" if best == "fp32" else "")


def accuracy_level(subject: ProfiledGraph) -> Finding | None:
    """A finding if the arithmetic of 4-bit products, float or int8, is the slower one on this machine."""
    levels = accuracy_levels(subject.model)
    spent = [item for item in products(subject) if item.kind in ARITHMETIC]
    if not spent:
        return None
    own = spent[0].kind
    (other,) = ARITHMETIC.keys() - {own}
    longest = max(spent, key=lambda item: item.us)
    shape = (longest.rows, longest.inputs, longest.outputs, subject.threads)
    as_it_is, as_other = subject.rates([Kernel(own, *shape), Kernel(other, *shape)])
    share, faster = subject.share(spent), as_other / as_it_is
    if faster <= 1 + SAME_WITHIN:
        return None
    (_, own_name), (level, name) = ARITHMETIC[own], ARITHMETIC[other]
    return Finding(
        f"4-bit products have accuracy_level {', '.join(map(str, sorted(levels)))}: they are computed in "
        f"{own_name}, and {name} is faster here",
        f"they take {share:.0%} of the time; with accuracy_level {level} ({name}) they run {times([faster])} as fast",
        f"compress quantize FLOAT --how onnx_4bit --accuracy-level {level}, {COMPARE}",
        share * (1 - 1 / faster),
    )


def left_in_float(subject: ProfiledGraph) -> Finding | None:
    """A finding if a quantized graph has products with float weights."""
    if not {node.op_type for node in subject.model.graph.node} & {*QUANTIZED, *INT8_PRODUCTS}:
        return None
    float_products = [item for item in products(subject) if item.kind == "fp32"]
    if subject.share(float_products) < MATTERS:
        return None
    return Finding(
        f"{len(float_products)} matrix products with weights stayed in float in a quantized graph",
        f"they take {subject.share(float_products):.0%} of the time",
        f"quantize them too (compress quantize takes MatMul and Attention), {COMPARE}",
        subject.share(float_products),
    )


def awkward_widths(subject: ProfiledGraph) -> Finding | None:
    """A finding if weights or heads have widths that are not multiples of 16 and cost time."""
    spent: dict[tuple[Kernel, Kernel], float] = defaultdict(float)
    for item in products(subject):
        spent[with_even_widths(item, subject.threads)] += item.us
    for node in subject.nodes:  # a head's scores; their weighted sum is as much arithmetic
        if node.op in PRODUCTS and not is_weight_product(node) and len(node.inputs) > 1:
            tokens, size = node.inputs[0][1][-2:]
            if node.shape[-1] == tokens:
                spent[with_even_head(tokens, size, subject.threads)] += 2 * node.us
    return slow_widths(spent, subject.total_us, subject.rates)


def with_even_widths(item: Product, threads: int) -> tuple[Kernel, Kernel]:
    """A product as a kernel, and the same with its widths rounded up to multiples of 16."""
    own = Kernel(item.kind, item.rows, item.inputs, item.outputs, threads)
    return own, own._replace(inputs=_even(own.inputs), outputs=_even(own.outputs))


def with_even_head(tokens: int, size: int, threads: int) -> tuple[Kernel, Kernel]:
    """The scores of a head as a kernel, and the same with the head's size rounded up to a multiple of 16."""
    own = Kernel("fp32", tokens, size, tokens, threads)
    return own, own._replace(inputs=_even(size))


def slow_widths(spent: Mapping[tuple[Kernel, Kernel], float], total_us: float, rates: Rates) -> Finding | None:
    """A finding on the kernels that have a lower rate than the same kernels with even widths.

    Args:
        spent: (kernel, kernel with even widths) -> microseconds in a call that takes `total_us`.
    """
    uneven = {pair: us for pair, us in spent.items() if pair[0] != pair[1] and us >= MATTERS * total_us}
    slowest = _longest(uneven, 4)
    measured = rates([kernel for pair in slowest for kernel in pair])
    worse = [
        (us / total_us * (1 - own_rate / even_rate), own, own_rate, even, even_rate)
        for ((own, even), us), own_rate, even_rate in zip(slowest.items(), measured[::2], measured[1::2], strict=True)
        if even_rate > own_rate * (1 + SAME_WITHIN)
    ]
    if not worse:
        return None
    worse.sort(reverse=True)
    _, own, own_rate, even, even_rate = worse[0]
    listed = ", ".join(f"{item[1].inputs}x{item[1].outputs}" for item in worse)
    return Finding(
        f"matrix widths that are no multiples of {MULTIPLE}: {listed}",
        f"{own.inputs}x{own.outputs} takes {own.operations / own_rate / 1e3:.0f} us at {own.rows} tokens, the wider "
        f"{even.inputs}x{even.outputs} takes {even.operations / even_rate / 1e3:.0f} us",
        f"prune to multiples of {MULTIPLE} (compress prune --multiple-of {MULTIPLE}), or keep a few neurons more",
        sum(item[0] for item in worse),
    )


def _even(width: int) -> int:
    return -(-width // MULTIPLE) * MULTIPLE if width > MULTIPLE else width  # a head of few classes stays as it is


def _longest(spent: Mapping[Key, float], count: int) -> dict[Key, float]:
    return dict(sorted(spent.items(), key=lambda item: item[1], reverse=True)[:count])
