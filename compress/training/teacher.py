"""Training under a teacher.

The teacher's outputs for the rows are computed once, kept in the store, and shared by all steps that need them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compress.context import Context
from compress.facts import Transfer
from compress.models.load import load_model, save_model
from compress.models.tokenizer import Tokenizer, copy_tokenizer, load_tokenizer
from compress.store.artifacts import Artifact
from compress.training.config import DistillationConfig
from compress.training.loop import Lesson, set_seed, train, training_length
from compress.training.matching import check_same_ids
from compress.training.objective import InsideLoss, Objective
from compress.training.rows import Outputs
from compress.training.teacher_outputs import ask, read_outputs
from compress.training.variants import read_variants, variants


def teach_student(
    student: Any,
    tokenizer: Tokenizer,
    origin: Artifact,
    teachers: Sequence[Artifact],
    masked_model: Artifact | None,
    config: DistillationConfig,
    context: Context,
    out: Path,
    *,
    objective: Objective | None = None,
) -> dict[str, Any]:
    """Train a student under its teachers, and write it to `out` with the tokenizer of the model that it starts from.

    Args:
        origin: the model that it starts from.
        objective: as in `train_under_teacher`.

    Returns:
        Facts for the manifest; see `train_under_teacher`.
    """
    facts = train_under_teacher(
        student,
        tokenizer,
        teachers,
        config,
        context,
        what="distilling",
        masked_model=masked_model,
        objective=objective,
    )
    save_model(student, out)
    copy_tokenizer(origin.path, out)
    return facts


def train_under_teacher(
    student: Any,
    tokenizer: Tokenizer,
    teacher: Artifact | Sequence[Artifact],
    config: DistillationConfig,
    context: Context,
    *,
    what: str,
    masked_model: Artifact | None = None,
    objective: Objective | None = None,
) -> dict[str, Any]:
    """Train `student` in place on the teacher's outputs and the labels; see `compress.training.loop.train`.

    If no part of the loss that needs the teacher has a weight, only the labelled rows are trained on.

    Args:
        teacher: one teacher, or several whose distributions are averaged.
        masked_model: the masked language model that puts new words into variants, if the settings need one.
        objective: the loss. Left out: that of the settings.

    Raises:
        InputError: the loss compares hidden states or relations, and the teacher reads other token ids.
    """
    teachers = [teacher] if isinstance(teacher, Artifact) else list(teacher)
    objective = objective or Objective(config, _inside_loss(student, tokenizer, teachers, config, context))
    try:
        lesson = _lesson(teachers, masked_model, objective, config, context)
        return train(student, tokenizer, config, context, what=what, lesson=lesson)
    finally:
        objective.close()


def _inside_loss(
    student: Any, tokenizer: Tokenizer, teachers: Sequence[Artifact], config: DistillationConfig, context: Context
) -> InsideLoss | None:
    """The part of the loss that compares hidden states and relations, if either has a weight."""
    if not config.reads_states:
        return None
    (teacher,) = teachers  # several are refused by the plan
    check_same_ids(tokenizer.gives_ids_of(load_tokenizer(teacher.path)))
    model = load_model(teacher.path, context.task.hub_task, trust_remote_code=context.trust_remote_code)
    set_seed(context.seed)  # the projection must not depend on whether the teacher's outputs were there already
    return InsideLoss(config, student, model.to(context.device))


def _lesson(
    teachers: Sequence[Artifact],
    masked_model: Artifact | None,
    objective: Objective,
    config: DistillationConfig,
    context: Context,
) -> Lesson:
    """The rows to learn from, with the teachers' outputs for them."""
    task, run_rows = context.task, context.train_rows
    if not config.asks_teacher:
        return Lesson(task.train, (), objective, run_rows)
    rows, run_rows = [*task.train, *task.unlabelled], run_rows + context.unlabelled_rows
    length = training_length(config.train_length, context)
    soft_label_teachers = teachers if config.soft_weight > 0 else []
    parts = [
        [teacher_outputs(teacher, rows, length, context, what=_work_name(teacher, teachers), run_rows=run_rows)]
        for teacher in soft_label_teachers
    ]
    facts: dict[str, Any] = {}
    if config.augment.makes_variants:
        artifact = variants(rows, config.augment, teachers[0], masked_model, length, context, run_rows=run_rows)
        new_rows = read_variants(artifact, task)
        new_run_rows = round(run_rows * len(new_rows) / len(rows))
        facts = Transfer(
            variants=len(new_rows),
            variants_in_test=artifact.facts.get("in_test", 0),
            variants_test_key=task.test_key,
        ).manifest_facts()
        for teacher, outputs in zip(soft_label_teachers if new_rows else [], parts, strict=False):
            what = f"{_work_name(teacher, teachers)} about variants"
            outputs.append(
                teacher_outputs(
                    teacher, new_rows, length, context, what=what, run_rows=new_run_rows, variants_artifact=artifact
                )
            )
        rows += new_rows
        run_rows += new_run_rows
    return Lesson(rows, parts, objective, run_rows, objective.inputs, facts)


def _work_name(teacher: Artifact, teachers: Sequence[Artifact]) -> str:
    """Name of the work of computing a teacher's outputs."""
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
    run_rows: int,
    variants_artifact: Artifact | None = None,
) -> Outputs:
    """The teacher's outputs of rows, in the rows' order; see `compress.training.teacher_outputs.ask`.

    Args:
        variants_artifact: the by-product that holds the rows; None for the task's own rows.
    """

    def make(out: Path) -> dict[str, Any]:
        return ask(teacher, rows, length, context, out, what=what, run_rows=run_rows)

    inputs = {"teacher": teacher.key} | ({"rows": variants_artifact.key} if variants_artifact else {})
    return read_outputs(context.cached("teacher_logits", {"max_length": length}, inputs, make).path)
