"""The check that a model's weights came from its folder: none stayed random, and none was left in the file."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from compress.errors import InputError

BUFFERS = re.compile(
    r"(^|\.)(position_ids|token_type_ids|inv_freq|original_inv_freq|(masked_)?bias|version|rotary_emb\..*)$"
)
"""Names of computed values that older versions saved; a `bias` counts only in attention, where it is GPT-2's mask."""
PRETRAINING = (
    "cls.",
    "lm_head.",
    "predictions.",
    "sop_classifier.",
    "discriminator_predictions.",
    "generator_predictions.",
    "generator_lm_head.",
    "lm_predictions.",
    "mask_predictions.",
    "vocab_layer_norm.",
    "vocab_projector.",
    "vocab_transform.",
    "lm_loss.",
    "pred_layer.",
    "final_logits_bias",
    "decoder.",
    "head.",
)
"""Beginnings of the names of pretraining heads, which no classifier has."""


def check_read(model: Any, info: Mapping[str, Any], folder: Path, *, makes_head: bool) -> None:
    """Refuse a model with parts that stayed random or were left in the file; with `makes_head`, the head may be random.

    Args:
        info: the loading info of `from_pretrained`.

    Raises:
        InputError: names the first such weights.
    """
    lost = sorted(info["missing_keys"])
    unread = sorted(name for name in info["unexpected_keys"] if not _is_computed(name))
    for name, has, needs in sorted(info["mismatched_keys"]):
        if not (makes_head and _is_head(model, name)):
            raise InputError(
                f"{name} is {_size(has)} in the file, and {_size(needs)} by config.json",
                where=str(folder),
                fix="take the config.json that belongs to the weights"
                if not _is_head(model, name)
                else "take the config.json that belongs to the weights, whose id2label has one name for each row",
            )
    if makes_head:
        lost = [name for name in lost if not _is_head(model, name)]
    if lost:
        others = _odd(model, unread)
        instead = f"; the file has {_some(others)}, which the model does not" if others else ""
        raise InputError(
            f"the weights lack {_some(lost)}, which {type(model).__name__} needs: they would be random{instead}",
            where=str(folder),
            fix="check that config.json and the weights belong together"
            if others or not all(_is_head(model, name) for name in lost)
            else "fine-tune the model first (stage finetune)",
        )
    foreign = [name for name in unread if not _is_head(model, name)]
    if foreign:
        raise InputError(
            f"the weights hold {_some(foreign)}, which {type(model).__name__} does not read: it would be another model",
            where=str(folder),
            fix="check that config.json and the weights belong together, and that this version of transformers still "
            "knows that part of them",
        )


def unread_heads(model: Any, info: Mapping[str, Any]) -> str | None:
    """A remark on heads in the file that nothing reads, or None."""
    odd = _odd(model, sorted(name for name in info["unexpected_keys"] if not _is_computed(name)))
    return f"the model's file holds {_some(odd)}, which nothing reads: a head that is left out" if odd else None


def reorder_head(model: Any, order: Sequence[int]) -> None:
    """Reorder a classifier's outputs, in place.

    Args:
        order: the old index of each new output.

    Raises:
        InputError: the matrix of the outputs is not found.
    """
    heads = [
        module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and _is_head(model, f"{name}.weight")
    ]
    last = heads[-1] if heads else None
    if last is None or last.out_features != len(order):
        raise InputError(
            f"the model's labels stand in another order than the data's, and the head of {type(model).__name__} cannot "
            "be put in order",
            fix="name the labels of the data so that they sort as the model's",
        )
    with torch.no_grad():
        for parameter in last.parameters():
            parameter.copy_(parameter[list(order)].clone())


def _is_head(model: Any, name: str) -> bool:
    """Whether a weight belongs to no part of the encoder; the pooler counts as head."""
    inside = getattr(model, model.base_model_prefix, None)
    own = name.removeprefix(f"{model.base_model_prefix}.") if inside is not None else name
    first = own.partition(".")[0]
    if inside is None or first == "pooler":
        return first == "pooler"
    own_tensors = {part for part, _ in (*inside.named_parameters(recurse=False), *inside.named_buffers(recurse=False))}
    return first not in own_tensors | {part for part, _ in inside.named_children()}


def _is_computed(name: str) -> bool:
    match = BUFFERS.search(name)
    return match is not None and (not name.endswith(".bias") or bool(re.search(r"(attn|attention)\.bias$", name)))


def _odd(model: Any, unread: Sequence[str]) -> list[str]:
    """The unread weights that do not belong to a usual pretraining head."""
    prefix, usual = f"{model.base_model_prefix}.", (*PRETRAINING, "pooler.")
    return [name for name in unread if not name.removeprefix(prefix).startswith(usual)]


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(name[:120] for name in names[:3]) + more
