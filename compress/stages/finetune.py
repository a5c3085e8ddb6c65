"""Fine-tune a pretrained model on the task: the teacher.

Use it first. Any model that transformers loads for the task will do; its classes become the data's labels. Costs the
most time of all stages: one pass is about 3x the cost of running the model over the training rows.

```yaml
- {name: teacher, stage: finetune, model: "hf://org/name@main", epochs: 3, learning_rate: 5.0e-5, patience: 1}
```

The head starts at random, so it learns at a higher rate than the encoder (Howard & Ruder 2018,
arXiv:1801.06146, section 3.2, discriminative fine-tuning).
"""

from pathlib import Path
from typing import Any

from compress.context import Context
from compress.stages import Input, Stage, StageConfig
from compress.store.artifacts import Artifact
from compress.training.config import TrainingConfig


class Config(StageConfig, TrainingConfig):
    """The training's settings."""


def run(*, model: Artifact, config: Config, context: Context, out: Path) -> dict[str, Any]:
    """Train every weight on the labels, and keep the epoch that is best on the validation rows."""
    from compress.models.load import load_model, save_model
    from compress.models.tokenizer import copy_tokenizer, load_tokenizer
    from compress.training.loop import set_seed, train

    set_seed(context.seed)
    network = load_model(
        model.path,
        context.task.hub_task,
        labels=context.task.labels,
        trust_remote_code=context.trust_remote_code,
    )
    facts = train(network, load_tokenizer(model.path), config, context, what="fine-tuning")
    save_model(network, out)
    copy_tokenizer(model.path, out)
    return facts


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("torch", head="made")},
    output="torch",
    version=4,
    tag="fine-tuned",
    makes_teacher=True,
)
