"""Round the table of token embeddings to few decimals, so that an archive of the model is smaller.

Use it before publishing a model that is not quantized. Costs seconds.

```yaml
- {name: coarse, stage: coarsen_embeddings, decimals: 2}
```
"""

from pathlib import Path
from typing import Any

from pydantic import Field

from compress.context import Context
from compress.stages import Input, Stage, StageConfig
from compress.store.artifacts import Artifact

INTERFACE = 1


class Config(StageConfig):
    """How coarse."""

    decimals: int = Field(2, ge=0, le=6)
    """Decimals that stay."""


def run(*, model: Artifact, config: Config, context: Context, out: Path) -> dict[str, Any]:
    """Load, round, save."""
    from compress.models.load import load_model, save_model
    from compress.models.reshape import model_shape
    from compress.models.tokenizer import copy_tokenizer

    network = load_model(model.path, context.task.hub_task)
    weight = network.get_input_embeddings().weight.data
    rounded = weight.round(decimals=config.decimals)
    largest = float((rounded - weight).abs().max())
    weight.copy_(rounded)
    save_model(network, out, model_shape(network))
    copy_tokenizer(model.path, out)
    return {"largest_change": largest}


STAGE = Stage(Config, run, inputs={"model": Input("torch")}, output="torch", version=1, needs_data=False)
