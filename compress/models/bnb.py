"""Weights in bitsandbytes' 8 bits or 4-bit NormalFloat: which matrices have them, and what they stand for."""

from collections.abc import Sequence
from typing import Any

import torch

from compress.errors import InputError

INPUTS_MULTIPLE, OUTPUTS_MULTIPLE = 64, 32
"""Sizes that bitsandbytes' 4-bit kernels for CPU can pack; 8 bits have any."""


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


def kept_in_float(network: Any, bits: int, others: Sequence[str] = ()) -> list[str]:
    """Matrices that stay as they are: the head's, and in 4 bits those whose sizes the kernels cannot pack.

    Args:
        bits: 4 or 8.
        others: names of modules whose matrices stay, too.

    Raises:
        InputError: all of them would.
    """
    inside, outside = f"{network.base_model_prefix}.", tuple(f"{name}." for name in others)
    sizes = {
        name: (module.in_features, module.out_features)
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    within = [name for name in sizes if name.startswith(inside) and not f"{name}.".startswith(outside)]
    packed = {name for name in within if bits == 8 or _fits_4_bits(*sizes[name])}
    if not packed:
        found = ", ".join(f"{inputs}x{outputs}" for inputs, outputs in sorted({sizes[name] for name in within}))
        raise InputError(
            f"nothing to quantize to {bits} bits: none of the encoder's {len(within)} matrices is of a size that "
            f"bitsandbytes packs ({found or 'it has no linear layer'})",
            where=network.name_or_path or None,
            fix=f"take 8 bits, which have any size; 4 need inputs in multiples of {INPUTS_MULTIPLE} and outputs in "
            f"multiples of {OUTPUTS_MULTIPLE}"
            if within
            else "take a model whose encoder has linear layers",
        )
    return [name for name in sizes if name not in packed]


def _fits_4_bits(inputs: int, outputs: int) -> bool:
    return inputs % INPUTS_MULTIPLE == 0 and outputs % OUTPUTS_MULTIPLE == 0


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
