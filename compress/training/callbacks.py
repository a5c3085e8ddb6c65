"""Callbacks of a training: they report its progress, and end it when the loss is no longer a number."""

import logging
import math
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState

from compress.context import Context
from compress.errors import CompressError
from compress.training.config import TrainingConfig, steps_of

_log = logging.getLogger(__name__)

LOGGED = ("loss", "learning_rate", "eval_loss", "eval_score")
"""The Trainer's metrics that go to the log."""


class Report(TrainerCallback):
    """Reports how far the training is; not once a stop is requested, until the checkpoint is saved.

    Args:
        what: name of the work.
        run_rows: number of rows in the full run, also in a rehearsal with fewer.
    """

    def __init__(self, context: Context, config: TrainingConfig, what: str, run_rows: int) -> None:
        self.context, self.what = context, what
        self.steps = steps_of(config, run_rows)
        self.validated, self.validations = 0, (config.validations or math.ceil(config.epochs)) * context.validation_rows

    def on_step_end(self, _args: Any, state: TrainerState, _control: TrainerControl, **_: Any) -> None:
        """Report the step."""
        if not self.context.stopping():
            self.context.progress(self.what, state.global_step, self.steps)

    def on_prediction_step(self, args: Any, _state: TrainerState, _control: TrainerControl, **_: Any) -> None:
        """Report a batch of validation rows; only in a rehearsal."""
        if self.context.rehearsal is not None:  # elsewhere the bar of the training would jump
            self.validated = min(self.validated + args.per_device_eval_batch_size, self.validations)
            self.context.progress(f"{self.what}: validating", self.validated, self.validations)

    def on_train_end(self, _args: Any, state: TrainerState, _control: TrainerControl, **_: Any) -> None:
        """Fill the progress bar, also after an early end."""
        if state.global_step < self.steps and self.context.rehearsal is None:  # no better epoch came
            self.context.progress(self.what, self.steps, self.steps)

    def on_log(self, _args: Any, state: TrainerState, _control: TrainerControl, logs: dict[str, Any], **_: Any) -> None:
        """Write losses and scores to the log."""
        metrics: dict[str, Any] = {key: logs[key] for key in LOGGED if key in logs}
        if metrics:
            text = ", ".join(f"{key} {value:.4g}" for key, value in metrics.items())
            _log.info(
                "%s: step %d of %d: %s",
                self.what,
                state.global_step,
                self.steps,
                text,
                extra={"what": self.what, "step_number": state.global_step, **metrics},
            )


class StopAtNan(TrainerCallback):
    """Ends a training whose loss is no longer a number."""

    def on_log(self, _args: Any, state: TrainerState, _control: TrainerControl, logs: dict[str, Any], **_: Any) -> None:
        """Check the loss.

        Raises:
            CompressError: the loss is not finite.
        """
        if not math.isfinite(logs.get("loss", 0.0)):
            raise CompressError(
                f"the training loss is {logs['loss']} at step {state.global_step}",
                fix="lower learning_rate, or set precision: fp32",
            )
