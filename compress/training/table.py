"""The table that a student without a transformer starts from: its teacher's token embeddings, narrowed."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from compress.errors import InputError
from compress.models.ngrams import NgramsForSequenceClassification, NgramsModel
from compress.models.tokenizer import Tokenizer
from compress.ops.projection import principal_directions
from compress.training.rows import EncodedRows

Batches = Iterable[Mapping[str, torch.Tensor]]

BATCH = 256
START = 0.3
"""Standard deviation of the tokens' rows at the start, over the tokens of the rows that are learned."""


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


def batches_of(rows: EncodedRows, tokenizer: Tokenizer) -> Iterator[tuple[list[int], Mapping[str, torch.Tensor]]]:
    """Rows of similar length together: their places, and `input_ids` and `attention_mask`, each (batch, tokens)."""
    order = sorted(range(len(rows)), key=rows.lengths.__getitem__)
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        batch = tokenizer.pad([rows[place] for place in places])
        yield places, {name: torch.from_numpy(batch[name]) for name in ("input_ids", "attention_mask")}


def start_table(student: NgramsForSequenceClassification, embeddings: torch.Tensor, rows: Batches) -> float:
    """Fill a student's table, in place: tokens from embeddings, buckets from the n-grams of rows that fall there.

    The embeddings are projected to the directions in which they vary most over the rows' tokens. A bucket is the mean
    of its n-grams, and an n-gram the mean of its tokens; buckets without any are zero.

    Args:
        embeddings: (tokens, width).
        rows: batches with `input_ids` and `attention_mask`, each (batch, tokens).

    Returns:
        The share of the tokens' squares that the directions keep.
    """
    bag, batches = student.ngrams, list(rows)
    counts = torch.zeros(len(embeddings))
    for batch in batches:
        counts += torch.bincount(batch["input_ids"][batch["attention_mask"].bool()], minlength=len(embeddings))
    shares = counts / counts.sum()
    centred = embeddings - shares @ embeddings
    projection, kept_share = principal_directions(centred * shares.sqrt()[:, None], bag.config.hidden_size)
    tokens = centred @ projection  # (tokens, channels)
    tokens *= START / (shares @ tokens.square()).mean().sqrt().clamp(min=1e-12)
    with torch.no_grad():
        bag.table.weight.zero_()
        bag.table.weight[: len(tokens)] = tokens
        if bag.config.longest > 1:
            bag.table.weight[len(tokens) :] = _buckets(bag, tokens, batches)
    return kept_share


def _buckets(bag: NgramsModel, tokens: torch.Tensor, batches: Batches) -> torch.Tensor:
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
