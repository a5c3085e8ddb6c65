"""Models that come from outside: their files are checked before they count as artifacts."""

from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path

from compress.data.sources import Fetched, model_files
from compress.errors import InputError
from compress.files.whole import file_sha256, fingerprint
from compress.formats import check_folder, find, format_of
from compress.models.architectures import SHAPES_KEY
from compress.models.config_bounds import check_config_fits
from compress.models.config_file import read_config
from compress.models.tokenizer import load_tokenizer
from compress.store.artifacts import Artifact
from compress.tasks import Task
from compress.trials.tokenizer_trial import check_tokenizer
from compress.trials.trial import task_texts, try_tokenizer

COMPARED = 4
"""Texts on which a model from outside is compared with plain transformers."""


def outside_artifact(fetched: Fetched, task: Task) -> Artifact:
    """A model from outside, once its files are checked; all that is read of it counts in the key.

    Args:
        task: whose texts its tokenizer will be used on.

    Raises:
        InputError: a file is damaged, leads out of the folder, or says what no model has.
    """
    beside = check_folder(fetched.path)
    check_config_fits(fetched.path)
    try_tokenizer(fetched.path, lambda: task_texts(task))
    check_vocabulary(fetched.path)
    check_tokenizer(fetched.path, pairs="text_pair" in task.spec.columns)
    counted = model_files()
    uncounted = [name for name in beside if "/" in name or not any(fnmatch(name, pattern) for pattern in counted)]
    hashes = {name: file_sha256(fetched.path / name) for name in uncounted}
    key = fingerprint([fetched.key, hashes] if hashes else fetched.key)
    return Artifact(fetched.path, key, format_of(fetched.path))


def check_vocabulary(folder: Path) -> None:
    """Refuse a tokenizer that makes ids for which the model has no embedding.

    Raises:
        InputError: with the first such token.
    """
    config = read_config(folder)
    inner = config.get("text_config")
    table = config.get("vocab_size", inner.get("vocab_size") if isinstance(inner, dict) else None)
    if not isinstance(table, int) or not (folder / "tokenizer.json").is_file():
        return
    beyond = [(number, token) for token, number in load_tokenizer(folder).fast.get_vocab().items() if number >= table]
    if beyond:
        number, token = min(beyond)
        raise InputError(
            f"the tokenizer has tokens beyond the model's table of {table} embeddings, {len(beyond)} in all: "
            f"'{token[:40]}' is number {number}",
            where=str(folder),
            fix="give it embeddings: model.resize_token_embeddings(len(tokenizer)), and save the model again",
        )


def check_outside(model: Artifact, task: Task, *, makes_head: bool, trust_remote_code: bool) -> str | None:
    """Hold a torch model from outside against plain transformers, before anything is built on it.

    Training rows are read, built-in texts where there are none; once in a process for the same model and texts.

    Args:
        makes_head: the model gets a head for the task's labels, if it has none.

    Returns:
        What a person should know of its weights, if there is anything.

    Raises:
        InputError: it would be another model here.
    """
    form = find(model.format)
    if not (form.in_transformers and form.has_float_weights) or SHAPES_KEY in read_config(model.path):
        return None  # plain transformers does not load our shapes
    texts, pairs = _telling_texts(task)
    return _compare(
        model.key,
        model.path,
        task.hub_task,
        texts,
        pairs,
        task.spec.max_length,
        tuple(task.labels) if makes_head else None,
        trust_remote_code,
    )


@lru_cache
def _compare(
    key: str,
    folder: Path,
    hub_task: str,
    texts: tuple[str, ...],
    pairs: tuple[str, ...] | None,
    max_length: int,
    labels: tuple[str, ...] | None,
    trusted: bool,
) -> str | None:
    from compress.models.plain import check_same_as_plain

    del key  # names the folder's content
    return check_same_as_plain(folder, hub_task, texts, pairs, max_length, labels=labels, trust_remote_code=trusted)


def _telling_texts(task: Task) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """A few texts, from a short one to a long one, with their second texts where the task has pairs."""
    from compress.comparing.held_back import BUILT_IN_TEXTS

    texts, pairs = task.texts(task.train[:64]) if task.train else (list(BUILT_IN_TEXTS), None)
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    chosen = sorted({order[round(place * (len(order) - 1) / (COMPARED - 1))] for place in range(COMPARED)})
    return tuple(texts[index] for index in chosen), None if pairs is None else tuple(pairs[index] for index in chosen)
