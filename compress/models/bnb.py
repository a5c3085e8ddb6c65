"""Weights in bitsandbytes' 8 bits or 4-bit NormalFloat: which matrices have them, and their values as floats."""

from collections.abc import Sequence
from typing import Any

import torch

from compress.errors import InputError

INPUTS_MULTIPLE, OUTPUTS_MULTIPLE = 64, 32
"""Multiples of the sizes that bitsandbytes' 4-bit kernels for CPU can pack; 8-bit matrices may have any size."""


def scheme(bits: int, skipped: list[str]) -> Any:
    """The `quantization_config` for `from_pretrained`.

    Args:
        bits: 4 for NormalFloat with double quantization, 8 for LLM.int8.
        skipped: names of matrices that stay as they are.
    """
    from transformers import BitsAndBytesConfig

    # the list counts for 4 bits too, in spite of its name
    if bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skipped)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
        llm_int8_skip_modules=skipped,
    )


def kept_in_float(network: Any, bits: int, others: Sequence[str] = ()) -> list[str]:
    """Names of the matrices that stay in float: the head's, and with 4 bits those of sizes that cannot be packed.

    Args:
        bits: 4 or 8.
        others: names of modules whose matrices stay in float too.

    Raises:
        InputError: no matrix is left to quantize.
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
        matrix_sizes = ", ".join(f"{inputs}x{outputs}" for inputs, outputs in sorted({sizes[name] for name in within}))
        raise InputError(
            f"nothing to quantize to {bits} bits: none of the encoder's {len(within)} matrices is of a size that "
            f"bitsandbytes packs ({matrix_sizes or 'it has no linear layer'})",
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
    """Keep the layout of the weights, so that they are the same in training and evaluation.

    On a CPU with AVX512-BF16, bitsandbytes would pack 4-bit weights again when a model is first evaluated. That rounds
    their scales, and later training gets no gradient through them.
    """
    import bitsandbytes

    for module in network.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False


def float_weights(network: Any) -> dict[str, torch.Tensor]:
    """The rounded weights as floats by the module's name, (outputs, inputs), in fp32 on the CPU."""
    import bitsandbytes
    from bitsandbytes.functional import dequantize_4bit

    weights = {}
    for name, module in network.named_modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            weights[name] = dequantize_4bit(module.weight.data, module.weight.quant_state).float().cpu()
        elif isinstance(module, bitsandbytes.nn.Linear8bitLt):
            state = module.state if module.weight.CB is None else module.weight
            weights[name] = (state.CB.float() * (state.SCB / 127).unsqueeze(1)).cpu()
    return weights
