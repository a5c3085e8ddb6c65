"""The arrays of a tokenizer that a torch model takes as inputs."""

import inspect
from typing import Any

ENCODED = ("input_ids", "attention_mask", "token_type_ids")
"""Names of the arrays that a tokenizer makes of a text."""
SEGMENTS = ("xlnet",)
"""Families that use segments without a table of them."""


def input_names(model: Any) -> tuple[str, ...]:
    """Names of the encoded arrays that a model takes, in the order of `ENCODED`.

    Segments are left out if the configuration has no table of at least two: GPT-2 and XLM would look up their numbers
    among the tokens, and RoBERTa has only the first.
    """
    inside = (
        model.get_base_model() if hasattr(model, "get_base_model") else model
    )  # peft's own forward takes any argument
    accepted = accepted_names(inside)
    if not _tells_segments_apart(inside.config):
        accepted.discard("token_type_ids")
    return tuple(name for name in ENCODED if name in accepted)


def accepted_names(model: Any) -> set[str]:
    """Names of all arguments that a torch model accepts."""
    return set(inspect.signature(model.forward).parameters)


def _tells_segments_apart(config: Any) -> bool:
    return config.model_type in SEGMENTS or (getattr(config, "type_vocab_size", None) or 0) > 1
