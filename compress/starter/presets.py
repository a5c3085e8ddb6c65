"""The presets of a first recipe: how far a model is compressed, and with which settings.

`search` takes or trains a teacher and leaves the rest to a search. `small` is quick: a third of the layers, then half
of the heads and neurons. `strongest` reduces the vocabulary, the width and the layers at once, and trains on variants
of the rows to make up for it. Its settings follow from the rows, the classes and the model's sizes, by rules that give
those of the shipped recipes, but that the narrow student is cut little by little.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from compress.errors import InputError
from compress.models.architectures import Shape

Preset: TypeAlias = Literal["search", "small", "strongest"]

STUDENT_LAYERS = 2
WIDTH = 1 / 3
WIDTH_OF_MANY = 5 / 12
"""Share of the teacher's channels that a student keeps, of few classes and of many."""
MANY_CLASSES = 16
NEURONS = 2
NEURONS_OF_MANY = 3
"""Feed-forward neurons for each of the student's channels."""
FEWEST_EPOCHS = 3
FEWEST_EPOCHS_OF_MANY = 5
"""The teacher's fewest epochs, with few classes and with many."""
SEEN_ROWS = 175_000
"""Rows and variants that a student sees in all its epochs together, within the limits of epochs."""
TEXTS = 16_000
"""Variants of all rows together, within the limits for each row."""
COMMON_LABEL = 200
"""Rows and variants of a label below which it gets more variants."""
REFERENCE_WIDTH = 128
"""Channels of the student from whose learning rate all others are scaled."""
READS_FIRST_TOKEN = frozenset({"bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert"})

STEPS_SMALL = """\
  # the student: some of the teacher's layers, taught what the teacher says
  - {{name: student, stage: distill, layers: {layers}, epochs: {student_epochs}, learning_rate: 3.0e-4}}
  # heads and feed-forward neurons that matter least are removed; then the student recovers under the teacher
  - name: pruned
    stage: prune_structured
    teacher: teacher
    heads: 0.5
    ffn: 0.5
    recover: {{epochs: {epochs}, learning_rate: 3.0e-4}}
"""

STEPS_UNKNOWN = """\
  # layers, heads and neurons of this architecture are not known: a student of its own layers cannot be taken, nor
  # pruned; another model can be taught with {{stage: distill, student: SOURCE}}
"""

STEPS_STRONGEST = """\
  # tokens that the training rows do not use leave the vocabulary
  - {{name: trimmed, stage: trim_vocabulary, min_count: 1}}
  # the student: {layers} of the teacher's layers, {hidden} of its {whole} channels
  - name: student
    stage: distill
    teacher: teacher
    student: trimmed
    layers: {layers}
    hidden: {hidden}
    heads: {heads}
    ffn: {ffn}
    epochs: {student_epochs}
    batch_size: 32
    learning_rate: {rate}
    head_learning_rate: {head_rate}
    attention_dropout: 0.0
    # variants of the rows, of which the teacher says what they are
    augment: {augment}
"""


TEACHER = """\
  # the teacher: the model, trained on your labels
  - name: teacher
    stage: finetune
    model: {model}
    epochs: {epochs}
    attention_dropout: 0.0
    learning_rate: 1.0e-4
    head_learning_rate: 3.0e-3
"""
TEACHER_SMALL = """\
  # the teacher: the model, trained on your labels
  - {{name: teacher, stage: finetune, model: {model}, epochs: {epochs}, learning_rate: 1.0e-4, patience: 1}}
"""
TEACHER_AS_IT_IS = """\
  # the teacher: the model as it is, since it gives your labels already; epochs: {epochs} would train it on your rows
  - {{name: teacher, stage: finetune, model: {model}, epochs: 0}}
"""

SEARCH = """
# then the smallest model that keeps the goal is searched for, by rows that are held out of train
search:
  minimize: latency       # or size
  # budget_minutes: 90    # left out: as long as it needs
"""


@dataclass(frozen=True)
class Steps:
    """The steps of a recipe as text, and the speed-up and drop that they aim at.

    Attributes:
        min_speedup: None where the speed-up has no least value.
        search: the recipe's part on a search, as text.
    """

    text: str
    min_speedup: float | None
    max_drop_pp: float = 2.0
    search: str = ""


def teacher_epochs(rows: int) -> int:
    """The teacher's number of epochs: many for few rows, two for many rows."""
    return min(10, max(2, round(8_000 / max(rows, 1))))


