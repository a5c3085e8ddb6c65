"""Weights in bitsandbytes' 8 bits or 4-bit NormalFloat: which matrices have them, and what they stand for."""

from collections.abc import Sequence
from typing import Any

import torch

INPUTS_MULTIPLE, OUTPUTS_MULTIPLE = 64, 32
"""Sizes that bitsandbytes' 4-bit kernels for CPU can pack."""


def scheme(bits: int, kept: list[str]) -> Any:
    """The `quantization_config` for `from_pretrained`.

    Args:
        bits: 4: NormalFloat with double quantization; 8: LLM.int8.
        kept: names of matrices that stay as they are.
    """
    from transformers import BitsAndBytesConfig

    # both kinds read this list, in spite of its name
    if bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=kept)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
        llm_int8_skip_modules=kept,
    )


def kept_in_float(network: Any, others: Sequence[str] = ()) -> list[str]:
    """Matrices that stay as they are: the head's, and those whose sizes the 4-bit kernels cannot pack.

    Args:
        others: names of modules whose matrices stay, too.
    """
    inside, outside = f"{network.base_model_prefix}.", tuple(f"{name}." for name in others)
    return [
        name
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Linear)
        and (
            not name.startswith(inside)
            or f"{name}.".startswith(outside)
            or module.in_features % INPUTS_MULTIPLE
            or module.out_features % OUTPUTS_MULTIPLE
        )
    ]


def freeze_layout(network: Any) -> None:
    """Let the weights be the same in training and evaluation.

    Where a CPU has AVX512-BF16, bitsandbytes would pack 4-bit weights anew when a model is first evaluated; that rounds
    their scales, and a training that goes on has no gradient through them.
    """
    import bitsandbytes

    for module in network.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False


def float_weights(network: Any) -> dict[str, torch.Tensor]:
    """By the name of each module with rounded weights: (outputs, inputs), in fp32 on the CPU, what they stand for."""
    import bitsandbytes
    from bitsandbytes.functional import dequantize_4bit

    found = {}
    for name, module in network.named_modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            found[name] = dequantize_4bit(module.weight.data, module.weight.quant_state).float().cpu()
        elif isinstance(module, bitsandbytes.nn.Linear8bitLt):
            state = module.state if module.weight.CB is None else module.weight
            found[name] = (state.CB.float() * (state.SCB / 127).unsqueeze(1)).cpu()
    return found
