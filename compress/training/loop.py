"""The training loop: a Hugging Face Trainer with length-bucketed batches and the best checkpoint kept."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from compress.context import Context
from compress.errors import CompressError
from compress.files.whole import fingerprint
from compress.models.inputs import input_names
from compress.models.tokenizer import Tokenizer
from compress.ops.hard_labels import hard_label_loss
from compress.ops.ragged import cut
from compress.store.cost import Meter
from compress.tasks import Task
from compress.training.batches import LABELS, Collator
from compress.training.callbacks import Report, StopAtNan
from compress.training.checkpoints import KeepCheckpoints, last_checkpoint
from compress.training.config import TrainingConfig, steps_between_validations, steps_of
from compress.training.optimizer import make_optimizer
from compress.training.order import ByLength
from compress.training.rows import EncodedRows, Outputs

_log = logging.getLogger(__name__)

Loss = Callable[[torch.Tensor, Mapping[str, torch.Tensor]], torch.Tensor]
"""A loss: (student logits, batch as a `Collator` makes it) -> scalar, a mean over the batch."""
OBJECTIVE = "distillation_objective"
"""Name of the module that holds a loss with parameters inside the student while it is trained: so the parameters are
optimised with the student, and saved in its checkpoints."""


@dataclass(frozen=True)
class Lesson:
    """The rows and the loss of a training.

    Attributes:
        rows: the task's training rows, and unlabelled rows and variants where a teacher says what they are.
        outputs: for each teacher its outputs, in parts that follow the order of the rows.
        loss: the loss to minimise; a module is trained with the student. None: the loss of the labels.
        run_rows: number of rows in the full run, also in a rehearsal with fewer.
        inputs: names of model inputs that the loss needs beside the student's own.
        facts: what is to be told of the rows.
    """

    rows: Sequence[Any]
    outputs: Sequence[Sequence[Outputs]]
    loss: Loss | None
    run_rows: int
    inputs: frozenset[str] = frozenset()
    facts: Mapping[str, Any] = field(default_factory=dict)


def train(
    model: Any,
    tokenizer: Tokenizer,
    config: TrainingConfig,
    context: Context,
    *,
    what: str,
    lesson: Lesson | None = None,
) -> dict[str, Any]:
    """Train `model` in place on the task's training rows; it ends with the weights of its best validation score.

    Args:
        what: name of the work, for the progress bar.
        lesson: the rows and the loss under a teacher. Left out: the training rows and their labels.

    Returns:
        Facts: steps, training losses, the validation score of each epoch, the best score.

    Raises:
        CompressError: the loss is no longer a number.
    """
    lesson = lesson or Lesson(context.task.train, (), None, context.train_rows)
    if config.attention_dropout is not None:
        set_attention_dropout(model, config.attention_dropout)
    set_seed(context.seed)
    if isinstance(lesson.loss, torch.nn.Module):
        model.add_module(OBJECTIVE, lesson.loss)
    trainer = _trainer(model, tokenizer, config, context, what, lesson)
    last = last_checkpoint(Path(trainer.args.output_dir))
    if last is not None:
        _log.info("%s goes on from %s", what, last.name)
    try:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    finally:
        if hasattr(model, OBJECTIVE):
            delattr(model, OBJECTIVE)
    model.eval().cpu()
    return _facts(trainer) | dict(lesson.facts)


def training_length(max_length: int | None, context: Context) -> int:
    """The number of tokens kept of each text while training: never more than the task keeps."""
    task_length = context.task.spec.max_length
    return min(max_length or task_length, task_length)


def set_seed(seed: int) -> None:
    """Seed every source of random numbers that training uses."""
    from transformers import set_seed as seed_all

    seed_all(seed)


def set_dropout(model: Any, share: float) -> None:
    """Set the share that each of a model's Dropout modules drops."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = share


def set_attention_dropout(model: Any, share: float) -> None:
    """Set the dropout of every attention module: its Dropout `dropout`, or its number `attention_dropout`."""
    for module in model.modules():
        if type(module).__name__.endswith("Attention"):
            if isinstance(getattr(module, "dropout", None), torch.nn.Dropout):
                module.dropout.p = share
            elif hasattr(module, "attention_dropout"):
                module.attention_dropout = share


