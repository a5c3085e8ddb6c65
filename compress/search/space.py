"""The space of a search: which models are tried for a teacher and its data, with settings that follow from both.

No setting depends on test rows, or was chosen on them: the rules are those of the shipped presets and of the trials on
validation rows that `benchmarks/hard` tells of.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compress.models.architectures import ARCHITECTURES, Shape
from compress.models.elastic import Size
from compress.recipe.schema import Family
from compress.search.candidates import LAST, MODEL, ONNX, Candidate, RawStep
from compress.starter.presets import COMMON_LABEL, READS_FIRST_TOKEN

VARIED_ROWS = 90_000
"""Rows and variants that there are together, within the limits of variants."""
SEEN_ROWS = 30_000
"""Rows and variants that a student of whole layers sees in its whole training; on more rows, as many as there are."""
MOST_PASSES = 2.0
"""Passes over rows and variants in which it does so, at most: what is seen again and again is learned by heart."""
KEPT_TOKENS = 12_000
"""Tokens that transformers keep at least: on few rows, many words of texts to come have not been seen yet."""
MOST_COPIES = 12
TRANSFORMERS: tuple[Family, ...] = ("teacher", "layers", "pruned", "narrow", "elastic")
"""The families that are transformers."""
FEW_SEEN_ROWS = 30_000
"""Rows and variants below which a bag of n-grams wants a higher rate."""
ELASTIC = "elastic"
"""The name of the step that trains a student of all sizes."""
ELASTIC_SHARE = 0.5
"""Share of a student's whole training that it gets."""
NARROW_PASSES = 3
"""How many times more a narrow student sees them."""
WHOLE_RATE = 2e-4
"""Peak rate of a student of the teacher's width."""
RATE_GROWS = 2.0
"""Power of the ratio of widths by which it grows for a narrower one; a third of 384 channels wants some 2e-3."""
LONG_TEXTS = 0.1
"""Share of the texts that are longer than the model reads, from which on parts of them are worth learning from."""


@dataclass(frozen=True)
class Facts:
    """What a space depends on.

    Attributes:
        teacher: the name of the teacher's step.
        shape: the teacher's sizes; None where its architecture is not known.
        rows: training rows.
        counts: training rows by label.
        are_pairs: whether each row has two texts.
        cut: the share of the training texts that are longer than the model reads.
        unlabelled: rows without labels.
    """

    teacher: str
    shape: Shape | None
    rows: int
    counts: Sequence[int]
    are_pairs: bool
    cut: float
    unlabelled: int = 0

    @property
    def copies(self) -> int:
        """Variants of each row: the more, the fewer rows there are."""
        return max(1, min(MOST_COPIES, round(VARIED_ROWS / max(1, self.rows + self.unlabelled)) - 1))

    @property
    def augment(self) -> dict[str, Any]:
        """How rows are varied; one way for all students, so that the teacher is asked once."""
        rare = min(self.counts, default=0) * (1 + self.copies) < COMMON_LABEL
        settings: dict[str, Any] = {"copies": self.copies, "mix": 0.5, "parts": 0.3, "unchanged": 0.5}
        return {**settings, "per_label": COMMON_LABEL} if rare else settings

    @property
    def seen_rows(self) -> int:
        """Rows and variants in one pass."""
        return (self.rows + self.unlabelled) * (1 + self.copies)

    @property
    def passes(self) -> float:
        """Passes over rows and variants that a student of whole layers makes."""
        seen = max(SEEN_ROWS, self.rows + self.unlabelled)
        return round(min(MOST_PASSES, seen / max(1, self.seen_rows)), 4)


def candidates(facts: Facts, families: Sequence[Family] | None) -> list[Candidate]:
    """All candidates of the wanted families, whole trainings, the cheapest families first.

    Args:
        families: names; None: all.
    """
    wanted = families_of(facts, families)
    return [candidate for name, make in FAMILIES.items() if name in wanted for candidate in make(facts)]


