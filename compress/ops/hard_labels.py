"""Learning the true labels of the rows that have one."""

import torch
from torch.nn import functional


def hard_label_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy to the true labels.

    A row without a label has no loss, and counts as a row: so each labelled row weighs the same, whatever stands
    beside it in the batch.

    Args:
        logits: (batch, classes), any float; computed in float32.
        labels: (batch,) class indices; -100 where the label is not known.

    Returns:
        Scalar in nats, the sum over the labelled rows by the number of all rows.
    """
    return functional.cross_entropy(logits.float(), labels, reduction="sum") / len(labels)
