"""Load and save torch models in Hugging Face's layout, also those whose layers have shapes of their own.

A pruned encoder whose shapes the family's configuration can say is a plain Hugging Face folder. The others
carry their shapes in config.json under `compress_shapes`, and load here: the class is built as usual, its
layers are cut to those shapes, and only then the weights are read.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from optimum.exporters.tasks import TasksManager

from compress.errors import InputError
from compress.models.architectures import SHAPES_KEY, read_config, write_shape
from compress.models.reshape import model_shape, reshaped_class


def load_model(
    folder: Path,
    hub_task: str,
    *,
    labels: Sequence[str] | None = None,
    attention: str = "sdpa",
    trust_remote_code: bool = False,
    **options: Any,
) -> Any:
    """A model in fp32, ready for evaluation.

    Args:
        folder: config.json and safetensors.
        hub_task: the task's name on the Hugging Face hub, for example text-classification.
        labels: names of the classes; a head that is missing or of another size is made anew, at random.
            Left out: as saved.
        attention: `sdpa` (fast) or `eager` (exportable with fused attention).
        options: passed on to `from_pretrained`.

    Raises:
        InputError: the folder cannot be loaded as that class, or lacks weights while `labels` is left out.
    """
    config = read_config(folder)
    arguments: dict[str, Any] = {
        "attn_implementation": attention,
        "dtype": torch.float32,
        "use_safetensors": True,
        "local_files_only": True,
        "trust_remote_code": trust_remote_code,
        **options,
    }
    if labels is not None:
        arguments["id2label"] = dict(enumerate(labels))
        arguments["label2id"] = {label: index for index, label in enumerate(labels)}
        arguments["ignore_mismatched_sizes"] = len(labels) != len(config.get("id2label") or "ab")
    try:
        loader: Any = TasksManager.get_model_class_for_task(hub_task, framework="pt")
        if SHAPES_KEY in config:
            del arguments["trust_remote_code"]
            loader = reshaped_class(loader, config)
        model, found = loader.from_pretrained(folder, output_loading_info=True, **arguments)
    except (ValueError, OSError, KeyError, RuntimeError) as error:
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(
            f"cannot load the model for {hub_task}: {first[:300]}",
            where=str(folder),
            fix="set trust_remote_code: true in the recipe, if you trust that code"
            if "trust_remote_code" in str(error)
            else "check that config.json and the weights belong together",
        ) from error
    missing = sorted(found["missing_keys"])
    if missing and labels is None:
        raise InputError(
            f"the weights lack {', '.join(missing[:3])}, which {hub_task} needs: they would be random",
            where=str(folder),
            fix="fine-tune the model first (stage finetune)",
        )
    return model.eval()


def save_model(model: Any, folder: Path) -> None:
    """Write config.json and model.safetensors; shapes that differ from the configuration are written too."""
    model.save_pretrained(folder)
    shape = model_shape(model)
    if shape is not None:
        path = folder / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        write_shape(config, shape)
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
