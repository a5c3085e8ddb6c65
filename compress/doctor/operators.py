"""Findings on single operators: missing fusion, changes of number formats, and work that is repeated in every call."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from compress.benching.flops import PRODUCTS
from compress.doctor.advice import Finding
from compress.doctor.executed import FUSED_ATTENTION, Node, ProfiledGraph, in_attention, unfused_attention
from compress.doctor.products import COMPARE, MATTERS, SAME_WITHIN

TABLE_ELEMENTS = 100_000
OTHER_MATTERS = 0.3
NORMS = ("SkipLayerNormalization", "Add+LayerNormalization")
"""A fused operator, and the two that it replaces."""


def attention(subject: ProfiledGraph) -> Finding | None:
    """A finding if some attention is not fused: softmaxes remain between two products."""
    ran = [node for node in subject.nodes if node.op == "Softmax"]
    unfused = min(len(unfused_attention(subject.model.graph)), len(ran))
    if not unfused:
        return None
    fused = sum(node.op in FUSED_ATTENTION for node in subject.nodes)
    inside = [node for node in subject.nodes if in_attention(node)]
    evidence = f"its nodes take {_time_share(subject, inside)}"
    cost = None
    shape = ran[0].shape
    sizes = [node.inputs[0][1][-1] for node in inside if node.op in PRODUCTS and node.shape == shape]
    if len(shape) == 4 and sizes:
        batch, heads, length, _ = shape
        together = unfused * subject.operator("MultiHeadAttention", (batch, length, heads * sizes[0]), heads)
        spent = sum(node.us for node in inside)
        cost = max(0.0, (spent - together) / subject.total_us)
        evidence += f"; fused into one operator, {together / 1e3:.2f} ms here"
        if cost < SAME_WITHIN:
            evidence += ": fusing would win little"
    return Finding(
        f"attention is not fused in {unfused} of {unfused + fused} layers",
        evidence,
        f"compress export MODEL --fuse always, {COMPARE}: fusing is not always faster",
        cost,
    )


def casts(subject: ProfiledGraph) -> Finding | None:
    """A finding if number formats change: fp16 weights on a processor that computes in fp32, or other casts."""
    ran = [node for node in subject.nodes if node.op == "Cast"]
    if any("float16" in {kind for kind, _ in (*node.inputs, *node.outputs)} for node in ran):
        what = "the graph is fp16, and onnxruntime computes it as fp32 here"
        fix = "ship fp32 or int8 for this machine (compress export, compress quantize); fp16 is for GPUs"
    elif subject.share(ran) >= SAME_WITHIN:
        what, fix = "number formats change back and forth", "export it again: compress export"
    else:
        return None
    return Finding(what, f"{len(ran)} Cast nodes take {_time_share(subject, ran)}", fix, subject.share(ran))


def dequantized_tables(subject: ProfiledGraph) -> Finding | None:
    """A finding if large constants are converted to floats as a whole in every call."""
    weights = {item.name: tuple(item.dims) for item in subject.model.graph.initializer}
    tables = {
        weights[node.input[0]]
        for node in subject.model.graph.node
        if node.op_type == "DequantizeLinear" and math.prod(weights.get(node.input[0], (0,))) >= TABLE_ELEMENTS
    }
    ran = [node for node in subject.nodes if node.op == "DequantizeLinear" and node.shape in tables]
    if subject.share(ran) < MATTERS:
        return None
    largest = max((node.shape for node in ran), key=math.prod)
    return Finding(
        f"large weights are dequantized in every call, the largest {' x '.join(map(str, largest))}",
        f"{len(ran)} DequantizeLinear nodes take {_time_share(subject, ran)}",
        "look rows up first and dequantize those alone (compress quantize does), or keep the table in float",
        subject.share(ran),
    )


def packed_tables(subject: ProfiledGraph) -> Finding | None:
    """A finding if lookups in 4-bit tables take long."""
    ran = [node for node in subject.nodes if node.op == "GatherBlockQuantized"]
    if subject.share(ran) < SAME_WITHIN:
        return None
    return Finding(
        "looking rows up in 4-bit embedding tables is slow",
        f"{len(ran)} GatherBlockQuantized nodes take {_time_share(subject, ran)}",
        f"compress quantize FLOAT --how onnx_4bit --no-embeddings, {COMPARE}: the file grows by the tables",
        subject.share(ran),
    )


def rounding(subject: ProfiledGraph) -> Finding | None:
    """A finding if dynamic quantization rounds in nodes of its own, outside of the products."""
    names = {"DynamicQuantizeLinear"}
    if any(node.op == "MatMulInteger" for node in subject.nodes):
        names |= {"Cast", "Mul"}  # these scale the products' results
    ran = [node for node in subject.nodes if node.op in names]
    kinds = sorted({node.op for node in ran})
    if "DynamicQuantizeLinear" not in kinds or subject.share(ran) < SAME_WITHIN:
        return None
    return Finding(
        "rounding activations to int8 in every call takes time of its own",
        f"{len(ran)} nodes ({', '.join(kinds)}) take {_time_share(subject, ran)}",
        f"fuse before quantizing: compress export --fuse always, compress quantize, {COMPARE}",
        subject.share(ran),
    )


def skip_norm(subject: ProfiledGraph) -> Finding | None:
    """A finding if onnxruntime runs a fused norm slower than its parts."""
    ran = [node for node in subject.nodes if node.op == NORMS[0] and len(node.shape) == 3]
    if subject.share(ran) < MATTERS:
        return None
    batch, length, width = ran[0].shape
    fused, apart = (subject.operator(name, (batch, length, width)) for name in NORMS)
    if apart > 0.8 * fused:
        return None
    is_in_file = any(node.op_type == NORMS[0] for node in subject.model.graph.node)
    fix = (
        f"compress export MODEL, which keeps the two apart (and quantize again), {COMPARE}"
        if is_in_file
        else "onnxruntime fuses it while loading: compress export MODEL (and quantize again) writes a graph that it "
        'leaves alone, or InferenceSession(…, disabled_optimizers=["SkipLayerNormFusion"])'
    )
    return Finding(
        "SkipLayerNormalization is slower here than the two operators that it stands for",
        f"{len(ran)} nodes take {_time_share(subject, ran)}; alone one takes {fused:.0f} us, "
        f"Add with LayerNormalization {apart:.0f} us",
        fix,
        subject.share(ran) * (1 - apart / fused),
    )


def shape_arithmetic(subject: ProfiledGraph) -> Finding | None:
    """A finding if nodes that give only whole numbers and truth values take long."""
    ran = [node for node in subject.nodes if node.outputs and {kind for kind, _ in node.outputs} <= {"int64", "bool"}]
    if subject.share(ran) < SAME_WITHIN or _counts_ngrams(subject):
        return None
    return Finding(
        "the graph works out shapes and masks in every call",
        f"{len(ran)} of {len(subject.nodes)} nodes do so, and take {_time_share(subject, ran)}",
        f"compress export MODEL --fuse always drops most of them, {COMPARE}",
        subject.share(ran),
    )


def other_work(subject: ProfiledGraph) -> Finding | None:
    """A finding if much of the time is outside of products and attention."""
    spent: dict[str, float] = defaultdict(float)
    for node in subject.nodes:
        if node.op not in PRODUCTS and node.op not in FUSED_ATTENTION and not in_attention(node):
            spent[node.op] += node.us / subject.total_us
    share = sum(spent.values())
    if share < OTHER_MATTERS or _counts_ngrams(subject):
        return None
    most = sorted(spent.items(), key=lambda item: item[1], reverse=True)[:4]
    return Finding(
        f"{share:.0%} of the time goes to other than matrix products and attention",
        ", ".join(f"{op} {part:.0%}" for op, part in most),
        "compress export MODEL --fuse always makes one operator each of Gelu and of LayerNormalization"
        if {"Erf", "ReduceMean"} & set(spent)
        else "neither number formats nor pruned neurons shrink this; fewer layers do (compress distill)",
    )


def not_on_cuda(subject: ProfiledGraph) -> Finding | None:
    """A finding if the CUDA provider leaves nodes to the processor, which needs copies."""
    if subject.cuda is None:
        return None
    copies = [node for node in subject.cuda if node.op.startswith("Memcpy")]
    on_processor = [node for node in subject.cuda if node.provider == "CPUExecutionProvider" and node not in copies]
    if not copies and not on_processor:
        return None
    share = sum(node.us for node in (*copies, *on_processor)) / (sum(node.us for node in subject.cuda) or 1.0)
    listed = ", ".join(f"{count} {op}" for op, count in Counter(node.op for node in on_processor).most_common(5))
    return Finding(
        f"on CUDA, {len(on_processor)} of {len(subject.cuda)} nodes run on the processor, "
        f"with {len(copies)} copies between",
        f"{listed or 'copies alone'}: {share:.0%} of the time there",
        f"compress export MODEL --fuse always drops most of them, {COMPARE}",
    )


def _counts_ngrams(subject: ProfiledGraph) -> bool:
    """Whether the graph hashes n-grams of tokens: its work is on whole numbers, and it has no layers."""
    return any(node.op_type == "Mod" for node in subject.model.graph.node)


def _time_share(subject: ProfiledGraph, nodes: Sequence[Node]) -> str:
    return f"{sum(node.us for node in nodes) / 1e3:.2f} ms, {subject.share(nodes):.0%} of the time"
