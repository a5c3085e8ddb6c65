"""Leave out of an ONNX classifier what its head never reads, at no loss.

Use it after `export_onnx` and before quantizing, for a model whose head reads the first token, as those of BERT,
RoBERTa, DistilBERT and ELECTRA do: in the last layer, attention asks one question instead of one a token, and keys,
values and the feed-forward part are computed for one token. The outputs are the same. A model of one layer becomes
several times faster, one of six by about an eighth. Costs seconds.

```yaml
- {name: skipped, stage: skip_unread_tokens}
```

By associativity of the matrix product; see `compress.graphs.unread_tokens`.
"""

from typing import TYPE_CHECKING, Any

from pydantic import Field

from compress.context import Context
from compress.stages import Input, Stage, StageConfig
from compress.store.artifacts import Artifact

if TYPE_CHECKING:
    from pathlib import Path


class Config(StageConfig):
    """How equal the outputs must be."""

    tolerance: float = Field(1e-3, gt=0)
    """Largest difference of any logit, as a share of the largest logit (at least 1)."""


def run(*, model: Artifact, config: Config, context: Context, out: "Path") -> dict[str, Any]:
    """Rewrite the graph, and compare its outputs with the original's on real rows."""
    import onnx

    from compress.comparing import parity
    from compress.graphs.read import read_float_graph
    from compress.graphs.unread_tokens import skip_unread_tokens
    from compress.models.files import copy_config_and_tokenizer, model_path
    from compress.models.tokenizer import load_tokenizer
    from compress.recipe.schema import Target
    from compress.runtimes import load

    context.progress("rewriting", 0, 2)
    graph = read_float_graph(model_path(model.path))
    count = skip_unread_tokens(graph)
    onnx.checker.check_model(graph)
    onnx.save_model(graph, str(out / "model.onnx"))
    context.progress("rewriting", 1, 2)
    copy_config_and_tokenizer(model.path, out)
    target = Target(runtime="onnxruntime")
    before, after = (load(path, target, context.task.hub_task) for path in (model.path, out))
    comparison = parity.compare(before, after, context.task, load_tokenizer(model.path))
    context.progress("rewriting", 2, 2)
    comparison.check(config.tolerance, "the rewritten model differs", "leave this step out for this model")
    return {"nodes_of_one_token": count, **comparison.facts()}


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("onnx")},
    output="onnx",
    version=1,
    needs_data=False,
)
