"""Advice on what a machine can gain from int8, 4 bits, half precision and threads, measured before any work.

`time_machine` times single matrix products at the shapes of small and base encoders. `advise` says what follows from
them; it promises nothing, because a model gains less than its products do.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from compress.context import Progress
from compress.doctor.surroundings import BUSY_CORES, Machine, Rate, watched
from compress.machine.kernels import Kernel, time_kernels
from compress.machine.processor import INT8_SETS

SHAPES = ((384, 1536), (768, 3072))
"""(inputs, outputs) of a feed-forward matrix in a small and in a base encoder."""
TOKENS = (128, 32, 1)
INT8_KINDS = ("int8_dynamic", "int8_static")
ARITHMETIC = {"4bit_float": (0, "float"), "4bit": (4, "int8")}
"""Kinds of products of 4-bit weights -> their accuracy_level, and the arithmetic that it chooses."""
ONNX_KINDS = ("fp32", *INT8_KINDS, *ARITHMETIC, "onnx_fp16")
TORCH_KINDS = ("bf16",)
HALVES = ("onnx_fp16", "bf16")
"""Kinds in half precision, which are timed and judged only at the first of TOKENS."""
KERNEL_SECONDS = 0.08
PRODUCT_SHARES = (0.5, 0.8)
"""The usual lowest and highest share of an encoder's time in its matrix products."""
FASTER, SLOWER = 1.15, 0.87
"""Ratios between these count as no difference."""
CLEARLY = 1.05
"""Ratio from which on one kernel is called faster than another of its kind."""


class Finding(NamedTuple):
    """A reason why an artifact is not faster.

    Attributes:
        what: the reason in a sentence.
        evidence: the measured numbers behind it.
        fix: what to do about it.
        cost: largest share of a call's time that the fix would save; None if unknown.
    """

    what: str
    evidence: str
    fix: str
    cost: float | None = None


class Advice(NamedTuple):
    """Advice on one topic, in a sentence or two with their numbers.

    Attributes:
        topic: int8, 4-bit, fp16, bf16, threads, cores or load.
        warns: whether it is a warning that measurements or deployment suffer here.
    """

    topic: str
    text: str
    warns: bool = False


