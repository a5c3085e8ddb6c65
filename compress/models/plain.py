"""The check that a model gives the same token ids and logits here as in plain transformers.

Plain means what people do who follow the model's card: `AutoTokenizer` and the task's `AutoModel…`, one text at a time,
so that nothing is padded. What this tool does in another way (its own tokenizer path, one padding for all runtimes,
its own reading of weights, the order of labels) must not change an answer.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from optimum.exporters.tasks import TasksManager

from compress.errors import InputError
from compress.models.config_file import labels_of
from compress.models.inputs import accepted_names, input_names
from compress.models.load import load_model, short_reason
from compress.models.read_weights import unread_heads
from compress.models.tokenizer import load_tokenizer

TOLERANCE = 1e-3
"""Largest difference of a logit for an unpadded text, as a share of the largest logit."""
PADDED_TOLERANCE = 0.02
"""The same for a padded text: convolutions, such as ConvBERT's, reach a little into the padding."""

Arrays = np.ndarray[Any, Any]


def check_same_as_plain(
    folder: Path,
    hub_task: str,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    max_length: int,
    *,
    labels: Sequence[str] | None = None,
    trust_remote_code: bool = False,
) -> str | None:
    """Refuse a model whose token ids or logits for a few texts differ from plain transformers'.

    Args:
        labels: the classes of a model that gets a new head; both heads get the same weights.

    Returns:
        A remark on weights that nothing reads, if there are any.

    Raises:
        InputError: transformers cannot load the model, or the ids or the logits differ.
    """
    where = str(folder)
    network = load_model(folder, hub_task, labels=labels, trust_remote_code=trust_remote_code)
    rows = _plain_rows(folder, texts, pairs, max_length, trust_remote_code)
    tokenizer = load_tokenizer(folder)
    own = tokenizer.encode(texts, pairs, max_length)
    _check_ids(texts, own, rows, where)
    expected, info = _plain_logits(folder, hub_task, rows, labels, trust_remote_code)
    _fill(network, _new_weights(info))
    alone = np.concatenate([_logits(network, tokenizer.pad([row])) for row in own])
    padded = _logits(network, tokenizer.pad(own))
    if not _same(alone, expected, TOLERANCE):
        raise InputError(
            f"the model does not say here what it says in plain transformers: a logit is off by "
            f"{_off(alone, expected)}",
            where=where,
            fix="export it to ONNX with the tool that it comes with, and give that folder",
        )
    if not _same(padded, expected, PADDED_TOLERANCE):
        raise InputError(
            f"what the model says of a text depends on how far it is padded: a logit is off by "
            f"{_off(padded, expected)}",
            where=where,
            fix="take a model that leaves padding out of account",
        )
    return unread_heads(network, info)


def _check_ids(
    texts: Sequence[str],
    own: Sequence[Mapping[str, Sequence[int]]],
    rows: Sequence[Mapping[str, torch.Tensor]],
    where: str,
) -> None:
    """Refuse a tokenizer that makes other ids here than in plain transformers.

    Raises:
        InputError: with the first text that it does so for.
    """
    for text, mine, plain in zip(texts, own, rows, strict=True):
        if mine["input_ids"] != plain["input_ids"][0].tolist():
            raise InputError(
                f"of '{text[:40]}', tokenizer.json makes the ids {_excerpt(mine['input_ids'])}, and AutoTokenizer "
                f"{_excerpt(plain['input_ids'][0].tolist())}",
                where=where,
                fix="write one that says the same: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)",
            )


def _plain_rows(
    folder: Path, texts: Sequence[str], pairs: Sequence[str] | None, max_length: int, trusted: bool
) -> list[Mapping[str, torch.Tensor]]:
    """AutoTokenizer's encoding of each text, (1, tokens) each."""
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trusted)
        seconds: Sequence[str | None] = pairs if pairs is not None else [None] * len(texts)
        return [
            tokenizer(text, pair, truncation=True, max_length=max_length, return_tensors="pt")
            for text, pair in zip(texts, seconds, strict=True)
        ]
    except MemoryError:
        raise
    except Exception as error:  # unusual settings of tokenizers make the library raise anything
        raise InputError(
            f"transformers cannot load the model's tokenizer: {short_reason(error)}",
            where=str(folder),
            fix="check tokenizer_config.json",
        ) from error


