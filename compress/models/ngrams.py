"""A classifier without a transformer: a sum of the embeddings of a text's n-grams of tokens.

Single tokens have a row each in the table; n-grams of two tokens and more are hashed into buckets, rows behind those.
All of it is computed from `input_ids` and `attention_mask` by standard operators, so that the ONNX graph reads what a
transformer's graph reads.

Joulin et al. 2017 (arXiv:1607.01759), with tokens for words; but the sum is divided by the square root of the number of
n-grams, as unrelated vectors grow, and not by the number, which leaves the rows of long texts next to no gradient.
"""

from collections.abc import Sequence
from typing import Any

import torch
import transformers
from huggingface_hub.dataclasses import strict
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling

from compress.models.own_families import NGRAMS, fields_for
from compress.models.table_classifier import TableClassifier, TableModel
from compress.models.tokenizer import Tokenizer

PLACES = (1, 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
"""Odd factors of the tokens of an n-gram, by their place: below 2**32, so that with ids below 2**29 no sum of four
products leaves int64. The last three are primes of xxHash."""
LONGEST = len(PLACES)
"""The most tokens of an n-gram."""


@strict
class NgramsConfig(transformers.PreTrainedConfig):
    """The sizes of an `NgramsForSequenceClassification`."""

    model_type = NGRAMS

    vocab_size: int = 1
    """Tokens, each with its own row of the table."""
    buckets: int = 0
    """Rows of the table for all longer n-grams."""
    longest: int = 1
    """Tokens of the longest n-grams."""
    hidden_size: int = 1
    """Width of the table."""
    layer_size: int = 0
    """Neurons of the hidden layer; 0: none."""
    dropout: float = 0.0
    """Share of the sum's channels that is dropped while training."""
    has_classifier: bool = True
    """Whether a matrix makes the logits; without it the table's channels are the classes."""


def config_for(
    tokenizer: Tokenizer, labels: Sequence[str], *, longest: int, buckets: int, **others: Any
) -> NgramsConfig:
    """The sizes of a new classifier that reads a tokenizer's ids and knows these labels.

    Args:
        buckets: rows for n-grams; none are made where single tokens are the longest.
        others: further fields of `NgramsConfig`.
    """
    return NgramsConfig(
        **fields_for(tokenizer, labels), buckets=buckets if longest > 1 else 0, longest=longest, **others
    )


class _Ngrams(transformers.PreTrainedModel):
    """What both classes have in common: their settings, and the weights of new parts."""

    config_class = NgramsConfig
    config: NgramsConfig
    base_model_prefix = "ngrams"

    def _init_weights(self, module: torch.nn.Module) -> None:
        if isinstance(module, torch.nn.Linear):
            init.xavier_uniform_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, torch.nn.Embedding):
            init.zeros_(module.weight)
        elif isinstance(module, NgramsForSequenceClassification) and module.bias is not None:
            init.zeros_(module.bias)


class NgramsModel(TableModel, _Ngrams):
    """The pooled embeddings of texts, (batch, width)."""

    def __init__(self, config: NgramsConfig) -> None:
        super().__init__(config)
        self.table = torch.nn.Embedding(config.vocab_size + config.buckets, config.hidden_size)
        self.post_init()

    def rows(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The row of each n-gram of texts, and whether it counts.

        An n-gram counts if it lies wholly in the mask, whichever side is padded.

        Args:
            ids: (batch, tokens) of int64.
            mask: (batch, tokens) of 0 and 1, of any type.

        Returns:
            Both (batch, n-grams), first all tokens, then all pairs, and so on; the second is of the mask's type.
        """
        sums, whole = ids, mask
        hashed, weights = [], [mask]
        for place in range(1, self.config.longest):
            sums = sums[:, :-1] + ids[:, place:] * PLACES[place]
            whole = whole[:, :-1] * mask[:, place:]
            hashed.append(sums)
            weights.append(whole)
        if not hashed:
            return ids, mask
        joined = torch.cat(hashed, dim=1) if len(hashed) > 1 else hashed[0]
        buckets = joined % self.config.buckets + self.config.vocab_size
        return torch.cat([ids, buckets], dim=1), torch.cat(weights, dim=1)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> BaseModelOutputWithPooling:
        """The pooled embeddings; both inputs are (batch, tokens)."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        table = self.table.weight
        rows, weights = self.rows(input_ids, attention_mask.to(table.dtype))
        if self.training:  # gradients of the rows that are read, and of no others
            pooled = torch.nn.functional.embedding_bag(rows, table, mode="sum", per_sample_weights=weights, sparse=True)
        else:
            pooled = (weights[:, None] @ self.table(rows))[:, 0]
        count = weights.sum(dim=1, keepdim=True).clamp(min=1)
        return BaseModelOutputWithPooling(pooler_output=pooled / count.sqrt())


class NgramsForSequenceClassification(TableClassifier, _Ngrams):
    """A classifier on the pooled embeddings, with a hidden layer or without."""

    def __init__(self, config: NgramsConfig) -> None:
        super().__init__(config)
        if not config.has_classifier and config.hidden_size != config.num_labels:
            raise ValueError(f"a table of {config.hidden_size} classes gives no {config.num_labels}")
        self.ngrams = NgramsModel(config)
        self.dropout = torch.nn.Dropout(config.dropout)
        width = config.layer_size or config.hidden_size
        self.layer = torch.nn.Linear(config.hidden_size, width) if config.layer_size else None
        self.classifier = torch.nn.Linear(width, config.num_labels) if config.has_classifier else None
        self.bias = None if config.has_classifier else torch.nn.Parameter(torch.zeros(config.num_labels))
        self.post_init()

    def logits(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        """The logits, (batch, classes); the inputs are (batch, tokens)."""
        hidden: Any = self.dropout(self.ngrams(input_ids, attention_mask).pooler_output)
        if self.layer is not None:
            hidden = self.dropout(torch.relu(self.layer(hidden)))
        logits: torch.Tensor = hidden + self.bias if self.classifier is None else self.classifier(hidden)
        return logits


transformers.AutoConfig.register(NGRAMS, NgramsConfig)
transformers.AutoModel.register(NgramsConfig, NgramsModel)
transformers.AutoModelForSequenceClassification.register(NgramsConfig, NgramsForSequenceClassification)
