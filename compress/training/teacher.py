"""Training under a teacher.

What the teacher says of the rows is computed once, kept in the store, and shared by all steps that want it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compress.context import Context
from compress.models.load import load_model
from compress.models.tokenizer import Tokenizer, load_tokenizer
from compress.store.artifacts import Artifact
from compress.training.config import DistillationConfig
from compress.training.loop import Lesson, set_seed, train, training_length
from compress.training.matching import check_same_ids
from compress.training.objective import Inside, Objective
from compress.training.rows import Outputs
from compress.training.teacher_outputs import ask, read_outputs
from compress.training.variants import read_variants, variants


def train_under_teacher(
    student: Any,
    tokenizer: Tokenizer,
    teacher: Artifact | Sequence[Artifact],
    config: DistillationConfig,
    context: Context,
    *,
    what: str,
    masked_model: Artifact | None = None,
) -> dict[str, Any]:
    """Train `student` in place on the teacher's outputs and the labels; see `compress.training.loop.train`.

    Without a weight for what the teacher says, it is not asked, and only the labelled rows are trained on.

    Args:
        teacher: one, or several whose distributions are averaged.
        masked_model: what puts new words into variants, where the settings say so.

    Raises:
        InputError: the settings look inside the teacher, and it reads other token ids than the student.
    """
    teachers = [teacher] if isinstance(teacher, Artifact) else list(teacher)
    inside = _inside(student, tokenizer, teachers, config, context)
    objective = Objective(config, inside)
    try:
        lesson = _lesson(teachers, masked_model, objective, config, context)
        return train(student, tokenizer, config, context, what=what, lesson=lesson)
    finally:
        objective.close()


def _inside(
    student: Any, tokenizer: Tokenizer, teachers: Sequence[Artifact], config: DistillationConfig, context: Context
) -> Inside | None:
    """The parts of the loss that look inside, if any has a weight."""
    if not config.reads_states:
        return None
    (teacher,) = teachers  # several are refused by the plan
    check_same_ids(tokenizer.gives_ids_of(load_tokenizer(teacher.path)))
    model = load_model(teacher.path, context.task.hub_task, trust_remote_code=context.trust_remote_code)
    set_seed(context.seed)  # the projection must not depend on whether the teacher's outputs were there already
    return Inside(config, student, model.to(context.device))


def _lesson(
    teachers: Sequence[Artifact],
    masked_model: Artifact | None,
    objective: Objective,
    config: DistillationConfig,
    context: Context,
) -> Lesson:
    """The rows to learn from, with what the teachers say of them."""
    task, whole = context.task, context.train_rows
    if not config.asks_teacher:
        return Lesson(task.train, (), objective, whole)
    rows, whole = [*task.train, *task.unlabelled], whole + context.unlabelled_rows
    length = training_length(config.train_length, context)
    asked = teachers if config.soft_weight > 0 else []
    parts = [[teacher_outputs(one, rows, length, context, what=_asking(one, teachers), whole=whole)] for one in asked]
    if config.augment.makes_variants:
        made = variants(rows, config.augment, teachers[0], masked_model, length, context, whole=whole)
        new = read_variants(made, task)
        more = round(whole * len(new) / len(rows))
        for one, said in zip(asked, parts, strict=True):
            what = f"{_asking(one, teachers)} about variants"
            said.append(teacher_outputs(one, new, length, context, what=what, whole=more, made=made))
        rows += new
        whole += more
    return Lesson(rows, parts, objective, whole, objective.inputs)


def _asking(teacher: Artifact, teachers: Sequence[Artifact]) -> str:
    if len(teachers) == 1:
        return "asking the teacher"
    return f"asking teacher {teachers.index(teacher) + 1} of {len(teachers)}"


def teacher_outputs(
    teacher: Artifact,
    rows: Sequence[Any],
    length: int,
    context: Context,
    *,
    what: str,
    whole: int,
    made: Artifact | None = None,
) -> Outputs:
    """The teacher's outputs of rows, in the rows' order; see `compress.training.teacher_outputs.ask`.

    Args:
        made: the by-product that holds the rows; None for the task's own.
    """

    def make(out: Path) -> dict[str, Any]:
        return ask(teacher, rows, length, context, out, what=what, whole=whole)

    inputs = {"teacher": teacher.key} | ({"rows": made.key} if made else {})
    return read_outputs(context.cached("teacher_logits", {"max_length": length}, inputs, make).path)