def _label_loss(outputs: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The loss of the labels: the model's own; where each token has a label, one that no batch makes NaN."""
    if "counted" not in batch:
        loss: torch.Tensor = outputs.loss
        return loss
    return hard_label_loss(outputs.logits, batch["labels"], batch["counted"])


class _Trainer(Trainer):
    """A Trainer with our order of rows, loss and optimizer."""

    loss: Loss | None
    accepted: set[str]
    settings: TrainingConfig

    def _get_train_sampler(self, train_dataset: Any = None) -> ByLength:
        rows: Any = train_dataset or self.train_dataset
        step = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return ByLength(rows.lengths, step, self.args.data_seed)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        model_inputs = {name: inputs[name] for name in inputs if name in self.accepted}
        if self.loss is None or not model.training:
            outputs = model(**model_inputs)
            loss = _label_loss(outputs, inputs)
        else:
            del model_inputs["labels"]
            outputs = model(**model_inputs)
            loss = self.loss(outputs.logits, inputs)
        # T5 and BART return states beside the logits, and decoders their cache
        return (loss, {"loss": loss, "logits": outputs.logits}) if return_outputs else loss

    def _clip_grad_norm(self, model: Any) -> Any:
        """Clip the gradients but those of tables, which are sparse: Adam leaves their scale out of account."""
        dense = [one for one in model.parameters() if one.grad is not None and not one.grad.is_sparse]
        return self.accelerator.clip_grad_norm_(dense, self.args.max_grad_norm)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The optimizer; see `make_optimizer`."""
        if self.optimizer is None:  # type: ignore[has-type]
            self.optimizer = make_optimizer(self.model, self.settings, set(self.get_decay_parameter_names(self.model)))
        return self.optimizer


def _trainer(
    model: Any, tokenizer: Tokenizer, config: TrainingConfig, context: Context, what: str, lesson: Lesson
) -> _Trainer:
    """The Trainer of a training, with its rows, its loss and its callbacks."""
    task, length = context.task, training_length(config.train_length, context)
    rows = EncodedRows(lesson.rows, task, tokenizer, length, lesson.outputs)
    validation = EncodedRows(task.validation, task, tokenizer, length) if task.validation else None
    keep = KeepCheckpoints(context.stopping, Meter(context.work))
    callbacks: list[TrainerCallback] = [Report(context, config, what, lesson.run_rows), StopAtNan(), keep]
    if config.patience is not None and validation:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=config.patience))
    accepted = {*input_names(model), "labels"}
    trainer = _Trainer(
        model=model,
        args=_arguments(config, context, len(rows), what, evaluate=bool(validation)),
        data_collator=Collator(task, tokenizer, accepted | lesson.inputs),
        train_dataset=rows,
        eval_dataset=validation,
        compute_metrics=_metric(task) if validation else None,
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.loss, trainer.accepted, trainer.settings = lesson.loss, accepted, config
    # the loss is a mean over the batch, so the Trainer must divide by the accumulated steps itself
    trainer.model_accepts_loss_kwargs = False
    return trainer


def _metric(task: Task) -> Callable[[EvalPrediction], dict[str, float]]:
    """The task's metric on its validation rows, as the Trainer calls it."""

    def score(prediction: EvalPrediction) -> dict[str, float]:
        counted = prediction.label_ids[1] == 1 if task.outputs == "token" else None  # padding is -100
        outputs: Any = prediction.predictions if counted is None else cut(prediction.predictions, counted)
        answers, truth = task.answers(outputs, task.validation), task.truth(task.validation)
        return {"score": answers.outcome(truth, task.spec.metric).value}

    return score


def _precision(config: TrainingConfig, *, on_cpu: bool) -> str:
    """The number format of a training's matrix products.

    Raises:
        CompressError: the device does not have this format.
    """
    if config.precision == "fp16" and on_cpu:
        raise CompressError("a CPU does not train in fp16", fix="set precision: auto, bf16 or fp32")
    if config.precision != "auto":
        return config.precision
    if on_cpu:
        cpu: Any = torch.cpu
        return "bf16" if cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported() else "fp32"
    return "bf16" if torch.cuda.is_bf16_supported() else "fp16"


def _arguments(config: TrainingConfig, context: Context, rows: int, what: str, *, evaluate: bool) -> TrainingArguments:
    on_cpu = context.device == "cpu"
    half = _precision(config, on_cpu=on_cpu)
    steps = steps_of(config, rows)
    between = steps_between_validations(config, steps)
    validated = "no" if not evaluate else "epoch" if between is None else "steps"
    identity = fingerprint({"what": what, "config": config.model_dump(mode="json"), "rows": rows, "seed": context.seed})
    return TrainingArguments(
        output_dir=str(Path(context.work).resolve() / f"checkpoints-{identity[:16]}"),
        num_train_epochs=config.epochs,
        max_steps=min(steps, context.rehearsal.steps) if context.rehearsal else -1,
        learning_rate=config.learning_rate,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=4 * config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation,
        lr_scheduler_type="constant_with_warmup" if config.schedule == "constant" else config.schedule,
        warmup_steps=round(config.warmup * steps),
        max_grad_norm=config.max_grad_norm,
        bf16=half == "bf16",
        fp16=half == "fp16",
        use_cpu=on_cpu,
        eval_strategy=validated,
        save_strategy=validated,
        **({"eval_steps": between, "save_steps": between} if between else {}),
        restore_callback_states_from_checkpoint=True,
        load_best_model_at_end=evaluate,
        metric_for_best_model="score" if evaluate else None,
        greater_is_better=True if evaluate else None,
        logging_strategy="steps",
        logging_steps=10,
        logging_nan_inf_filter=False,
        seed=context.seed,
        data_seed=context.seed,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=list(LABELS) if context.task.outputs == "token" else None,
        dataloader_pin_memory=not on_cpu,
    )


def _facts(trainer: Trainer) -> dict[str, Any]:
    """Facts of a finished training, for the manifest."""
    history = trainer.state.log_history
    facts: dict[str, Any] = {
        "steps": trainer.state.global_step,
        "losses": [round(entry["loss"], 5) for entry in history if "loss" in entry],
        "validation_scores": [round(entry["eval_score"], 5) for entry in history if "eval_score" in entry],
    }
    if trainer.state.best_metric is not None:
        facts["best_validation_score"] = round(float(trainer.state.best_metric), 5)
    return facts