def families_of(facts: Facts, families: Sequence[Family] | None) -> list[Family]:
    """The families that are tried: the wanted ones, or all; pruned and narrow where the teacher cannot be elastic."""
    shape = facts.shape
    elastic = shape is not None and shape.is_plain and shape.layers > 1 and ARCHITECTURES[shape.model_type].is_traced
    if families is None:
        needless = ("pruned", "narrow") if elastic else ("elastic",)
        return [name for name in (*FAMILIES, "elastic") if name not in needless]
    return [name for name in families if name != "elastic" or elastic]


def trimmed(facts: Facts) -> RawStep:
    """The step that takes out of the vocabulary what the training rows do not use: for tables that learn from them."""
    return {"name": "trimmed", "stage": "trim_vocabulary", "model": facts.teacher, "min_count": 1}


def spared(facts: Facts) -> RawStep:
    """The same for what keeps the teacher's embeddings: common words stay that the training rows lack."""
    return {**trimmed(facts), "at_least": KEPT_TOKENS}


def elastic_step(facts: Facts) -> RawStep:
    """The step that trains a student of all sizes."""
    settings = {"epochs": facts.passes * ELASTIC_SHARE, "learning_rate": 3e-4, "head_learning_rate": 3e-3}
    return {"name": ELASTIC, **student(facts), "stage": "distill_elastic", **settings}


def quick_ending(candidate: Candidate, facts: Facts) -> list[RawStep]:
    """The steps after an export, as a search makes them for each candidate: int8, with ranges taken while it runs."""
    if candidate.in_float:
        return ending(candidate, facts, None)
    bits = {"embedding_bits": 4} if candidate.family in TRANSFORMERS else {}
    return ending(candidate, facts, {"stage": "quantize_onnx_dynamic", **bits})


def ending(candidate: Candidate, facts: Facts, quantizing: RawStep | None) -> list[RawStep]:
    """The steps after an export.

    Args:
        quantizing: the step that quantizes, without its name and model; None: the graph stays in float.
    """
    steps: list[RawStep] = []
    reads_first = facts.shape is not None and facts.shape.model_type in READS_FIRST_TOKEN
    if candidate.family in TRANSFORMERS and reads_first:
        steps.append({"name": "skipped", "stage": "skip_unread_tokens", "model": ONNX})
    if quantizing is not None:
        steps.append({"name": LAST, "model": steps[-1]["name"] if steps else ONNX, **quantizing})
    return steps


def _teacher(facts: Facts) -> list[Candidate]:
    """The teacher as it is, which is the safest of all; and with fewer tokens, quantized."""
    smaller = ({**spared(facts), "name": MODEL},)
    return [
        Candidate("teacher-float", "teacher", "the teacher itself", (), in_float=True),
        Candidate("teacher", "teacher", "the teacher with fewer tokens, quantized", smaller),
    ]


def _linear(facts: Facts) -> list[Candidate]:
    """Linear models on words, fitted to the labels."""

    def linear(name: str, words: str, **settings: Any) -> Candidate:
        step = {"name": MODEL, "stage": "fit_linear", "model": "trimmed", **settings}
        return Candidate(name, "linear", words, (trimmed(facts), step))

    found = [
        linear("linear-1", "a linear model on single tokens", longest=1),
        linear("linear-2", "a linear model on single and double tokens", longest=2, buckets=65536),
    ]
    if facts.cut >= LONG_TEXTS and not facts.are_pairs:
        words = "a linear model on single and double tokens, fitted to parts of texts too"
        found.append(linear("linear-parts", words, longest=2, buckets=131072, parts=True))
    return found


def _ngrams(facts: Facts) -> list[Candidate]:
    """Bags of n-grams under the teacher."""
    rates = (0.15, 0.05) if facts.seen_rows < FEW_SEEN_ROWS else (0.05, 0.01)
    student = {"stage": "distill_ngrams", "teacher": facts.teacher, "student": "trimmed", "augment": facts.augment}
    return [
        Candidate(
            f"ngrams-{name}",
            "ngrams",
            f"a bag of n-grams under the teacher, rate {rate:g}",
            (trimmed(facts), {"name": MODEL, **student, "longest": 2, "learning_rate": rate, "epochs": 6.0}),
        )
        for name, rate in zip(("fast", "slow"), rates, strict=True)
    ]


