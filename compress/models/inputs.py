"""Which of a tokenizer's arrays a torch model is given: those that it reads, and that mean the same to it."""

import inspect
from typing import Any

ENCODED = ("input_ids", "attention_mask", "token_type_ids")
"""What a tokenizer makes of a text."""
SEGMENTS = ("xlnet",)
"""Families that tell segments apart without a table of them."""


def input_names(model: Any) -> tuple[str, ...]:
    """Names of the encoded arrays that a model takes, in the order of `ENCODED`.

    Segments are left out where the configuration has no table of at least two: GPT-2 and XLM would look up their
    numbers among the tokens, and RoBERTa knows the first alone.
    """
    inside = model.get_base_model() if hasattr(model, "get_base_model") else model  # peft's own takes anything
    accepted = accepted_names(inside)
    if not _tells_segments_apart(inside.config):
        accepted.discard("token_type_ids")
    return tuple(name for name in ENCODED if name in accepted)


def accepted_names(model: Any) -> set[str]:
    """Names of all that a call of a torch model accepts."""
    return set(inspect.signature(model.forward).parameters)


def _tells_segments_apart(config: Any) -> bool:
    return config.model_type in SEGMENTS or (getattr(config, "type_vocab_size", None) or 0) > 1