def _plain_logits(
    folder: Path,
    hub_task: str,
    rows: Sequence[Mapping[str, torch.Tensor]],
    labels: Sequence[str] | None,
    trusted: bool,
) -> tuple[Arrays, Mapping[str, Any]]:
    """The logits of the task's plain class, in the order of `labels`, and transformers' remarks on the weights.

    The logits are (rows, classes); or (tokens of all rows, classes) if each token has its own.
    """
    loader: Any = TasksManager.get_model_class_for_task(hub_task, framework="pt")
    options: dict[str, Any] = {"num_labels": len(labels), "ignore_mismatched_sizes": True} if labels else {}
    try:
        model, info = loader.from_pretrained(
            folder,
            output_loading_info=True,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=trusted,
            **options,
        )
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise InputError(
            f"transformers cannot load the model for {hub_task}: {short_reason(error)}",
            where=str(folder),
            fix="check that config.json and the weights belong together",
        ) from error
    new_weights = _new_weights(info)
    _fill(model.eval(), new_weights)
    logits = np.concatenate([_logits_of_text(model, row, folder) for row in rows])
    own = labels_of(folder)
    if labels and not new_weights and sorted(own) == sorted(labels):
        logits = logits[:, [own.index(label) for label in labels]]
    return logits, info


def _new_weights(info: Mapping[str, Any]) -> list[str]:
    """Names of the weights that are not from the file."""
    return sorted({*info["missing_keys"], *(str(key[0]) for key in info["mismatched_keys"])})


def _logits_of_text(model: Any, row: Mapping[str, torch.Tensor], folder: Path) -> Arrays:
    """The logits of one text, (1, classes) or (tokens, classes)."""
    accepted = accepted_names(model)
    try:
        with torch.inference_mode():
            logits: Arrays = model(**{name: row[name] for name in row if name in accepted}).logits.numpy()
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise InputError(
            f"{type(model).__name__} fails in plain transformers on a text of {row['input_ids'].shape[1]} tokens: "
            f"{short_reason(error)}",
            where=str(folder),
            fix="take a model that reads texts of any length and nothing beside them",
        ) from error
    return logits.reshape(-1, logits.shape[-1])


def _fill(model: Any, names: Sequence[str]) -> None:
    """Give the named weights values that are the same in any model, and large enough to matter."""
    weights = dict(model.named_parameters())
    generator = torch.Generator().manual_seed(0)
    for name in names:
        if name in weights:
            values = torch.randn(weights[name].shape, generator=generator)
            weights[name].data.copy_(values / max(values.shape[-1], 1) ** 0.5)


def _logits(network: Any, batch: Mapping[str, Arrays]) -> Arrays:
    """The logits of a batch, (rows, classes), or (tokens of all rows, classes) without padding."""
    names = input_names(network)
    with torch.inference_mode():
        logits: Arrays = network(**{name: torch.from_numpy(batch[name]) for name in names}).logits.float().numpy()
    return logits if logits.ndim == 2 else logits[batch["attention_mask"].astype(bool)]


def _same(ours: Arrays, plain: Arrays, tolerance: float) -> bool:
    return bool(np.abs(ours - plain).max() <= tolerance * np.abs(plain).max())


def _off(ours: Arrays, plain: Arrays) -> str:
    return f"{np.abs(ours - plain).max() / np.abs(plain).max():.2%} of the largest"


def _excerpt(ids: Sequence[int]) -> str:
    return f"{list(ids[:8])}"[:-1] + (", …]" if len(ids) > 8 else "]")