def time_machine(machine: Machine, threads: int, progress: Progress) -> Machine:
    """The machine with its rates: all kinds and shapes on 1 and on `threads` threads, fp32 and int8 also in between."""
    both = sorted({1, threads})
    between = [count for count in (2**power for power in range(1, 11)) if count < threads]
    jobs = [
        [
            (kind, tokens, *shape, count)
            for count in both
            for tokens in TOKENS
            for shape in SHAPES
            for kind in kinds
            if tokens == TOKENS[0] or kind not in HALVES
        ]
        for kinds in (ONNX_KINDS, TORCH_KINDS)  # torch gets its own process, because its idle threads keep spinning
    ]
    jobs[0] += [(kind, TOKENS[0], *SHAPES[-1], count) for count in between for kind in ("fp32", "int8_dynamic")]
    total = sum(map(len, jobs))
    timed: list[tuple[Any, float]] = []
    busy_cores = machine.busy_cores
    for job in jobs:

        def report_progress(turns: int, of: int, start: int = len(timed), size: int = len(job)) -> None:
            progress("timing this machine's kernels", start + turns * size // of, total)

        with watched() as others:
            rates = time_kernels([Kernel(*item) for item in job], KERNEL_SECONDS, report_progress)
        timed += list(zip(job, rates, strict=True))
        busy_cores = max(busy_cores, others.busy_cores)  # a mean over all jobs would hide a disturbance of the shortest
    fp32 = {item[1:]: rate for item, rate in timed if item[0] == "fp32"}
    return replace(
        machine,
        rates=tuple(Rate._make((*item, rate, rate / fp32[item[1:]])) for item, rate in timed),
        busy_cores=busy_cores,
    )


def advise(machine: Machine) -> list[Advice]:
    """The advice that follows from the measured rates."""
    advice = [make(machine) for make in (_int8, _four_bits, _fp16, _bf16, _scaling)] if machine.rates else []
    return [item for item in (*_warnings(machine), *advice) if item is not None]


def _most(machine: Machine) -> int:
    """The largest timed number of threads."""
    return max(rate.threads for rate in machine.rates)


def _ratios(machine: Machine, kind: str, tokens: int) -> list[float]:
    """The ratios of a kind for both shapes, at the largest number of threads."""
    key = (kind, tokens, _most(machine))
    return [rate.ratio for rate in machine.rates if (rate.kind, rate.tokens, rate.threads) == key]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def times(values: Iterable[float]) -> str:
    """A range of ratios as text: `3.0x to 3.6x`, or `3.7x` if both ends round to the same."""
    texts = list(dict.fromkeys(f"{value:.1f}x" if value >= 0.095 else f"{value:.2f}x" for value in sorted(values)))
    return texts[0] if len(texts) == 1 else f"{texts[0]} to {texts[-1]}"


def end_to_end(ratio: float, share: float) -> float:
    """Speed-up of the whole if a `share` of it becomes `ratio` times as fast (Amdahl 1967)."""
    return 1 / (1 - share + share / ratio)


def _int8(machine: Machine) -> Advice:
    """Advice on int8: the gain of the faster of the two ways to round activations."""
    dynamic, static = (_ratios(machine, kind, TOKENS[0]) for kind in INT8_KINDS)
    sets = ", ".join(name for name in machine.isa if name in INT8_SETS) or "no VNNI, no AMX"
    threads = f"{_most(machine)} thread{'' if _most(machine) == 1 else 's'}"
    measured = (
        f"dynamic {times(dynamic)}, static {times(static)} fp32's speed at {TOKENS[0]} tokens on {threads} ({sets})"
    )
    best = max(_mean(dynamic), _mean(static))
    if best >= FASTER:
        expected = times(end_to_end(best, share) for share in PRODUCT_SHARES)
        low, high = (f"{share:.0%}" for share in PRODUCT_SHARES)
        return Advice(
            "int8",
            f"{measured}. Where products take {low} to {high} of a model's time, the model gets {expected} as fast."
            + _which_int8(_mean(dynamic), _mean(static)),
        )
    if best >= 1:
        return Advice("int8", f"saves size, hardly time, on this machine: {measured}.")
    cost = "hardly costs time" if best > SLOWER else "costs time"
    return Advice("int8", f"neither pays here, dynamic nor static: it saves size and {cost}. {measured}.")


def _which_int8(dynamic: float, static: float) -> str:
    """A sentence if one of the two ways is clearly faster."""
    if static > CLEARLY * dynamic:
        return " Static is the faster: compress quantize --how onnx_static."
    return " Dynamic is the faster." if dynamic > CLEARLY * static else ""


def _four_bits(machine: Machine) -> Advice:
    """Advice on 4 bits: the speed at each number of tokens, and the faster accuracy_level."""
    ratios = {level: [_ratios(machine, kind, tokens) for tokens in TOKENS] for kind, (level, _) in ARITHMETIC.items()}
    speeds = [
        f"accuracy_level {level} ({name}) "
        + ", ".join(f"{times(ratios_at)} at {tokens}" for tokens, ratios_at in zip(TOKENS, ratios[level], strict=True))
        for level, name in ARITHMETIC.values()
    ]
    encoder = {
        level: _mean([ratio for length in ratios_at[:-1] for ratio in length]) for level, ratios_at in ratios.items()
    }
    decoder = {level: _mean(ratios_at[-1]) for level, ratios_at in ratios.items()}
    best = max(encoder.values())
    won = "it saves size and some time" if best >= FASTER else "it saves size only"
    lost = "" if best > SLOWER else ", and costs time"
    gain = "it gains" if max(decoder.values()) >= FASTER else "it gains nothing"
    return Advice(
        "4-bit",
        f"fp32's speed by tokens: {'; '.join(speeds)}. For an encoder take {_faster_level(encoder)}: {won}{lost}. "
        f"For decoding token by token take {_faster_level(decoder)}: {gain}.",
    )


def _faster_level(ratios: Mapping[int, float]) -> str:
    """The accuracy_level that is clearly faster, or both."""
    slower, faster = sorted(ratios, key=lambda level: ratios[level])
    return str(faster) if ratios[faster] > CLEARLY * ratios[slower] else " or ".join(map(str, sorted(ratios)))


def _fp16(machine: Machine) -> Advice:
    ratios = _ratios(machine, "onnx_fp16", TOKENS[0])
    measured = f"{times(ratios)} fp32's speed in onnxruntime at {TOKENS[0]} tokens"
    if _mean(ratios) >= FASTER:
        return Advice("fp16", f"{measured}: worth a try.")
    verdict = "computed as fp32 here" if _mean(ratios) > SLOWER else "slower than fp32 here"
    return Advice("fp16", f"{measured}: {verdict}, so it saves size only, and adds casts.")


def _bf16(machine: Machine) -> Advice:
    ratios = _ratios(machine, "bf16", TOKENS[0])
    measured = f"{times(ratios)} fp32's speed through torch at {TOKENS[0]} tokens"
    if _mean(ratios) >= FASTER:
        return Advice("bf16", f"{measured}: worth a try on a target of torch or openvino with precision: bf16.")
    return Advice("bf16", f"{measured}: no gain here.")


def _scaling(machine: Machine) -> Advice | None:
    rates = {
        rate.threads: rate.gflops
        for rate in machine.rates
        if (rate.kind, rate.tokens, rate.inputs, rate.outputs) == ("fp32", TOKENS[0], *SHAPES[-1])
    }
    gains = [f"{count} run fp32 products {rate / rates[1]:.1f}x as fast as 1" for count, rate in sorted(rates.items())]
    if len(gains) == 1:
        return None
    last = max(rates)
    efficient = rates[last] / rates[1] / last
    hint = "" if efficient >= 0.75 else f" Beyond {_knee(rates)}, run more processes rather than more threads."
    return Advice("threads", f"{', '.join(gains[1:])} at {TOKENS[0]} tokens.{hint}")


def _knee(rates: dict[int, float]) -> int:
    """The largest number of threads with at least three quarters of a single thread's rate in each."""
    return max(count for count, rate in rates.items() if rate / rates[1] / count >= 0.75)


def _warnings(machine: Machine) -> list[Advice]:
    warnings = []
    threads = machine.threads
    if threads < machine.processors:
        why = "its container's quota" if machine.allowed == machine.processors else "its set of allowed cores"
        allowed = f"{machine.quota_cores:.1f}" if machine.quota_cores and why.endswith("quota") else str(threads)
        text = (
            f"this process may use {allowed} of {machine.processors} processors ({why}); a runtime left to itself "
            f"may start {machine.processors} threads that wait for each other. Set threads: {threads}."
        )
        warnings.append(Advice("cores", text, warns=True))
    if machine.threads_per_core > 1:
        cores = max(1, machine.processors // machine.threads_per_core)
        text = (
            f"{machine.processors} processors are {cores} cores of {machine.threads_per_core} hardware threads: "
            f"products rarely gain from more than {cores} threads."
        )
        warnings.append(Advice("cores", text, warns=True))
    if machine.busy_cores >= BUSY_CORES:
        text = (
            f"other work kept {machine.busy_cores:.1f} of {machine.processors} processors busy, so no figure here is "
            "to be trusted. Run again when it is quiet."
        )
        warnings.append(Advice("load", text, warns=True))
    return warnings
