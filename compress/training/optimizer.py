"""The optimizer of a training."""

from collections.abc import Callable, Collection
from typing import Any

import torch

from compress.models.reshape import base_model
from compress.training.config import TrainingConfig
from compress.training.fake_quantization import FakeQuantization


class RowsAdamW(torch.optim.AdamW):
    """AdamW that changes only those rows of a table that a batch has read: the rows of its sparse gradient.

    The moments of all other rows stay as they are, and rows never decay, as in torch.optim.SparseAdam, which takes no
    dense parameters beside its tables.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step of all parameters."""
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None and table.grad.is_sparse:
                    self._change_rows(table, group)
                    table.grad = None  # the others are changed below
        return super().step(closure)

    def _change_rows(self, table: torch.Tensor, group: dict[str, Any]) -> None:
        """Change the rows of a table's gradient (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1)."""
        assert table.grad is not None
        gradient = table.grad.coalesce()
        rows, values = gradient.indices()[0], gradient.values()  # values are (rows, channels)
        state = self.state[table]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(table), torch.zeros_like(table)
        state["step"] += 1
        step, (beta1, beta2) = float(state["step"]), group["betas"]
        mean = state["exp_avg"][rows].lerp_(values, 1 - beta1)
        square = state["exp_avg_sq"][rows].mul_(beta2).addcmul_(values, values, value=1 - beta2)
        state["exp_avg"][rows], state["exp_avg_sq"][rows] = mean, square
        scale = (square / (1 - beta2**step)).sqrt_().add_(group["eps"])
        table.index_add_(0, rows, mean.div_(scale), alpha=-float(group["lr"]) / (1 - beta1**step))


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
    return RowsAdamW(
        [{"params": parameters, "lr": rate, "weight_decay": decay} for (rate, decay), parameters in groups.items()],
        fused=True,
    )
