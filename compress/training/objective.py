"""The loss of a student under a teacher: its parts, summed by their weights."""

from collections.abc import Mapping
from typing import Any

import torch

from compress.models.inputs import input_names
from compress.models.reshape import model_shape
from compress.ops.hard_labels import hard_label_loss
from compress.ops.hidden_states import fixed_matching_loss, learned_matching_loss
from compress.ops.relations import relation_heads, relation_loss
from compress.ops.several_teachers import averaged_logits
from compress.ops.soft_labels import soft_label_loss
from compress.training.config import DistillationConfig
from compress.training.matching import hidden_layers, relation_layer
from compress.training.states import RELATED, States


class Objective(torch.nn.Module):
    """The loss of a student: the weighted sum of the parts that have a weight in the settings.

    Args:
        inside: the part that compares hidden states and relations; None if neither has a weight.
    """

    def __init__(self, config: DistillationConfig, inside: "Inside | None" = None) -> None:
        super().__init__()
        self.config, self.inside = config, inside

    @property
    def inputs(self) -> frozenset[str]:
        """Names of the model inputs that a batch must hold for this loss."""
        return self.inside.inputs if self.inside else frozenset()

    def forward(self, logits: torch.Tensor, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The loss of a batch; the student's last call must have been with this batch.

        Args:
            logits: the student's logits, (batch, classes) or (batch, tokens, classes).
            batch: the batch as `compress.training.batches.Collator` makes it, with `teacher_logits` if they have a
                weight, and with the model inputs that `inputs` names.

        Returns:
            Scalar, mean over the batch.
        """
        config = self.config
        loss = config.hard_weight * hard_label_loss(logits, batch["labels"], batch.get("counted"))
        if config.soft_weight > 0:
            taught = averaged_logits(batch["teacher_logits"], config.temperature)  # as the logits
            loss = loss + config.soft_weight * soft_label_loss(logits, taught, config.temperature, batch.get("taught"))
        if self.inside is not None:
            loss = loss + self.inside(batch)
        return loss

    def close(self) -> None:
        """Take the hooks off the student and the teacher."""
        if self.inside is not None:
            self.inside.close()


class Inside(torch.nn.Module):
    """The part of the loss that compares hidden states, through a projection, and attention relations.

    The teacher runs beside the student at each step: its states of all rows would take rows x tokens x width numbers
    on the disk, some gigabytes for ten thousand texts. The projection is trained with the student, and thrown away.

    Args:
        student, teacher: models of known families, on the device, that read the same input ids.
    """

    def __init__(self, config: DistillationConfig, student: Any, teacher: Any) -> None:
        super().__init__()
        self.config = config
        mine, other = model_shape(student), model_shape(teacher)
        assert mine is not None  # checked by the plan
        assert other is not None
        self.layers: tuple[int, ...] = ()
        if config.hidden_weight > 0:
            self.layers = hidden_layers(config, mine.layers, other.layers)
            self.projection = torch.nn.Linear(mine.hidden, other.hidden)
            if mine.hidden == other.hidden:  # as in CoFi: the student begins with the teacher's own channels
                torch.nn.init.eye_(self.projection.weight)
                torch.nn.init.zeros_(self.projection.bias)
        layer = relation_layer(config, other.layers) if config.relation_weight > 0 else None
        if layer is not None:
            widths = (mine.head_size * mine.heads[-1], other.head_size * other.heads[layer])
            self.heads = config.relation_heads or relation_heads(*widths, most=other.heads[layer])
        own = range(mine.layers) if self.layers else ()
        self.student_states = States(student, own, None if layer is None else mine.layers - 1)
        self.teacher_states = States(teacher, self.layers, layer)
        self._teacher = (teacher,)  # in a tuple: it is no part that is trained or saved
        self.inputs = frozenset(input_names(teacher))

    def forward(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The weighted sum of both, a scalar; `batch` holds the teacher's inputs, each (batch, tokens)."""
        (teacher,) = self._teacher
        with torch.no_grad():
            teacher(**{name: batch[name] for name in batch if name in self.inputs})
        mask, parts = batch["attention_mask"], []
        if self.config.hidden_weight > 0:
            match = fixed_matching_loss if self.config.hidden_matching == "fixed" else learned_matching_loss
            mine = [self.projection(states) for _, states in sorted(self.student_states.hidden.items())]
            taught = [self.teacher_states.hidden[layer] for layer in self.layers]
            parts.append(self.config.hidden_weight * match(mine, taught, mask))
        if self.config.relation_weight > 0:
            for name in RELATED:
                own, other = self.student_states.related[name], self.teacher_states.related[name]
                parts.append(self.config.relation_weight * relation_loss(own, other, mask, self.heads))
        return torch.stack(parts).sum()

    def close(self) -> None:
        """Take the hooks off the student and the teacher."""
        self.student_states.close()
        self.teacher_states.close()
