"""The table that a student without a transformer starts from: a model's token embeddings, narrowed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch

from compress.context import Context
from compress.errors import InputError
from compress.models.load import load_model
from compress.models.ngrams import NgramsForSequenceClassification, NgramsModel
from compress.models.tokenizer import Tokenizer
from compress.ops.projection import principal_directions
from compress.store.artifacts import Artifact
from compress.training.config import TrainingConfig
from compress.training.loop import training_length
from compress.training.rows import EncodedRows
from compress.training.table_size import check_width

Batch = Mapping[str, torch.Tensor]

BATCH = 256
START = 0.3
"""Standard deviation of the tokens' rows at the start, over the tokens of the rows that are learned."""


def start_of(
    origin: Artifact, tokenizer: Tokenizer, tokens: int, width: int, config: TrainingConfig, context: Context
) -> tuple[torch.Tensor, list[Batch]]:
    """What a table starts from: a model's embeddings, (tokens, its width), and the rows that are learned, in batches.

    Args:
        width: channels of the table.

    Raises:
        InputError: the model has no table of that many tokens, or a narrower one.
    """
    rows = [*context.task.train, *context.task.unlabelled]
    encoded = EncodedRows(rows, context.task, tokenizer, training_length(config.train_length, context))
    task, trusted = context.task, context.trust_remote_code
    model = load_model(origin.path, task.hub_task, labels=task.labels, trust_remote_code=trusted)
    embeddings = token_embeddings(model, tokens)
    check_width(width, embeddings.shape[1])
    return embeddings, [batch for _, batch in batches_of(encoded, tokenizer)]


def token_embeddings(model: Any, tokens: int) -> torch.Tensor:
    """A model's embeddings of the first `tokens` ids, (tokens, width).

    Raises:
        InputError: it has no table of them, or a smaller one.
    """
    try:
        table = model.get_input_embeddings()
    except NotImplementedError:  # transformers says so of models that read characters or patches
        table = None
    if not isinstance(table, torch.nn.Embedding):
        raise InputError(
            f"{type(model).__name__} has no table of token embeddings to start from", fix="name a student that has one"
        )
    if table.num_embeddings < tokens:
        raise InputError(
            f"{type(model).__name__} has embeddings of {table.num_embeddings:,} tokens, and its tokenizer has "
            f"{tokens:,}",
            fix="give the model and the tokenizer that belong together",
        )
    with torch.no_grad():
        rows: torch.Tensor = table(torch.arange(tokens)).float()
    return rows


def batches_of(rows: EncodedRows, tokenizer: Tokenizer) -> Iterator[tuple[list[int], Batch]]:
    """Rows of similar length together: their places, and `input_ids` and `attention_mask`, each (batch, tokens)."""
    order = sorted(range(len(rows)), key=rows.lengths.__getitem__)
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        batch = tokenizer.pad([rows[place] for place in places])
        yield places, {name: torch.from_numpy(batch[name]) for name in ("input_ids", "attention_mask")}


def narrowed(embeddings: torch.Tensor, batches: Iterable[Batch], channels: int) -> tuple[torch.Tensor, float]:
    """Embeddings in the directions in which they vary most over the rows' tokens, with the standard deviation `START`.

    Args:
        embeddings: (tokens, width).
        batches: the rows: `input_ids` and `attention_mask`, each (batch, tokens).

    Returns:
        (tokens, channels), and the share of the tokens' squares that the directions keep.
    """
    counts = torch.zeros(len(embeddings))
    for batch in batches:
        counts += torch.bincount(batch["input_ids"][batch["attention_mask"].bool()], minlength=len(embeddings))
    shares = counts / counts.sum()
    centred = embeddings - shares @ embeddings
    projection, kept_share = principal_directions(centred * shares.sqrt()[:, None], channels)
    tokens = centred @ projection  # (tokens, channels)
    tokens *= START / (shares @ tokens.square()).mean().sqrt().clamp(min=1e-12)
    return tokens, kept_share


def start_table(student: NgramsForSequenceClassification, embeddings: torch.Tensor, batches: Sequence[Batch]) -> float:
    """Fill a student's table, in place: tokens from embeddings, buckets from the n-grams of rows that fall there.

    A bucket is the mean of its n-grams, and an n-gram the mean of its tokens; buckets without any are zero.

    Args:
        embeddings, batches: as for `narrowed`.

    Returns:
        The share of the tokens' squares that stays.
    """
    bag = student.ngrams
    tokens, kept_share = narrowed(embeddings, batches, bag.config.hidden_size)
    with torch.no_grad():
        bag.table.weight.zero_()
        bag.table.weight[: len(tokens)] = tokens
        if bag.config.longest > 1:
            bag.table.weight[len(tokens) :] = _buckets(bag, tokens, batches)
    return kept_share


def _buckets(bag: NgramsModel, tokens: torch.Tensor, batches: Iterable[Batch]) -> torch.Tensor:
    """The mean of the n-grams in each bucket, (buckets, channels)."""
    size = bag.config.buckets
    sums, counts = torch.zeros(size, tokens.shape[1]), torch.zeros(size)
    for batch in batches:
        ids, length = batch["input_ids"], batch["input_ids"].shape[1]
        rows, counted = bag.rows(ids, batch["attention_mask"])
        place = length
        embedded = tokens[ids]  # (batch, tokens, channels)
        for order in range(2, min(bag.config.longest, length) + 1):
            width = length - order + 1
            whole = counted[:, place : place + width].bool()
            buckets = rows[:, place : place + width][whole] - bag.config.vocab_size
            means = embedded.unfold(1, order, 1).mean(dim=-1)[whole]  # (n-grams, channels)
            sums.index_add_(0, buckets, means)
            counts += torch.bincount(buckets, minlength=size)
            place += width
    return sums / counts.clamp(min=1)[:, None]
