"""Fine-tune a pretrained model on the task by low-rank adapters (LoRA), also beside 4-bit or 8-bit weights (QLoRA).

Use it for a model whose whole training does not fit into a GPU's memory: gradients and the optimizer's two numbers are
kept for a few hundredths of the weights alone, and with `base_bits: 4` the frozen ones take an eighth. It reaches about
what `finetune` does, with a higher rate and some more passes. Costs a fifth to a third more time for each pass on a
CPU: what it saves is memory. The result is an ordinary float model: the adapters are added to the weights that they
were trained beside, as these were rounded.

```yaml
- {name: teacher, stage: finetune_lora, model: "hf://org/name@main", rank: 16, base_bits: 4, epochs: 4}
```

LoRA: Hu et al. 2021 (arXiv:2106.09685), equation 3. QLoRA, and why every matrix has an adapter: Dettmers et al. 2023
(arXiv:2305.14314), sections 3 and 4.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from compress.context import Context
from compress.stages import Input, Stage, StageConfig
from compress.store.artifacts import Artifact
from compress.training.config import TrainingConfig


class Config(StageConfig, TrainingConfig):
    """The training's settings, and the adapters'."""

    learning_rate: float = Field(5e-4, gt=0, lt=10)
    """Peak rate of the adapters."""
    head_learning_rate: float | None = Field(1e-3, gt=0, lt=10)
    """Peak rate of what stands on top of the encoder (pooler, classifier). null: 10 x learning_rate."""
    rank: int = Field(16, ge=1)
    """Inner size of each adapter."""
    alpha: float = Field(32.0, gt=0)
    """What an adapter adds is multiplied by alpha / rank."""
    dropout: float = Field(0.05, ge=0, lt=1)
    """Share of an adapter's inputs dropped while training."""
    base_bits: Literal[4, 8] | None = None
    """Bits of the frozen weights while training, by bitsandbytes: 4: NormalFloat; 8: LLM.int8. Left out: floats."""
    tolerance: float = Field(0.05, gt=0)
    """Largest difference of the written model's outputs from the trained one's, as a share of the largest output."""


def run(*, model: Artifact, config: Config, context: Context, out: Path) -> dict[str, Any]:
    """Train adapters, head and pooler on the labels, and merge the epoch that is best on the validation rows."""
    from compress.comparing import parity
    from compress.models import bnb
    from compress.models.load import load_model, save_model
    from compress.models.tokenizer import copy_tokenizer, load_tokenizer
    from compress.runtimes.torch import predictor
    from compress.training.adapters import add_adapters, merge_adapters, modules_without_adapter
    from compress.training.loop import set_seed, train

    def load(**options: Any) -> Any:
        set_seed(context.seed)
        task, trust = context.task, context.trust_remote_code
        return load_model(model.path, task.hub_task, labels=task.labels, trust_remote_code=trust, **options)

    tokenizer = load_tokenizer(model.path)
    network, float_layers = load(), []
    if config.base_bits is not None:
        float_layers = bnb.kept_in_float(network, config.base_bits, modules_without_adapter(network))
        network = load(quantization_config=bnb.scheme(config.base_bits, float_layers), device_map=context.device)
        bnb.freeze_layout(network)
    adapted = add_adapters(network, config.rank, config.alpha, config.dropout)
    trained = sum(item.numel() for item in adapted.parameters() if item.requires_grad)
    facts = train(adapted, tokenizer, config, context, what="fine-tuning adapters")
    merged_model = merge_adapters(adapted, load())
    comparison = parity.compare(
        predictor(merged_model, adapted.to(context.device), context.device),
        predictor(merged_model, merged_model),
        context.task,
        tokenizer,
    )
    comparison.check(
        config.tolerance,
        "the merged model differs from the trained one",
        "train with precision: fp32, leave base_bits out, or raise tolerance",
    )
    save_model(merged_model, out)
    copy_tokenizer(model.path, out)
    return {**facts, "trained_parameters": trained, "kept_in_float": float_layers, **comparison.facts()}


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("torch", head="made")},
    output="torch",
    version=2,
    tag="fine-tuned",
    makes_teacher=True,
)
