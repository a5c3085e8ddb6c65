"""The families of models that are this package's own: those without a transformer. Light to import."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from compress.models.config_file import SINGLE_LABEL

if TYPE_CHECKING:
    from compress.models.tokenizer import Tokenizer

NGRAMS = "compress_ngrams"
CONVOLUTION = "compress_convolution"
_MODULES = {NGRAMS: "compress.models.ngrams", CONVOLUTION: "compress.models.convolution"}


def is_own(config: Mapping[str, Any]) -> bool:
    """Whether the content of a config.json is of such a model, which transformers alone cannot load."""
    return config.get("model_type") in _MODULES


def module_of(config: Mapping[str, Any]) -> ModuleType | None:
    """The module with the classes of such a model; importing it makes transformers know them. None for others."""
    return import_module(_MODULES[config["model_type"]]) if is_own(config) else None


def fields_for(tokenizer: "Tokenizer", labels: Sequence[str]) -> dict[str, Any]:
    """The fields of config.json of a new classifier that reads a tokenizer's ids and knows these labels."""
    return {
        "vocab_size": 1 + max(tokenizer.fast.get_vocab().values()),
        "pad_token_id": tokenizer.pad_id,
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
        "problem_type": SINGLE_LABEL,
    }
