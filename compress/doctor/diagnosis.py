"""Why an ONNX graph is not faster: what was executed, held against what this machine does elsewhere.

Every check is a function of a `Subject`: it reads the graph and the profile of one call, has a kernel or an operator
timed where a number is needed, and gives a `Finding` or None.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from compress.bench.flops import PRODUCTS
from compress.doctor import products
from compress.doctor.advice import Finding, times
from compress.doctor.executed import FUSED_ATTENTION, Node, Subject, in_attention, unfused_attention
from compress.doctor.products import COMPARE, MATTERS, SAME_WITHIN
from compress.doctor.surroundings import BUSY_CORES

TABLE_ELEMENTS = 100_000
OTHER_MATTERS = 0.3
NORMS = ("SkipLayerNormalization", "Add+LayerNormalization")
"""A fused operator, and the two that it stands for."""
OLD_OPSET = 13
ONE_FILE_BYTES = 2**31


def diagnose(subject: Subject) -> list[Finding]:
    """All findings, the costliest first, and those of unknown cost last."""
    return by_cost([check(subject) for check in CHECKS])


def by_cost(findings: Sequence[Finding | None]) -> list[Finding]:
    """Without those that are None, the costliest first, and those of unknown cost last."""
    found = [finding for finding in findings if finding is not None]
    return sorted(found, key=lambda finding: -1.0 if finding.cost is None else finding.cost, reverse=True)


def attention(subject: Subject) -> Finding | None:
    """Softmaxes between two products that no fused operator took in."""
    ran = [node for node in subject.nodes if node.op == "Softmax"]
    unfused = min(len(unfused_attention(subject.model.graph)), len(ran))
    if not unfused:
        return None
    fused = sum(node.op in FUSED_ATTENTION for node in subject.nodes)
    inside = [node for node in subject.nodes if in_attention(node)]
    told = f"its nodes take {_taken(subject, inside)}"
    cost = None
    shape = ran[0].shape
    sizes = [node.inputs[0][1][-1] for node in inside if node.op in PRODUCTS and node.shape == shape]
    if len(shape) == 4 and sizes:
        batch, heads, length, _ = shape
        together = unfused * subject.operator("MultiHeadAttention", (batch, length, heads * sizes[0]), heads)
        spent = sum(node.us for node in inside)
        cost = max(0.0, (spent - together) / subject.total_us)
        told += f"; fused into one operator, {together / 1e3:.2f} ms here"
        if cost < SAME_WITHIN:
            told += ": fusing would win little"
    return Finding(
        f"attention is not fused in {unfused} of {unfused + fused} layers",
        told,
        f"compress export MODEL --fuse always, {COMPARE}: fusing is not always faster",
        cost,
    )


def casts(subject: Subject) -> Finding | None:
    """fp16 weights on a processor that computes them as fp32, or other changes of the number format."""
    ran = [node for node in subject.nodes if node.op == "Cast"]
    if any("float16" in {kind for kind, _ in (*node.inputs, *node.outputs)} for node in ran):
        what = "the graph is fp16, and onnxruntime computes it as fp32 here"
        fix = "ship fp32 or int8 for this machine (compress export, compress quantize); fp16 is for GPUs"
    elif subject.share(ran) >= SAME_WITHIN:
        what, fix = "number formats change back and forth", "export it again: compress export"
    else:
        return None
    return Finding(what, f"{len(ran)} Cast nodes take {_taken(subject, ran)}", fix, subject.share(ran))


def dequantized_tables(subject: Subject) -> Finding | None:
    """Large constants that are turned into floats as a whole in every call."""
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
        f"{len(ran)} DequantizeLinear nodes take {_taken(subject, ran)}",
        "look rows up first and dequantize those alone (compress quantize does), or keep the table in float",
        subject.share(ran),
    )


def packed_tables(subject: Subject) -> Finding | None:
    """Lookups in 4-bit tables that take long."""
    ran = [node for node in subject.nodes if node.op == "GatherBlockQuantized"]
    if subject.share(ran) < SAME_WITHIN:
        return None
    return Finding(
        "looking rows up in 4-bit embedding tables is slow",
        f"{len(ran)} GatherBlockQuantized nodes take {_taken(subject, ran)}",
        f"compress quantize FLOAT --how onnx_4bit --no-embeddings, {COMPARE}: the file grows by the tables",
        subject.share(ran),
    )


def rounding(subject: Subject) -> Finding | None:
    """Dynamic quantization's own work, where it is not folded into the products."""
    names = {"DynamicQuantizeLinear"}
    if any(node.op == "MatMulInteger" for node in subject.nodes):
        names |= {"Cast", "Mul"}  # which scale its results
    ran = [node for node in subject.nodes if node.op in names]
    kinds = sorted({node.op for node in ran})
    if "DynamicQuantizeLinear" not in kinds or subject.share(ran) < SAME_WITHIN:
        return None
    return Finding(
        "rounding activations to int8 in every call takes time of its own",
        f"{len(ran)} nodes ({', '.join(kinds)}) take {_taken(subject, ran)}",
        f"fuse before quantizing: compress export --fuse always, compress quantize, {COMPARE}",
        subject.share(ran),
    )


