"""The optimizer of a training."""

from collections.abc import Collection
from typing import Any

import torch

from compress.models.reshape import base_model
from compress.training.config import TrainingConfig
from compress.training.fake_quantization import FakeQuantization


def make_optimizer(model: Any, settings: TrainingConfig, decayed: Collection[str]) -> torch.optim.Optimizer:
    """AdamW with learning rates of their own for the head and for the scales of a fake quantization.

    Args:
        decayed: names of the parameters with weight decay: no biases, no norms. Scales never have it.
    """
    inside = {id(parameter) for name, parameter in base_model(model).named_parameters() if "pooler" not in name}
    scales = {
        id(parameter): module.learning_rate
        for module in model.modules()
        if isinstance(module, FakeQuantization)
        for parameter in module.parameters()
    }
    head_rate = settings.head_learning_rate or 10 * settings.learning_rate
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = settings.learning_rate if id(parameter) in inside else head_rate
            decay = settings.weight_decay if name in decayed and id(parameter) not in scales else 0.0
            groups.setdefault((scales.get(id(parameter), rate), decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": parameters, "lr": rate, "weight_decay": decay} for (rate, decay), parameters in groups.items()],
        fused=True,
    )
