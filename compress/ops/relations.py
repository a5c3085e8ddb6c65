"""The loss against the relations between tokens in a teacher's attention, for any widths and heads."""

import math

import torch
from torch.nn import functional


def relation_loss(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor, heads: int) -> torch.Tensor:
    """Divergence of the self-attention relations of queries, keys or values.

    MiniLMv2 (Wang et al. 2021, arXiv:2012.15828), equations 5 to 7: the heads' vectors are concatenated and split again
    into `heads` relation heads; a relation is the softmax of the scaled products of a token's vector with all others.

    Args:
        student: queries, keys or values of one layer, (batch, tokens, width).
        teacher: the same for a layer of the teacher, (batch, tokens, the teacher's width), no gradient.
        mask: (batch, tokens), 1 for a token and 0 for padding, which has no relations.
        heads: number of relation heads; divides both widths.

    Returns:
        Scalar in nats: KL(teacher || student), mean over the relation heads and the tokens.
    """
    own, taught = (_log_relations(vectors, mask, heads) for vectors in (student, teacher.detach()))
    divergence = functional.kl_div(own, taught, reduction="none", log_target=True).sum(dim=-1)  # (batch, heads, tokens)
    return (divergence * mask[:, None, :]).sum() / (heads * mask.sum())


def relation_heads(student_width: int, teacher_width: int, most: int) -> int:
    """The largest number of relation heads, up to `most`, that divides both widths."""
    common = math.gcd(student_width, teacher_width)
    return max(heads for heads in range(1, min(most, common) + 1) if common % heads == 0)


def _log_relations(vectors: torch.Tensor, mask: torch.Tensor, heads: int) -> torch.Tensor:
    """The logarithms of the relations, (batch, heads, tokens, tokens): distributions over the last axis."""
    split = vectors.float().reshape(*vectors.shape[:2], heads, -1).transpose(1, 2)  # (batch, heads, tokens, size)
    products = split @ split.transpose(-1, -2) / math.sqrt(split.shape[-1])
    padding = mask[:, None, None, :] == 0
    return functional.log_softmax(products.float().masked_fill(padding, torch.finfo(torch.float32).min), dim=-1)