def skip_norm(subject: Subject) -> Finding | None:
    """A fused norm that onnxruntime runs slower than its parts."""
    ran = [node for node in subject.nodes if node.op == NORMS[0] and len(node.shape) == 3]
    if subject.share(ran) < MATTERS:
        return None
    batch, length, width = ran[0].shape
    fused, apart = (subject.operator(name, (batch, length, width)) for name in NORMS)
    if apart > 0.8 * fused:
        return None
    written = any(node.op_type == NORMS[0] for node in subject.model.graph.node)
    fix = (
        f"compress export MODEL, which keeps the two apart (and quantize again), {COMPARE}"
        if written
        else "onnxruntime fuses it while loading: compress export MODEL (and quantize again) writes a graph that it "
        'leaves alone, or InferenceSession(…, disabled_optimizers=["SkipLayerNormFusion"])'
    )
    return Finding(
        "SkipLayerNormalization is slower here than the two operators that it stands for",
        f"{len(ran)} nodes take {_taken(subject, ran)}; alone one takes {fused:.0f} us, "
        f"Add with LayerNormalization {apart:.0f} us",
        fix,
        subject.share(ran) * (1 - apart / fused),
    )


def shape_arithmetic(subject: Subject) -> Finding | None:
    """Nodes that make nothing but whole numbers and truth values."""
    ran = [node for node in subject.nodes if node.outputs and {kind for kind, _ in node.outputs} <= {"int64", "bool"}]
    if subject.share(ran) < SAME_WITHIN:
        return None
    return Finding(
        "the graph works out shapes and masks in every call",
        f"{len(ran)} of {len(subject.nodes)} nodes do so, and take {_taken(subject, ran)}",
        f"compress export MODEL --fuse always drops most of them, {COMPARE}",
        subject.share(ran),
    )


def other_work(subject: Subject) -> Finding | None:
    """A large share outside of products and attention."""
    spent: dict[str, float] = defaultdict(float)
    for node in subject.nodes:
        if node.op not in PRODUCTS and node.op not in FUSED_ATTENTION and not in_attention(node):
            spent[node.op] += node.us / subject.total_us
    share = sum(spent.values())
    if share < OTHER_MATTERS:
        return None
    most = sorted(spent.items(), key=lambda item: item[1], reverse=True)[:4]
    return Finding(
        f"{share:.0%} of the time goes to other than matrix products and attention",
        ", ".join(f"{op} {part:.0%}" for op, part in most),
        "compress export MODEL --fuse always makes one operator each of Gelu and of LayerNormalization"
        if {"Erf", "ReduceMean"} & set(spent)
        else "neither number formats nor pruned neurons shrink this; fewer layers do (compress distill)",
    )


def thread_count(subject: Subject) -> Finding | None:
    """See `slow_threads`."""
    return slow_threads(subject.latency_ms, subject.threads, subject.busy_cores)


def slow_threads(latency_ms: Mapping[int, float], threads: int, busy_cores: float) -> Finding | None:
    """Another number of threads is faster, or more than one hardly help."""
    best = min(latency_ms, key=lambda count: (latency_ms[count], count))
    now, one = latency_ms[threads], latency_ms.get(1, math.inf)
    told = ", ".join(f"{ms:.2f} ms on {count}" for count, ms in sorted(latency_ms.items()))
    if latency_ms[best] < now * (1 - SAME_WITHIN):
        what = f"{best} {'thread is' if best == 1 else 'threads are'} faster than {threads}"
        fix, cost = f"set threads: {best}", 1 - latency_ms[best] / now
    elif threads > 1 and one / now < 1 + (threads - 1) / 4:
        what = f"{threads} threads are only {times([one / now])} as fast as one"
        fix, cost = f"for throughput run {threads} processes of one thread each, or larger batches", None
    else:
        return None
    if busy_cores >= BUSY_CORES:
        return Finding(
            what,
            f"{told}; but {busy_cores:.1f} cores were busy with other work meanwhile",
            "run doctor again when the machine is quiet, before you change anything",
        )
    return Finding(what, told, fix, cost)


