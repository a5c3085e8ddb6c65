"""A torch model whose weights bitsandbytes has packed into 8 or 4 bits, as transformers saves it."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from compress.errors import InputError
from compress.formats import torch
from compress.models.files import CONFIG
from compress.runtimes.torch import OWN_PRECISION

if TYPE_CHECKING:
    from compress.recipe.schema import Target

METHOD = "bitsandbytes"
PACKAGES = (*torch.PACKAGES, "bitsandbytes", "accelerate")


def recognises(path: Path) -> bool:
    """Whether a folder's config.json says that bitsandbytes has packed the weights."""
    return _method(path) == METHOD


def nearly(path: Path) -> InputError | None:
    """The error for a folder whose weights are packed in another way; None for any other folder."""
    if torch.quantization(path) is None:
        return None
    return InputError(
        f"the model's weights are quantized by {_method(path)!r:.60}, which is not known here",
        where=str(path / CONFIG),
        fix=f"take the float model that it was made from; of quantized torch weights, only {METHOD}' are read",
    )


def refuse(target: "Target") -> str | None:
    """Why it can run on no target of these settings, or None."""
    return OWN_PRECISION if target.precision != "fp32" else None


def snippet(folder: Path, hub_task: str, pairs: bool) -> tuple[list[str], str]:
    """The snippet of a float model, with the packages that unpack the weights."""
    packages, code = torch.snippet(folder, hub_task, pairs)
    return [*packages, *PACKAGES[len(torch.PACKAGES) :]], code


def _method(path: Path) -> object:
    config = torch.quantization(path)
    return config.get("quant_method") if isinstance(config, dict) else config


FORMAT = replace(
    torch.FORMAT,
    title=f"PyTorch with {METHOD} weights",
    recognises=recognises,
    nearly=nearly,
    has_float_weights=False,
    refuse=refuse,
    is_last=f"{METHOD} weights neither export nor train further",
    packages=PACKAGES,
    snippet=snippet,
)
