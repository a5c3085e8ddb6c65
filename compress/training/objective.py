"""What a student minimises under a teacher: the parts of the loss, summed by their weights."""

from collections.abc import Mapping

import torch

from compress.ops.hard_labels import hard_label_loss
from compress.ops.soft_labels import soft_label_loss
from compress.training.config import DistillationConfig


class Objective(torch.nn.Module):
    """The weighted sum of the parts that the settings give a weight."""

    def __init__(self, config: DistillationConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, logits: torch.Tensor, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The loss of a batch.

        Args:
            logits: the student's, (batch, classes).
            batch: labels (batch,), -100 where not known; teacher_logits (batch, teachers, classes) where the settings
                ask the teacher.

        Returns:
            Scalar in nats, mean over the batch.
        """
        loss = self.config.hard_weight * hard_label_loss(logits, batch["labels"])
        if self.config.soft_weight > 0:
            teacher = batch["teacher_logits"][:, 0]  # (batch, classes)
            loss = loss + self.config.soft_weight * soft_label_loss(logits, teacher, self.config.temperature)
        return loss