def _convolution(facts: Facts) -> list[Candidate]:
    """Convolutions over the teacher's embeddings, under the teacher."""
    student = {"stage": "distill_convolution", "teacher": facts.teacher, "student": "trimmed", "epochs": 2.0}
    return [
        Candidate(
            f"convolution-{hidden}",
            "convolution",
            f"a convolution of {channels} channels over {hidden} channels of embeddings",
            (
                spared(facts),
                {"name": MODEL, **student, "hidden": hidden, "channels": channels, "augment": facts.augment},
            ),
        )
        for hidden, channels in ((96, 128), (48, 64))
    ]


def student(facts: Facts) -> dict[str, Any]:
    """What all students with a transformer have in common."""
    return {
        "stage": "distill",
        "teacher": facts.teacher,
        "student": "trimmed",
        "batch_size": 32,
        "attention_dropout": 0.0,
        "augment": facts.augment,
    }


def sized(facts: Facts, size: Size) -> RawStep:
    """The step that trains a student of a size: the narrower, the faster; narrow ones see more, in several cuts."""
    assert facts.shape is not None
    share = size.hidden / facts.shape.hidden
    passes, head_rate = (facts.passes, 2e-3) if share == 1 else (NARROW_PASSES * facts.passes, 6e-3)
    sizes = {"layers": size.layers, "heads": size.heads, "ffn": size.neurons}
    sizes |= {"hidden": size.hidden} if share < 1 else {}
    rates = {"learning_rate": round(WHOLE_RATE * share**-RATE_GROWS, 6), "head_learning_rate": head_rate}
    return {"name": MODEL, **student(facts), **sizes, "epochs": round(passes, 4), **rates}


def _layers(facts: Facts) -> list[Candidate]:
    """Some of the teacher's layers, whole, under the teacher."""
    if facts.shape is None:
        return []
    depths = sorted({round(facts.shape.layers * share / 6) for share in (1, 2, 3, 4, 5)} - {0, facts.shape.layers})
    settings = {"epochs": facts.passes, "learning_rate": 2e-4, "head_learning_rate": 2e-3}
    return [
        Candidate(
            f"layers-{depth}",
            "layers",
            f"{depth} of the teacher's {facts.shape.layers} layers",
            (spared(facts), {"name": MODEL, **student(facts), "layers": depth, **settings}),
        )
        for depth in depths
    ]


def _pruned(facts: Facts) -> list[Candidate]:
    """The teacher with fewer heads and neurons in all its layers."""
    if facts.shape is None:
        return []
    recover = {"epochs": facts.passes, "learning_rate": 2e-4, "head_learning_rate": 2e-3, "augment": facts.augment}
    recover |= {"batch_size": 32, "attention_dropout": 0.0}
    parts = {"teacher": facts.teacher, "heads": 0.5, "ffn": 0.5, "recover": recover}
    step = {"name": MODEL, "stage": "prune_structured", "model": "trimmed", **parts}
    return [Candidate("pruned", "pruned", "the teacher with half of its heads and neurons", (spared(facts), step))]


def _narrow(facts: Facts) -> list[Candidate]:
    """Few layers, narrow ones."""
    shape = facts.shape
    if shape is None or not shape.is_plain or shape.layers < 2:
        return []
    found = []
    for layers, share in ((2, 1 / 3), (2, 1 / 2), (3, 1 / 2)):
        hidden = shape.head_size * max(1, round(share * shape.hidden / shape.head_size))
        if layers >= shape.layers or hidden >= shape.hidden:
            continue
        heads = max(1, min(hidden // shape.head_size, *shape.heads))
        size = Size(layers, hidden, heads, 2 * hidden)
        words = f"{layers} layers of {hidden} channels"
        found.append(Candidate(f"narrow-{layers}x{hidden}", "narrow", words, (spared(facts), sized(facts, size))))
    return found


FAMILIES: Mapping[Family, Callable[[Facts], list[Candidate]]] = {
    "teacher": _teacher,
    "linear": _linear,
    "ngrams": _ngrams,
    "convolution": _convolution,
    "layers": _layers,
    "pruned": _pruned,
    "narrow": _narrow,
}
