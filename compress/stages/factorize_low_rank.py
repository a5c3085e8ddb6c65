"""Write the table of embeddings and the feed-forward matrices as products of two thin ones, then recover.

Use it on small encoders, half of which is the table of token embeddings, and after distilling and pruning: for
feed-forward matrices it pays less than removing neurons does. Costs a singular value decomposition of each matrix, and
the recovery's training. A rank at which the factors would hold more than the matrix is refused.

```yaml
- {name: factorized, stage: factorize_low_rank, teacher: teacher, embedding_rank: 16, recover: {epochs: 2}}
```

Truncated singular value decomposition (Eckart & Young 1936, doi:10.1007/BF02288367), of embeddings with each token
weighted by how often the training rows use it (Chen et al. 2018, arXiv:1806.06950, section 3). ALBERT has such a table
from the start (Lan et al. 2020, arXiv:1909.11942).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from compress.context import Context, KnownStep
from compress.errors import InputError
from compress.models.architectures import ARCHITECTURES, Shape
from compress.stages import Input, Stage, StageConfig
from compress.store.artifacts import Artifact
from compress.training.config import Recover


class Config(StageConfig):
    """What to factorize, and how to recover."""

    embedding_rank: int | None = Field(None, ge=1)
    """Width of the table of token embeddings. Left out: it stays whole."""
    ffn_rank: int | None = Field(None, ge=1)
    """Channels between the two factors of each feed-forward matrix. Left out: they stay whole."""
    recover: Recover = Recover()
    """The training after it."""

    @model_validator(mode="after")
    def _asks_for_something(self) -> "Config":
        if self.embedding_rank is None and self.ffn_rank is None:
            raise ValueError("nothing is to be factorized; give embedding_rank, ffn_rank or both")
        return self


def run(*, model: Artifact, teacher: Artifact | None, config: Config, context: Context, out: Path) -> dict[str, Any]:
    """Factorize, and train under the teacher; if none is named, under the model before the change."""
    from compress.models.load import load_model, save_model
    from compress.models.tokenizer import copy_tokenizer, load_tokenizer
    from compress.training.loop import set_seed
    from compress.training.teacher import train_under_teacher

    set_seed(context.seed)
    network = load_model(model.path, context.task.hub_task, trust_remote_code=context.trust_remote_code)
    tokenizer = load_tokenizer(model.path)
    facts: dict[str, Any] = {"weights_before": _weights(network)}
    if config.embedding_rank is not None:
        rows = context.task.encode(context.task.train, tokenizer)
        counts = Counter(token for row in rows for token in row["input_ids"])
        facts["embedding_norm_kept"] = factorize_embeddings(network, config.embedding_rank, counts)
    if config.ffn_rank is not None:
        facts["ffn_norm_kept"] = factorize_feed_forward(network, config.ffn_rank)
    facts["weights_after"] = _weights(network)
    if config.recover.epochs > 0:
        facts |= train_under_teacher(network, tokenizer, teacher or model, config.recover, context, what="recovering")
    save_model(network, out)
    copy_tokenizer(model.path, out)
    return facts


def factorize_embeddings(model: Any, rank: int, counts: Mapping[int, int]) -> float:
    """Factorize a model's table of token embeddings, in place.

    Args:
        counts: how often each token occurs; one is added to all, so that tokens that never occur count a little.

    Returns:
        The share of the table's squared norm that is kept, with the same weights of its tokens.

    Raises:
        InputError: the rank saves no weights.
    """
    import torch

    from compress.models.low_rank import LowRankEmbedding
    from compress.ops.low_rank import low_rank

    table = model.get_input_embeddings()
    tokens, width = table.weight.shape
    _check_rank("embedding_rank", rank, tokens, width, "the table of embeddings")
    weights = torch.tensor([1.0 + counts.get(token, 0) for token in range(tokens)])
    factorized = LowRankEmbedding(table, rank)
    rows_factor, columns_factor, kept_share = low_rank(table.weight, rank, weights)
    with torch.no_grad():
        factorized.weight.copy_(rows_factor)
        factorized.expand.weight.copy_(columns_factor.T)
    model.set_input_embeddings(factorized)
    return round(kept_share, 6)


def factorize_feed_forward(model: Any, rank: int) -> list[float]:
    """Factorize a model's feed-forward matrices, in place.

    Returns:
        For each layer the mean share of its matrices' squared norms that is kept.
    """
    import torch

    from compress.models.low_rank import LowRankLinear
    from compress.models.reshape import feed_forward
    from compress.ops.low_rank import low_rank

    shares: dict[int, list[float]] = {}
    for layer, path in list(feed_forward(model, ARCHITECTURES[model.config.model_type])):
        matrix: Any = layer.get_submodule(path)
        factorized = LowRankLinear(matrix, rank)
        rows_factor, columns_factor, kept_share = low_rank(matrix.weight, rank)
        with torch.no_grad():
            factorized.expand.weight.copy_(rows_factor)
            factorized.reduce.weight.copy_(columns_factor)
            if factorized.bias is not None:
                factorized.bias.copy_(matrix.bias)
        layer.set_submodule(path, factorized)
        shares.setdefault(id(layer), []).append(kept_share)
    return [round(sum(of_layer) / len(of_layer), 6) for of_layer in shares.values()]


def _weights(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _check_rank(field: str, rank: int, rows: int, columns: int, what: str) -> None:
    """Refuse a rank that saves no weights.

    Raises:
        InputError: the factors would hold as many weights as the matrix, or more.
    """
    most = (rows * columns - 1) // (rows + columns)
    if rank > most:
        raise InputError(
            f"{field}: {rank} does not pay for {what} of {rows} x {columns}: its factors would not be smaller",
            fix=f"take at most {most}" if most else f"leave {field} out",
        )


def _shape(config: Config, shapes: Mapping[str, Shape | None]) -> Shape | None:
    shape = shapes["model"]
    if shape is None:
        raise InputError(
            "this model cannot be factorized: the parts of its architecture are not known",
            fix=f"known: {', '.join(sorted(ARCHITECTURES))}",
        )
    for field in ("embedding_rank", "ffn_rank"):
        if getattr(config, field) is not None and getattr(shape, field) is not None:
            raise InputError(
                f"the model is factorized already, with {field}: {getattr(shape, field)}", fix=f"leave {field} out"
            )
    if config.embedding_rank is not None and config.embedding_rank >= shape.hidden:
        raise InputError(
            f"embedding_rank: {config.embedding_rank} does not pay for embeddings of width {shape.hidden}",
            fix=f"take less than {shape.hidden}, or leave embedding_rank out",
        )
    if config.ffn_rank is not None:
        stacked = len(ARCHITECTURES[shape.model_type].stack("up"))
        for rows in {count * neurons for neurons in shape.neurons for count in (stacked, 1)}:
            _check_rank("ffn_rank", config.ffn_rank, rows, shape.hidden, "a feed-forward matrix")
    return replace(
        shape,
        embedding_rank=config.embedding_rank or shape.embedding_rank,
        ffn_rank=config.ffn_rank or shape.ffn_rank,
    )


def _check(step: KnownStep) -> None:
    """Refuse a training whose teacher does not fit the model."""
    from compress.training.matching import check_lesson

    check_lesson(step.config.recover, step)


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("torch"), "teacher": Input("torch", optional=True)},
    output="torch",
    version=1,
    shape=_shape,
    teacher_role="teacher",
    check=_check,
)