def strong_teacher_epochs(counts: Mapping[str, int]) -> int:
    """The number of epochs of a teacher that is to be as good as it can."""
    fewest = FEWEST_EPOCHS_OF_MANY if len(counts) >= MANY_CLASSES else FEWEST_EPOCHS
    return max(fewest, teacher_epochs(sum(counts.values())))


def searched(model: str, shape: Shape | None, counts: Mapping[str, int], *, as_it_is: bool = False) -> Steps:
    """The teacher alone, and the search for the smallest model that loses no more than a point."""
    del shape
    teacher = TEACHER_AS_IT_IS if as_it_is else TEACHER
    text = teacher.format(model=model, epochs=strong_teacher_epochs(counts))
    return Steps(text, min_speedup=None, max_drop_pp=1.0, search=SEARCH)


def small(model: str, shape: Shape | None, counts: Mapping[str, int], *, as_it_is: bool = False) -> Steps:
    """The steps of `small`: fewer layers by distillation, then fewer heads and neurons by pruning."""
    epochs = teacher_epochs(sum(counts.values()))
    template = STEPS_SMALL if shape else STEPS_UNKNOWN
    smaller = template.format(
        layers=max(1, shape.layers // 3) if shape else 0, student_epochs=2 * epochs, epochs=epochs
    )
    teacher = TEACHER_AS_IT_IS if as_it_is else TEACHER_SMALL
    text = (
        f"{teacher.format(model=model, epochs=epochs)}{smaller}  - {{name: onnx, stage: export_onnx}}\n"
        "  - {name: int8, stage: quantize_onnx_dynamic}\n"
    )
    return Steps(text, min_speedup=4 if shape else 1.1)


def strongest(model: str, shape: Shape | None, counts: Mapping[str, int], *, as_it_is: bool = False) -> Steps:
    """The steps of `strongest`: less vocabulary, layers and width at once, by distillation on variants of the rows.

    Raises:
        InputError: the model's architecture is unknown, or the model is pruned already.
    """
    if shape is None or not shape.is_plain:
        why = "is pruned already" if shape else "is of an architecture whose parts are not known"
        raise InputError(
            f"the model {why}: no narrower student can be cut out of it", where="--preset", fix="take --preset small"
        )
    rows = sum(counts.values())
    many = len(counts) >= MANY_CLASSES
    epochs = strong_teacher_epochs(counts)
    hidden = shape.head_size * max(1, round((WIDTH_OF_MANY if many else WIDTH) * shape.hidden / shape.head_size))
    copies = min(10, max(2, round(TEXTS / max(rows, 1))))
    student_epochs = SEEN_ROWS / (max(rows, 1) * (1 + copies))
    rate = 2e-3 * min(1.0, (REFERENCE_WIDTH / hidden) ** 0.5)
    augment = f"{{copies: {copies}"
    if min(counts.values(), default=0) * (1 + copies) < COMMON_LABEL:
        augment += f", per_label: {COMMON_LABEL}"
    augment += ", mix: 0.5}" if many else "}"
    student = STEPS_STRONGEST.format(
        layers=min(STUDENT_LAYERS, shape.layers),
        hidden=hidden,
        whole=shape.hidden,
        heads=max(1, min(hidden // shape.head_size, *shape.heads)),
        ffn=min((NEURONS_OF_MANY if many else NEURONS) * hidden, *shape.neurons),
        student_epochs=min(20, max(4, round(student_epochs))),
        rate=f"{rate:.1e}".replace("e-0", "e-"),
        head_rate=f"{3 * rate:.1e}".replace("e-0", "e-"),
        augment=augment,
    )
    skipped = "  - {name: skipped, stage: skip_unread_tokens}\n" if shape.model_type in READS_FIRST_TOKEN else ""
    teacher = TEACHER_AS_IT_IS if as_it_is else TEACHER
    text = (
        f"{teacher.format(model=model, epochs=epochs)}{student}  - {{name: onnx, stage: export_onnx}}\n{skipped}"
        "  - {name: int8, stage: quantize_onnx_dynamic}\n"
    )
    return Steps(text, min_speedup=10 if shape.layers >= 3 * STUDENT_LAYERS else 3)


class _Writer(Protocol):
    """The writer of a preset's steps.

    Args:
        model: the model's source.
        counts: number of rows of each label.
        as_it_is: whether the model gives these labels already, and is the teacher without a training.
    """

    def __call__(
        self, model: str, shape: Shape | None, counts: Mapping[str, int], *, as_it_is: bool = False
    ) -> Steps: ...


PRESETS: Mapping[Preset, _Writer] = {
    "search": searched,
    "small": small,
    "strongest": strongest,
}
