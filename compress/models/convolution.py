"""A classifier without a transformer: one convolution over the embeddings of a text's tokens, and the largest of each
channel.

Each channel looks for one pattern in so many tokens in a row; its largest value says how well it was found, wherever it
stood. So it knows the order of neighbours, which a sum of n-grams knows only of those that it has seen.

The convolution is written as one matrix product over the embeddings of neighbours side by side: what quantizes a
transformer's matrices quantizes it too, where ONNX Runtime's integer convolution takes longer than the one in float.

Kim 2014 (arXiv:1408.5882).
"""

from collections.abc import Sequence
from typing import Any

import torch
import transformers
from huggingface_hub.dataclasses import strict
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling

from compress.models.own_families import CONVOLUTION, fields_for
from compress.models.table_classifier import TableClassifier, TableModel
from compress.models.tokenizer import Tokenizer


@strict
class ConvolutionConfig(transformers.PreTrainedConfig):
    """The sizes of a `ConvolutionForSequenceClassification`."""

    model_type = CONVOLUTION

    vocab_size: int = 1
    """Tokens, each with its own row of the table."""
    hidden_size: int = 1
    """Width of the table."""
    channels: int = 1
    """Patterns that are looked for."""
    width: int = 1
    """Tokens of a pattern."""
    dropout: float = 0.0
    """Share of the embeddings, and of the channels, that is dropped while training."""


def config_for(tokenizer: Tokenizer, labels: Sequence[str], **sizes: Any) -> ConvolutionConfig:
    """The sizes of a new classifier that reads a tokenizer's ids and knows these labels."""
    return ConvolutionConfig(**fields_for(tokenizer, labels), **sizes)


class _Convolution(transformers.PreTrainedModel):
    """What both classes have in common: their settings, and the weights of new parts."""

    config_class = ConvolutionConfig
    config: ConvolutionConfig
    base_model_prefix = "convolution"

    def _init_weights(self, module: torch.nn.Module) -> None:
        if isinstance(module, torch.nn.Linear):
            init.xavier_uniform_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, torch.nn.Embedding):
            init.normal_(module.weight)


class ConvolutionModel(TableModel, _Convolution):
    """The largest value of each channel in texts, (batch, channels)."""

    def __init__(self, config: ConvolutionConfig) -> None:
        super().__init__(config)
        self.table = torch.nn.Embedding(config.vocab_size, config.hidden_size)
        self.dropout = torch.nn.Dropout(config.dropout)
        self.filters = torch.nn.Linear(config.width * config.hidden_size, config.channels)
        self.post_init()

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> BaseModelOutputWithPooling:
        """The largest values; both inputs are (batch, tokens). A token outside the mask is a row of zeros."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        mask = attention_mask.to(self.table.weight.dtype)[:, :, None]
        embedded = self.dropout(self.table(input_ids)) * mask  # (batch, tokens, hidden)
        after = self.config.width // 2
        before = self.config.width - 1 - after
        padded = torch.nn.functional.pad(embedded, (0, 0, before, after))
        shifted = [padded[:, place : place - before - after or None] for place in range(self.config.width)]
        found = torch.relu(self.filters(torch.cat(shifted, dim=2))) * mask  # (batch, tokens, channels), none below 0
        return BaseModelOutputWithPooling(pooler_output=found.amax(dim=1))


class ConvolutionForSequenceClassification(TableClassifier, _Convolution):
    """A classifier on the largest values."""

    def __init__(self, config: ConvolutionConfig) -> None:
        super().__init__(config)
        self.convolution = ConvolutionModel(config)
        self.dropout = torch.nn.Dropout(config.dropout)
        self.classifier = torch.nn.Linear(config.channels, config.num_labels)
        self.post_init()

    def logits(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        """The logits, (batch, classes); the inputs are (batch, tokens)."""
        logits: torch.Tensor = self.classifier(self.dropout(self.convolution(input_ids, attention_mask).pooler_output))
        return logits


transformers.AutoConfig.register(CONVOLUTION, ConvolutionConfig)
transformers.AutoModel.register(ConvolutionConfig, ConvolutionModel)
transformers.AutoModelForSequenceClassification.register(ConvolutionConfig, ConvolutionForSequenceClassification)
