"""The loss against the true labels of the rows that have one."""

import torch
from torch.nn import functional


def hard_label_loss(logits: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Cross-entropy to the true labels.

    Rows without a label have a loss of 0, and are counted in the mean. So each labelled row has the same weight,
    whatever else is in the batch.

    Args:
        logits: (batch, classes) or (batch, tokens, classes), any float; computed in float32.
        labels: (batch,) or (batch, tokens) class indices; -100 if the label is unknown.
        mask: (batch,) or (batch, tokens), 0 at positions that do not count; None: all count.

    Returns:
        Scalar in nats: the sum over labelled positions divided by the number of counted ones; 0 if none counts.
    """
    counted = slice(None) if mask is None else mask.bool()
    labels = labels[counted].flatten()
    scores = logits[counted].float().reshape(-1, logits.shape[-1])  # (counted, classes)
    return functional.cross_entropy(scores, labels, reduction="sum") / max(len(labels), 1)
