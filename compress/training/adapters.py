"""Low-rank adapters: small matrices, trained beside frozen ones and merged into them at the end."""

from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from transformers.pytorch_utils import Conv1D

from compress.models.bnb import float_weights


def trained_whole(network: Any) -> list[str]:
    """Names of the modules that are trained themselves, without an adapter: the head, and the encoder's pooler."""
    prefix = network.base_model_prefix
    names = [name for name, part in network.named_children() if name != prefix and list(part.parameters())]
    return [*names, f"{prefix}.pooler"] if hasattr(network.get_submodule(prefix), "pooler") else names


def add_adapters(network: Any, rank: int, alpha: float, dropout: float) -> PeftModel:
    """Freeze a model, and put an adapter beside each matrix of its encoder; head and pooler are trained whole.

    An adapter adds `alpha / rank * B @ A` to its matrix: A is (rank, inputs); B is (outputs, rank), and 0 at first.

    Args:
        network: a model with float weights or those of bitsandbytes. Its modules are changed in place.
        rank: the rank of each adapter.
        dropout: share of an adapter's inputs that is dropped while training.
    """
    modules = trained_whole(network)
    outside = tuple(f"{name}." for name in modules)
    adapted = [
        name
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and not f"{name}.".startswith(outside)
    ]
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=adapted, modules_to_save=modules)
    return get_peft_model(network, config)


def merged(adapted: PeftModel, floats: Any) -> Any:
    """A float model that computes what the adapted one does.

    Args:
        adapted: the model with trained adapters.
        floats: the same model without adapters, with float weights; it is changed in place. Where the adapted model's
            weights are rounded, it gets the rounded values, because the adapters were trained for these.
    """
    with torch.no_grad():
        for name, weight in float_weights(adapted.get_base_model()).items():
            floats.get_submodule(name.removesuffix(".base_layer")).weight.copy_(weight)
    adapted_floats = get_peft_model(floats, adapted.peft_config[adapted.active_adapter])
    set_peft_model_state_dict(adapted_floats, get_peft_model_state_dict(adapted))
    return adapted_floats.merge_and_unload()
