"""Teach a student without a transformer what its teacher says: a mean of the embeddings of n-grams of tokens.

Use it where single words and their neighbours decide, as in topics of news: such a model is hundreds of times faster
than a transformer, and is nearly all table. Where the order of words matters, compare it with distill. Each token has a
row of the table, which starts as the teacher's embedding of it, narrowed; longer n-grams are hashed into buckets behind
those. It learns from the training rows, the task's unlabelled rows, and variants of both, which such a student needs
more of than others do. Costs one pass of the teacher, kept for all later steps under the same teacher, and a minute of
training for some ten thousand rows.

```yaml
- {name: student, stage: distill_ngrams, longest: 2, buckets: 16384, hidden: 32, epochs: 10}
```

With `student: trimmed`, a step of trim_vocabulary, it has that step's tokenizer: a smaller table.

Ye et al. 2022 (arXiv:2110.08536); Joulin et al. 2017 (arXiv:1607.01759).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from compress.context import Context, KnownStep
from compress.errors import InputError
from compress.models.architectures import Shape
from compress.stages import Input, Stage, StageConfig
from compress.store.artifacts import Artifact
from compress.training.config import DistillationConfig

if TYPE_CHECKING:
    from compress.models.ngrams import NgramsConfig
    from compress.models.tokenizer import Tokenizer

FLOAT_BYTES = 4
TRAINED = 4
"""Copies of a table that a training holds: its values, two moments, and the best values so far."""


class Config(StageConfig, DistillationConfig):
    """The student and its loss."""

    longest: int = Field(2, ge=1, le=4)
    """Tokens of the longest n-grams; 1: single tokens alone."""
    buckets: int = Field(16384, ge=0, le=100_000_000)
    """Rows of the table for all n-grams of two tokens and more."""
    hidden: int = Field(64, ge=1, le=4096)
    """Width of the table, at most that of the teacher's."""
    layer: int = Field(0, ge=0, le=4096)
    """Neurons of a hidden layer behind the mean; 0: none."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of channels dropped while training."""
    epochs: float = Field(10.0, gt=0, le=10_000)
    """Passes over the rows that are trained on."""
    learning_rate: float = Field(5e-3, gt=0, lt=10)
    """Peak rate of the table."""
    head_learning_rate: float | None = Field(5e-3, gt=0, lt=10)
    """Peak rate of the layers behind the table. null: 10 x learning_rate."""
    batch_size: int = Field(64, ge=1)
    """Rows a step."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's decay of the layers behind the table; the table has none."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    """Mixed precision; there is little to gain, for there is little to multiply."""

    @model_validator(mode="after")
    def _fits_itself(self) -> "Config":
        if self.reads_states:
            raise ValueError(
                "hidden_weight and relation_weight look inside a transformer, which this student is not: set both to 0"
            )
        if self.longest > 1 and self.buckets == 0:
            raise ValueError(f"n-grams of {self.longest} tokens need buckets: give buckets: 16384, or set longest: 1")
        return self


def run(
    *,
    teacher: tuple[Artifact, ...],
    student: Artifact | None,
    masked_model: Artifact | None,
    config: Config,
    context: Context,
    out: Path,
) -> dict[str, Any]:
    """Start the table, train it on the teacher's outputs, and keep the epoch that is best on the validation rows."""
    from compress.models.load import load_model, save_model
    from compress.models.ngrams import NgramsForSequenceClassification
    from compress.models.tokenizer import copy_tokenizer, load_tokenizer
    from compress.training.loop import set_seed
    from compress.training.table import start_table, token_embeddings
    from compress.training.teacher import train_under_teacher

    set_seed(context.seed)
    origin = student or teacher[0]
    tokenizer = load_tokenizer(origin.path)
    tokens = 1 + max(tokenizer.fast.get_vocab().values())
    model = load_model(
        origin.path,
        context.task.hub_task,
        labels=context.task.labels,
        trust_remote_code=context.trust_remote_code,
    )
    embeddings = token_embeddings(model, tokens)
    _check_width(config.hidden, embeddings.shape[1])
    set_seed(context.seed)
    network = NgramsForSequenceClassification(_sizes(config, tokens, tokenizer.pad_id, context))
    kept_share = start_table(network, embeddings, _batches(tokenizer, config, context))
    facts = train_under_teacher(
        network, tokenizer, teacher, config, context, what="distilling", masked_model=masked_model
    )
    save_model(network, out)
    copy_tokenizer(origin.path, out)
    return {"parameters": network.num_parameters(), "embedding_squares_kept": round(kept_share, 5), **facts}


