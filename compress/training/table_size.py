"""The checks of a student that is nearly all table: what it learns, its start, its size. Light to import."""

from collections.abc import Mapping
from typing import Any

from compress.context import KnownModel, KnownStep
from compress.errors import InputError
from compress.models.architectures import Shape
from compress.models.config_file import read_config
from compress.models.parameters import token_parameters
from compress.processes.memory import free_memory
from compress.training.config import DistillationConfig

FLOAT_BYTES = 4
TRAINED = 4
"""Copies of a table that a training holds: its values, two moments, and the best values so far."""
FEWER = "take {}a smaller width, or a tokenizer with fewer tokens (trim_vocabulary)"


def no_shape(config: Any, shapes: Mapping[str, Shape | None]) -> Shape | None:
    """None: such a student has no layers, heads or neurons."""
    del config, shapes
    return None


def check_outside(config: DistillationConfig) -> None:
    """Refuse a loss that looks inside the student.

    Raises:
        ValueError: a part of it that does has a weight.
    """
    if config.reads_states:
        raise ValueError(
            "hidden_weight and relation_weight look inside a transformer, which this student is not: set both to 0"
        )


def check_labels(step: KnownStep, stage: str) -> None:
    """Refuse a task whose answers are not one label for each text.

    Raises:
        InputError: its answers are something else.
    """
    from compress.answers import name_of

    kind = name_of(step.task.truth([]))
    if kind != "label":
        raise InputError(f"{stage} gives each text a label, and the answers of this task are of the kind '{kind}'")


def check_buckets(longest: int, buckets: int) -> None:
    """Refuse n-grams without buckets.

    Raises:
        ValueError: there are none.
    """
    if longest > 1 and buckets == 0:
        raise ValueError(f"n-grams of {longest} tokens need buckets: give buckets: 32768, or set longest: 1")


def check_start(hidden: int, model: KnownModel, instead: str = "") -> None:
    """Refuse a table that cannot start from a model's token embeddings.

    Args:
        instead: what else can be done, for the message.

    Raises:
        InputError: the model has none, or narrower ones.
    """
    whole, tokens = token_parameters(model.origin), read_config(model.origin).get("vocab_size")
    if whole is None or not tokens:
        raise InputError(
            f"'{model.origin.name}' has no table of token embeddings to start from",
            fix=f"name a model that has one: student: hf://org/name@main{instead}",
        )
    check_width(hidden, whole // tokens)


def check_width(hidden: int, widest: int) -> None:
    """Refuse a table that is wider than the embeddings that it starts from.

    Raises:
        InputError: it is.
    """
    if hidden > widest:
        raise InputError(
            f"a table of {hidden} channels cannot start from token embeddings of {widest}",
            fix=f"set hidden to at most {widest}",
        )


def check_size(step: KnownStep, width: int, copies: int, *, buckets: int = 0, others: int = 0) -> None:
    """Refuse a student that is larger than the model that it replaces, or than the free memory.

    Args:
        width: channels of a row of its table.
        copies: how many times its weights are held while it is learned.
        buckets: rows of the table beside the tokens'.
        others: weights behind the table, if they count.

    Raises:
        InputError: with the bytes.
    """
    from compress.formats import find

    is_trimmed = isinstance(step.model.tokenizer, str)  # by a step: how many tokens stay is not known
    tokens = 0 if is_trimmed else int(read_config(step.model.origin).get("vocab_size") or 0)
    size = ((tokens + buckets) * width + others) * FLOAT_BYTES
    behind = f" with {others:,} weights behind it" if others else ""
    what = f"a table of {tokens + buckets:,} rows of {width} channels{behind} takes {size:,} bytes"
    fix = FEWER.format("fewer buckets, " if buckets else "fewer channels, " if others else "")
    teachers = step.inputs.get("teacher", (step.model,))
    replaced = FLOAT_BYTES * max(find("torch").parameters(model.origin) for model in teachers)
    if size > replaced:
        raise InputError(f"{what}, and the model that it replaces {replaced:,}", fix=fix)
    if copies * size > (free := free_memory()):
        raise InputError(f"{what}, and {copies} times that while it is learned, where {free:,} are free", fix=fix)