def padding(subject: Subject) -> Finding | None:
    """See `padding_waste`; without rows, a graph of fixed length."""
    if subject.row_tokens:
        full_ms = subject.latency_ms[subject.threads]
        return padding_waste(subject.row_tokens, subject.length, subject.fixed_length, subject.typical, full_ms)
    if subject.fixed_length is None:
        return None
    return Finding(
        f"the graph takes {subject.fixed_length} tokens a row and nothing else",
        "a short row costs as much as the longest; add --test FILE to see how much of it is padding",
        "export it with a free sequence axis: compress export",
    )


def padding_waste(
    row_tokens: Sequence[int],
    length: int,
    fixed_length: int | None,
    typical: tuple[int, float] | None,
    full_ms: float,
) -> Finding | None:
    """Padding among the tokens that are computed when every row is brought to `length`, which takes `full_ms`."""
    wasted = 1 - sum(min(count, length) for count in row_tokens) / (length * len(row_tokens))
    if wasted < SAME_WITHIN:
        return None
    what = f"at {length} tokens a row, {wasted:.0%} of the tokens computed are padding"
    median = sorted(row_tokens)[len(row_tokens) // 2]
    told = f"half of {len(row_tokens):,} rows have {median} tokens or fewer"
    if fixed_length is not None:
        told += f", and the graph takes {fixed_length} and nothing else"
        return Finding(what, told, "export it with a free sequence axis: compress export", wasted)
    if typical is not None:
        told += f": {typical[0]} tokens take {typical[1]:.2f} ms, {length} take {full_ms:.2f} ms"
    return Finding(
        what,
        told,
        "pad to the longest row of a batch, not to a fixed length, and batch rows of like length",
        max(0.0, 1 - typical[1] / full_ms) if typical is not None else wasted,
    )


def age(subject: Subject) -> Finding | None:
    """An operator set that onnxruntime's fusions do not look for, or weights that could be fed."""
    model = subject.model
    opset = max((item.version for item in model.opset_import if item.domain in {"", "ai.onnx"}), default=OLD_OPSET)
    fed = {item.name for item in model.graph.initializer} & {item.name for item in model.graph.input}
    told = []
    if fed:
        told.append(f"{len(fed)} weights are also inputs, so onnxruntime may neither fold nor pack them")
    if opset < OLD_OPSET:
        told.append(f"onnxruntime's fusions look for operators of opset {OLD_OPSET} and later")
    if not told:
        return None
    what = f"the graph is of an old kind (opset {opset}, IR {model.ir_version})"
    return Finding(what, "; ".join(told), "export it again: compress export")


def external_data(subject: Subject) -> Finding | None:
    """Weights beside a graph that could hold them."""
    if not subject.external or sum(subject.external.values()) >= ONE_FILE_BYTES:
        return None
    listed = ", ".join(f"{name} ({size / 1e6:.1f} MB)" for name, size in subject.external.items())
    return Finding(
        "the weights stand in a file of their own",
        f"{listed}; below 2 GB one file can hold all. Calls are no slower for it",
        "ship both files together, or export again: compress export writes one",
    )


def not_on_cuda(subject: Subject) -> Finding | None:
    """Nodes that the CUDA provider left to the processor, and the copies that this makes."""
    if subject.cuda is None:
        return None
    copies = [node for node in subject.cuda if node.op.startswith("Memcpy")]
    left = [node for node in subject.cuda if node.provider == "CPUExecutionProvider" and node not in copies]
    if not copies and not left:
        return None
    share = sum(node.us for node in (*copies, *left)) / (sum(node.us for node in subject.cuda) or 1.0)
    listed = ", ".join(f"{count} {op}" for op, count in Counter(node.op for node in left).most_common(5))
    return Finding(
        f"on CUDA, {len(left)} of {len(subject.cuda)} nodes run on the processor, with {len(copies)} copies between",
        f"{listed or 'copies alone'}: {share:.0%} of the time there",
        f"compress export MODEL --fuse always drops most of them, {COMPARE}",
    )


def _taken(subject: Subject, nodes: Sequence[Node]) -> str:
    return f"{sum(node.us for node in nodes) / 1e3:.2f} ms, {subject.share(nodes):.0%} of the time"


CHECKS = (
    attention,
    products.number_format,
    products.accuracy_level,
    products.awkward_widths,
    products.left_in_float,
    casts,
    dequantized_tables,
    packed_tables,
    rounding,
    skip_norm,
    shape_arithmetic,
    other_work,
    thread_count,
    padding,
    age,
    external_data,
    not_on_cuda,
)
