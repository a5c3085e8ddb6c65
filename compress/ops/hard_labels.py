"""Learning the true labels of the rows that have one."""

import torch
from torch.nn import functional


def hard_label_loss(logits: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Cross-entropy to the true labels.

    What has no label has no loss, and counts: so each labelled row weighs the same, whatever stands beside it in the
    batch.

    Args:
        logits: (batch, classes) or (batch, tokens, classes), any float; computed in float32.
        labels: (batch,) or (batch, tokens) class indices; -100 where the label is not known.
        mask: (batch,) or (batch, tokens), 0 at what does not count; left out: all counts.

    Returns:
        Scalar in nats, the sum over what is labelled by the number of all that counts; 0 where nothing counts.
    """
    counted = slice(None) if mask is None else mask.bool()
    labels = labels[counted].flatten()
    scores = logits[counted].float().reshape(-1, logits.shape[-1])  # (counted, classes)
    return functional.cross_entropy(scores, labels, reduction="sum") / max(len(labels), 1)
