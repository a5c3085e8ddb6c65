"""Loading and saving of torch models in Hugging Face's layout, also with layers of different shapes.

A pruned encoder whose shapes fit the family's configuration is a plain Hugging Face folder. Others keep their shapes
in config.json under `compress_shapes`, and are loaded here: the class is built as usual, its layers are cut to those
shapes, and only then the weights are read.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from optimum.exporters.tasks import TasksManager

from compress.errors import InputError
from compress.models.architectures import SHAPES_KEY, Shape, write_shape
from compress.models.config_file import SINGLE_LABEL, read_config
from compress.models.folder import check_weights
from compress.models.own_families import module_of
from compress.models.read_weights import check_read, reorder_head
from compress.models.reshape import model_shape, reshaped_class
from compress.models.tokenizer import load_tokenizer


def load_model(
    folder: Path,
    hub_task: str,
    *,
    labels: Sequence[str] | None = None,
    own_head: bool = False,
    attention: str | None = None,
    trust_remote_code: bool = False,
    **options: Any,
) -> Any:
    """A model in fp32, ready for evaluation.

    Args:
        folder: a folder with config.json and safetensors.
        hub_task: the task's name on the Hugging Face hub, for example text-classification.
        labels: names of the classes; a head with the same names in another order is put into this one, one that is
            missing or of another size gets random weights. None: the model's own classes.
        own_head: refuse a head that would get random weights, with `labels` too.
        attention: `eager` for a model that is to be exported with fused attention; None for the fastest.
        options: further arguments of `from_pretrained`.

    Raises:
        InputError: the folder cannot be loaded as that class, or weights are missing that are not to be random.
    """
    config = read_config(folder)
    check_weights(folder)
    module_of(config)  # transformers must know the family
    arguments = _arguments(labels, attention) | {"trust_remote_code": trust_remote_code, **options}
    if "quantization_config" not in config and "quantization_config" not in options:
        arguments["ignore_mismatched_sizes"] = True  # `check_read` reports them, with both sizes
    try:
        loader: Any = TasksManager.get_model_class_for_task(hub_task, framework="pt")
        if SHAPES_KEY in config:
            del arguments["trust_remote_code"]
            own = transformers.AutoConfig.for_model(**config)
            loader = reshaped_class(loader._model_mapping[type(own)], config)
        model, loading_info = loader.from_pretrained(folder, output_loading_info=True, **arguments)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # unusual values in config.json make the libraries raise anything
        raise _refusal(error, hub_task, config.get("model_type"), folder) from error
    check_read(model, loading_info, folder, makes_head=labels is not None and not own_head)
    if labels is not None and not (loading_info["missing_keys"] or loading_info["mismatched_keys"]):
        _put_in_order(model, config, labels)
    _settle_padding(model, folder)
    return model.eval()


def _arguments(labels: Sequence[str] | None, attention: str | None) -> dict[str, Any]:
    """The arguments of `from_pretrained` for all models."""
    arguments: dict[str, Any] = {"dtype": torch.float32, "use_safetensors": True, "local_files_only": True}
    if attention is not None:
        arguments["attn_implementation"] = attention
    if labels is not None:
        arguments["id2label"] = dict(enumerate(labels))
        arguments["label2id"] = {label: index for index, label in enumerate(labels)}
        arguments["problem_type"] = SINGLE_LABEL
    return arguments


def _refusal(error: Exception, hub_task: str, family: Any, folder: Path) -> InputError:
    """The error for a model that transformers cannot load."""
    if "Unrecognized configuration class" in str(error):
        return InputError(
            f"transformers has no class for {hub_task} of the family '{family}'",
            where=str(folder),
            fix="take a model of a family that reads texts and has a head for it",
        )
    return InputError(
        f"cannot load the model for {hub_task}: {short_reason(error)}",
        where=str(folder),
        fix="set trust_remote_code: true in the recipe, if you trust that code"
        if "trust_remote_code" in str(error)
        else "check that config.json and the weights belong together",
    )


def _put_in_order(model: Any, config: Mapping[str, Any], labels: Sequence[str]) -> None:
    """Reorder the outputs of a head that has the same labels in another order."""
    label_names = config.get("id2label") or {}
    own = [str(label_names[index]) for index in sorted(label_names, key=int)]
    if own != list(labels) and sorted(own) == sorted(labels):
        reorder_head(model, [own.index(label) for label in labels])


def _settle_padding(model: Any, folder: Path) -> None:
    """Set the padding id of a model without one to its tokenizer's: heads of decoders need it."""
    settings = model.config.get_text_config()
    if getattr(settings, "pad_token_id", None) is None and (folder / "tokenizer.json").is_file():
        settings.pad_token_id = load_tokenizer(folder).pad_id


def load(folder: str | Path) -> Any:
    """A torch model in Hugging Face's layout, in the class in which it was saved.

    It needs no task, and can load what plain `from_pretrained` cannot: layers of different shapes.

    Raises:
        InputError: the folder cannot be loaded.
    """
    path = Path(folder)
    config = read_config(path)
    check_weights(path)
    name = next(iter(config.get("architectures") or []), "")
    base: Any = getattr(module_of(config) or transformers, name, None)
    if not (isinstance(base, type) and issubclass(base, transformers.PreTrainedModel)):
        raise InputError(
            f"config.json names the class '{name}', which transformers does not have",
            where=str(path),
            fix="give the folder of a torch model",
        )
    try:
        loader: Any = reshaped_class(base, config) if SHAPES_KEY in config else base
        model, loading_info = loader.from_pretrained(
            path,
            output_loading_info=True,
            use_safetensors=True,
            local_files_only=True,
            ignore_mismatched_sizes="quantization_config" not in config,
        )
    except (InputError, MemoryError):
        raise
    except Exception as error:  # as above
        raise InputError(
            f"cannot load the model as {name}: {short_reason(error)}",
            where=str(path),
            fix="check that config.json and the weights belong together",
        ) from error
    check_read(model, loading_info, path, makes_head=False)
    return model.eval()


def short_reason(error: Exception) -> str:
    """The first line of a library's error that is not empty, cut short."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].endswith(":"):
        lines[0] = f"{lines[0]} {lines[1]}"
    return lines[0][:300] if lines else type(error).__name__


def save_model(model: Any, folder: Path, shape: Shape | None = None) -> None:
    """Write config.json and model.safetensors; shapes that differ from the configuration are written too.

    Args:
        shape: the model's sizes, if its weights are packed and do not show them.
    """
    model.save_pretrained(folder)
    shape = shape or model_shape(model)
    if shape is not None:
        path = folder / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        write_shape(config, shape)
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
