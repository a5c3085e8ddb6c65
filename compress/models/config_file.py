"""A model folder's config.json, read and checked for values that no model has."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compress.errors import InputError
from compress.files.whole import read_object
from compress.models.architectures import ARCHITECTURES, SHAPES_KEY, Architecture, size_fields

MAX_LAYERS = 10_000
MAX_SIZE = 100_000_000
"""Largest width or table; a larger number is damage, and would only fill the memory."""
SINGLE_LABEL = "single_label_classification"
"""The `problem_type` of a model that gives each text one of its labels."""
HEADS = {"text-classification": "ForSequenceClassification", "token-classification": "ForTokenClassification"}
"""How the names of the classes end that have a head for a task."""
LABELS_SHOWN = 6
"""Most labels that a message names."""


def read_config(folder: Path) -> dict[str, Any]:
    """The content of a model folder's config.json.

    Raises:
        InputError: the file cannot be read, is not an object, has a size that no model has, or asks for foreign code.
    """
    path = folder / "config.json"
    config = read_object(path)
    problem = _sizes_problem(config) or _names_problem(config) or _positions_problem(config) or _code_problem(config)
    if problem is not None:
        raise InputError(
            f"the model's config.json says {problem}",
            where=str(path),
            fix="take the config.json that belongs to the weights",
        )
    return config


def _sizes_problem(config: Mapping[str, Any]) -> str | None:
    """The problem of the sizes that this tool reads, or None."""
    architecture = ARCHITECTURES.get(str(config.get("model_type")))
    fields = size_fields(architecture) if architecture else ()
    layers_field, hidden_field, heads_field, _ = fields or ("",) * 4
    for field in (*fields, "vocab_size", "max_position_embeddings"):
        most = MAX_LAYERS if field == layers_field else MAX_SIZE
        if config.get(field) is not None and not _is_size(config[field], most):
            return f"{field}: {config[field]!r:.60}, which is no whole number from 1 to {most:,}"
    hidden, heads = config.get(hidden_field), config.get(heads_field)
    if hidden and heads and hidden % heads:
        return f"{hidden_field}: {hidden}, which {heads} heads do not divide"
    return _shapes_problem(config, architecture) if config.get(SHAPES_KEY) is not None else None


def _shapes_problem(config: Mapping[str, Any], architecture: Architecture | None) -> str | None:
    """The problem of the shapes that the model keeps in addition to its own configuration, or None."""
    shapes = config[SHAPES_KEY]
    layers = config.get(architecture.layers_field) if architecture else None
    for name in ("heads", "neurons"):
        sizes = shapes.get(name, []) if isinstance(shapes, dict) else None
        if not isinstance(sizes, list) or not all(_is_size(size, MAX_SIZE) for size in sizes):
            return f"{SHAPES_KEY}: {shapes!r:.60}, which are no lists of sizes"
        if name in shapes and len(sizes) != layers:
            return f"{SHAPES_KEY}.{name} of {len(sizes)} layers, where the model has {layers}"
    for name in ("embedding_rank", "ffn_rank"):
        if shapes.get(name) is not None and not _is_size(shapes[name], MAX_SIZE):
            return f"{SHAPES_KEY}.{name}: {shapes[name]!r:.60}, which is no whole number from 1 to {MAX_SIZE:,}"
    return _norms_problem(shapes, layers, architecture) or _biases_problem(shapes, architecture)


def _biases_problem(shapes: Mapping[str, Any], architecture: Architecture | None) -> str | None:
    """The problem of the columns of position biases that the heads of each layer use, or None."""
    columns: Any = shapes.get("bias_columns")
    used: Any = shapes.get("bias_heads")
    if columns is None and used is None:
        return None
    if architecture is None or architecture.position_biases is None:
        return f"{SHAPES_KEY}.bias_columns, which this family does not have"
    counts = [len(heads) if isinstance(heads, list) else -1 for heads in used] if isinstance(used, list) else None
    if not _is_size(columns, MAX_SIZE) or counts != shapes.get("heads"):
        return (
            f"{SHAPES_KEY}.bias_heads: {used!r:.60}, which is no list of one of {columns!r:.20} columns for each head"
        )
    if not all(isinstance(number, int) and 0 <= number < columns for heads in used for number in heads):
        return f"{SHAPES_KEY}.bias_heads: {used!r:.60}, which are not all from 0 to {columns - 1}"
    return None


def _norms_problem(shapes: Mapping[str, Any], layers: Any, architecture: Architecture | None) -> str | None:
    """The problem of the list of layers with a norm before attention, or None."""
    norms = shapes.get("attention_norms")
    if norms is None:
        return None
    if architecture is None or architecture.attention_norm is None:
        return f"{SHAPES_KEY}.attention_norms, which this family does not have"
    if not isinstance(norms, list) or not all(isinstance(norm, bool) for norm in norms) or len(norms) != layers:
        return f"{SHAPES_KEY}.attention_norms: {norms!r:.60}, which is not true or false for each of {layers} layers"
    return None


def _is_size(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def _names_problem(config: Mapping[str, Any]) -> str | None:
    """The problem of the names of labels, classes and kinds, or None."""
    if (problem := _labels_problem(config)) is not None:
        return problem
    for key, kind, needed in (
        ("model_type", str, "text"),
        ("architectures", list, "a list of names"),
        ("quantization_config", dict, "an object"),
    ):
        value = config.get(key)
        if value is not None and not isinstance(value, kind):
            return f"{key}: {value!r:.60}, which is not {needed}"
    if not all(isinstance(name, str) for name in config.get("architectures") or ()):
        return f"architectures: {config['architectures']!r:.60}, which is not a list of names"
    return None


def _labels_problem(config: Mapping[str, Any]) -> str | None:
    """The problem of the names of the labels, or None."""
    label_names = config.get("id2label")
    if label_names is not None:
        if not isinstance(label_names, dict) or not all(
            key.isascii() and key.isdigit() and len(key) < 10 for key in label_names
        ):
            return f"id2label: {label_names!r:.60}, which is no map of numbers to names"
        if sorted(map(int, label_names)) != list(range(len(label_names))):
            return f"id2label: {label_names!r:.60}, whose numbers are not 0, 1, 2 and so on"
        if not all(isinstance(name, str | int | float) for name in label_names.values()):
            return f"id2label: {label_names!r:.60}, where a name is no text"
        if config.get("num_labels") not in {None, len(label_names)}:
            return f"num_labels: {config['num_labels']!r:.60}, and id2label has {len(label_names)} names"
    return None


def _positions_problem(config: Mapping[str, Any]) -> str | None:
    """The problem of the kind of positions, or None."""
    kind = config.get("position_embedding_type")
    if str(kind).startswith("relative_key"):  # without it another model would be computed
        return f"position_embedding_type: {kind!r:.60}, which transformers no longer computes"
    return None


def _code_problem(config: Mapping[str, Any]) -> str | None:
    """The setting that would make transformers fetch code or unpickle weights, or None."""
    weights = config.get("transformers_weights")
    if weights is not None:
        return f"transformers_weights: {weights!r:.60}, a file that is read instead of model.safetensors"
    for key, value in config.items():
        if key.endswith(("attn_implementation", "experts_implementation")) and "/" in str(value):
            return f"{key}: {value!r:.60}, compiled code that would be fetched from the hub and run"
        if isinstance(value, dict) and (problem := _code_problem(value)):
            return f"in {key} {problem}"
    return None


def check_single_label(folder: Path) -> None:
    """Refuse a classifier that does not choose one of its labels.

    Raises:
        InputError: config.json says that the model decides on each label separately, or that it gives a number.
    """
    kind = read_config(folder).get("problem_type")
    if kind not in {None, SINGLE_LABEL}:
        raise InputError(
            f"the model '{folder.name}' is made for {kind!r:.60}, and does not choose one label for each text",
            where=str(folder / "config.json"),
            fix="fine-tune it on this data first: that gives it a head of its own",
        )


def head_problem(folder: Path, hub_task: str, labels: Sequence[str]) -> str | None:
    """Why a model cannot answer a task as it is, by its config.json; None if it has a head with just these labels.

    The order of the labels may be another one.
    """
    config, names = read_config(folder), labels_of(folder)
    classes, head = config.get("architectures") or [], HEADS.get(hub_task, "")
    if classes and not any(name.endswith(head) for name in classes):
        return f"{classes[0]:.60} has no head for {hub_task}"
    if config.get("problem_type") not in {None, SINGLE_LABEL}:
        return f"it is made for {config['problem_type']!r:.60}, and does not choose one label for each text"
    if not names:
        return "its config.json names no labels"
    if sorted(names) != sorted(labels):
        shown = ", ".join(f"'{name[:40]}'" for name in names[:LABELS_SHOWN])
        return f"its labels are {shown}" + (f", … ({len(names)} in all)" if len(names) > LABELS_SHOWN else "")
    return None


def labels_of(folder: Path) -> list[str]:
    """Names of a model's classes, in the order of its outputs; empty if config.json has none."""
    label_names = read_config(folder).get("id2label") or {}
    return [str(label_names[index]) for index in sorted(label_names, key=int)]
