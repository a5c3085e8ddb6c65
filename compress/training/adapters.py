"""Low-rank adapters: small matrices that are trained beside frozen ones, and become a part of them at last."""

from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from transformers.pytorch_utils import Conv1D

from compress.models.bnb import float_weights


def trained_whole(network: Any) -> list[str]:
    """Names of the modules that have no adapter and are trained themselves: all but the encoder, and its pooler."""
    prefix = network.base_model_prefix
    names = [name for name, part in network.named_children() if name != prefix and list(part.parameters())]
    return [*names, f"{prefix}.pooler"] if hasattr(network.get_submodule(prefix), "pooler") else names


def add_adapters(network: Any, rank: int, alpha: float, dropout: float) -> PeftModel:
    """Freeze a model, and put an adapter beside each matrix of its encoder; head and pooler are trained whole.

    Args:
        network: with float weights or bitsandbytes'. Its modules are changed in place.
        rank: of each adapter: it adds `alpha / rank * B @ A`, A (rank, inputs), B (outputs, rank) and 0 at first.
        dropout: share of an adapter's inputs dropped while training.
    """
    whole = trained_whole(network)
    outside = tuple(f"{name}." for name in whole)
    adapted = [
        name
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and not f"{name}.".startswith(outside)
    ]
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=adapted, modules_to_save=whole)
    return get_peft_model(network, config)


def merged(adapted: PeftModel, floats: Any) -> Any:
    """A float model that computes what the adapted one does.

    Args:
        adapted: trained.
        floats: the model that it was made of, with float weights. Changed in place; where the adapted one's are
            rounded, it gets what these stand for: to that the adapters were trained.
    """
    with torch.no_grad():
        for name, weight in float_weights(adapted.get_base_model()).items():
            floats.get_submodule(name.removesuffix(".base_layer")).weight.copy_(weight)
    whole = get_peft_model(floats, adapted.peft_config[adapted.active_adapter])
    set_peft_model_state_dict(whole, get_peft_model_state_dict(adapted))
    return whole.merge_and_unload()
