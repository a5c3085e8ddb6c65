"""A format of another package with its runtime, and the stage that writes it: what each token says, whatever stands
beside it.

Use it where any model is too large: it looks tokens up in a table. Costs seconds.

```yaml
- {name: table, stage: tabulate}
```
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.formats import Format
from compress.stages import Input, Stage, StageConfig

if TYPE_CHECKING:
    import numpy as np

    from compress.context import Context
    from compress.recipe.schema import Target
    from compress.runtimes import Predictor
    from compress.store.artifacts import Artifact

INTERFACE = 1
FORMATS = ("word_table",)
TABLE = "table.npy"


class Config(StageConfig):
    """How to look up."""

    smoothing: float = 1.0
    """How often each token counts as seen with no opinion of the model."""


def run(*, model: "Artifact", config: Config, context: "Context", out: Path) -> dict[str, Any]:
    """Write the mean of what the model says at each token of the training rows."""
    import shutil

    import numpy as np

    from compress.models.tokenizer import copy_tokenizer, load_tokenizer
    from compress.recipe.schema import Target
    from compress.runtimes import load as load_predictor

    task, tokenizer = context.task, load_tokenizer(model.path)
    predict = load_predictor(model.path, Target(runtime="torch"), task.hub_task)
    size, classes = tokenizer.fast.get_vocab_size(), len(task.labels)
    sums, counts = np.zeros((size, classes)), np.zeros((size, 1))
    for row in task.encode(task.train, tokenizer):
        ids = np.array(row["input_ids"])
        np.add.at(sums, ids, predict(tokenizer.pad([row]))[0])
        np.add.at(counts, ids, 1)
    np.save(out / TABLE, (sums / (counts + config.smoothing)).astype(np.float32))
    shutil.copyfile(model.path / "config.json", out / "config.json")
    copy_tokenizer(model.path, out)
    return {"tokens_seen": int((counts > 0).sum())}


def refuse(target: "Target") -> str | None:
    """Why it takes no target of these settings."""
    return "looking_up runs on device: cpu alone" if target.device != "cpu" else None


def unavailable(target: "Target") -> str | None:
    """Why the target cannot be had here."""
    del target
    return None


def load(
    folder: Path, target: "Target", hub_task: str, *, trust_remote_code: bool = False, exclusive: bool = False
) -> "Predictor":
    """The table, as a predictor."""
    import numpy as np

    table = np.load(folder / TABLE)

    def predict(batch: "Mapping[str, np.ndarray[Any, Any]]") -> "np.ndarray[Any, Any]":
        return table[batch["input_ids"]]

    return predict


def parameters(folder: Path) -> int:
    """Numbers in the table."""
    import numpy as np

    return int(np.load(folder / TABLE, mmap_mode="r").size)


FORMAT = Format(
    title="a table of words",
    recognises=lambda path: (path / TABLE).is_file(),
    weights=(TABLE,),
    weight_files=lambda folder: [folder / TABLE],
    parameters=parameters,
    runtime="looking_up",
    instead_of=("torch",),
    export="tabulate",
    is_last="a table knows nothing of what stands beside a word",
)
STAGE = Stage(Config, run, inputs={"model": Input("torch")}, output="word_table", version=1)
