"""Fine-tune a pretrained model on the task: the teacher.

Use it first. Any model that transformers loads for the task will do; its classes become the data's labels. Costs the
most time of all stages: one pass is about 3x the cost of running the model over the training rows.

```yaml
- {name: teacher, stage: finetune, model: "hf://org/name@main", epochs: 3, learning_rate: 5.0e-5, patience: 1}
```

A model that is fine-tuned already, with a head for the data's labels, is taken as it is by `epochs: 0`: it costs
nothing, reads no rows, and its outputs are put into the order of the data's labels.

The head starts at random, so it learns at a higher rate than the encoder (Howard & Ruder 2018,
arXiv:1801.06146, section 3.2, discriminative fine-tuning).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from compress.context import Context, KnownStep
from compress.data.labels import shortened
from compress.errors import InputError
from compress.models.config_file import head_problem
from compress.stages import Input, Stage, StageConfig
from compress.store.artifacts import Artifact
from compress.training.config import TrainingConfig


class Config(StageConfig, TrainingConfig):
    """The training's settings."""

    epochs: float = Field(2.0, ge=0, le=10_000)
    """Passes over the rows that are trained on; 0 takes a model as it is that has a head for the data's labels."""

    @property
    def takes_as_it_is(self) -> bool:
        """Whether nothing is trained."""
        return self.epochs == 0


def run(*, model: Artifact, config: Config, context: Context, out: Path) -> dict[str, Any]:
    """Train every weight on the labels, and keep the epoch that is best on the validation rows."""
    from compress.models.load import load_model, save_model
    from compress.models.tokenizer import copy_tokenizer, load_tokenizer
    from compress.training.loop import set_seed, train

    if config.takes_as_it_is:
        _check_head(model.path, context.task.hub_task, context.task.labels)
    set_seed(context.seed)
    network = load_model(
        model.path,
        context.task.hub_task,
        labels=context.task.labels,
        own_head=config.takes_as_it_is,
        trust_remote_code=context.trust_remote_code,
    )
    facts: dict[str, Any] = {}
    if not config.takes_as_it_is:
        facts = train(network, load_tokenizer(model.path), config, context, what="fine-tuning")
    save_model(network, out)
    copy_tokenizer(model.path, out)
    return facts


def _trains(config: Config) -> bool:
    """Whether anything is trained, which alone needs rows."""
    return not config.takes_as_it_is


def _check(step: KnownStep) -> None:
    """Refuse to take a model from outside as it is that has no head for the data's labels."""
    if step.config.takes_as_it_is and step.model.step is None:
        _check_head(step.model.origin, step.task.hub_task, step.task.labels)


def _check_head(folder: Path, hub_task: str, labels: Sequence[str]) -> None:
    """Refuse a model that cannot answer the task as it is.

    Raises:
        InputError: it has no head for the task, or one with other labels.
    """
    if not labels:
        raise InputError(
            "with epochs: 0 a model is taken as it is, if its labels are the data's, and there are no data",
            fix="give rows with labels: task.train or task.test",
        )
    problem = head_problem(folder, hub_task, labels)
    if problem is not None:
        raise InputError(
            f"with epochs: 0 the model '{folder.name}' is taken as it is, but {problem}; the data has the labels "
            f"{shortened(labels)}",
            fix="raise epochs above 0, which trains a head for these labels, or name the data's labels as the model's",
        )


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("torch", head="made")},
    output="torch",
    version=4,
    tag="fine-tuned",
    makes_teacher=True,
    needs_data=_trains,
    check=_check,
)