def _sizes(config: Config, tokens: int, pad_id: int, context: Context) -> "NgramsConfig":
    """The student's config.json."""
    from compress.models.config_file import SINGLE_LABEL
    from compress.models.ngrams import NgramsConfig

    labels = context.task.labels
    return NgramsConfig(
        vocab_size=tokens,
        buckets=config.buckets if config.longest > 1 else 0,
        longest=config.longest,
        hidden_size=config.hidden,
        layer_size=config.layer,
        dropout=config.dropout,
        pad_token_id=pad_id,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
        problem_type=SINGLE_LABEL,
    )


def _batches(tokenizer: "Tokenizer", config: Config, context: Context) -> Iterator[Mapping[str, Any]]:
    """The training and the unlabelled rows as a model reads them, rows of similar length together."""
    import torch

    from compress.training.loop import training_length
    from compress.training.rows import EncodedRows

    task, length = context.task, training_length(config.train_length, context)
    rows = EncodedRows([*task.train, *task.unlabelled], task, tokenizer, length)
    order = sorted(range(len(rows)), key=rows.lengths.__getitem__)
    for start in range(0, len(order), 256):
        batch = tokenizer.pad([rows[index] for index in order[start : start + 256]])
        yield {name: torch.from_numpy(batch[name]) for name in ("input_ids", "attention_mask")}


def _shape(config: Config, shapes: Mapping[str, Shape | None]) -> Shape | None:
    """The student has no layers, heads or neurons."""
    del config, shapes
    return None


def _check(step: KnownStep) -> None:
    """Refuse, before any work, a table that cannot be started, held or shipped, and rows without one label each."""
    from compress.training.matching import check_lesson

    if step.task.outputs == "token":
        raise InputError(
            "distill_ngrams labels whole texts, and here each token has a label", fix="take stage: distill"
        )
    check_lesson(step.config, step)
    _check_table(step)


def _check_table(step: KnownStep) -> None:
    """Refuse a table that is wider than the one that it starts from, or larger than it may be."""
    from compress.formats import find
    from compress.models.config_file import read_config
    from compress.models.parameters import token_parameters
    from compress.processes.memory import free_memory

    config, origin = step.config, step.model.origin
    whole, tokens = token_parameters(origin), read_config(origin).get("vocab_size")
    if whole is None or not tokens:
        raise InputError(
            f"'{origin.name}' has no table of token embeddings to start from",
            fix="name a model that has one: student: hf://org/name@main",
        )
    _check_width(config.hidden, whole // tokens)
    trimmed = isinstance(step.model.tokenizer, str)  # by a step: how many tokens stay is not known
    rows = (0 if trimmed else tokens) + (config.buckets if config.longest > 1 else 0)
    size = rows * config.hidden * FLOAT_BYTES
    what = f"a table of {rows:,} rows of {config.hidden} channels takes {size:,} bytes"
    fix = "take fewer buckets, a smaller hidden, or a student with fewer tokens (trim_vocabulary)"
    replaced = FLOAT_BYTES * max(find("torch").parameters(model.origin) for model in step.inputs["teacher"])
    if size > replaced:
        raise InputError(f"{what}, and the teacher that it replaces {replaced:,}", fix=fix)
    if TRAINED * size > (free := free_memory()):
        raise InputError(f"{what}, and {TRAINED} times that in training, where {free:,} are free", fix=fix)


def _check_width(hidden: int, widest: int) -> None:
    if hidden > widest:
        raise InputError(
            f"a table of {hidden} channels cannot start from token embeddings of {widest}",
            fix=f"set hidden to at most {widest}",
        )


STAGE = Stage(
    Config,
    run,
    inputs={
        "teacher": Input("torch", many=True),
        "student": Input("torch", optional=True, head="made"),
        "masked_model": Input("torch", optional=True, head="own"),
    },
    output="torch",
    version=1,
    tag="distilled",
    shape=_shape,
    base_role="teacher",
    model_role="student",
    teacher_role="teacher",
    check=_check,
)
