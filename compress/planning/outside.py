"""Models from outside: their files are checked before they are used as artifacts."""

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
    """A model from outside as an artifact, after its files are checked. Its key depends on every file that is read.

    Args:
        task: the task whose texts its tokenizer will be used on.

    Raises:
        InputError: a file is damaged, leads out of the folder, or has values that no model has.
    """
    format_files = check_folder(fetched.path)
    check_config_fits(fetched.path)
    try_tokenizer(fetched.path, lambda: task_texts(task))
    check_vocabulary(fetched.path)
    check_tokenizer(fetched.path, pairs="text_pair" in task.spec.columns)
    counted = model_files()
    uncounted = [name for name in format_files if "/" in name or not any(fnmatch(name, pattern) for pattern in counted)]
    hashes = {name: file_sha256(fetched.path / name) for name in uncounted}
    key = fingerprint([fetched.key, hashes] if hashes else fetched.key)
    return Artifact(fetched.path, key, format_of(fetched.path))


def check_vocabulary(folder: Path) -> None:
    """Refuse a tokenizer that makes ids for which the model has no embedding.

    Raises:
        InputError: it names the first such token.
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
    """Compare a torch model from outside with plain transformers, before any step uses it.

    The texts are training rows, or built-in texts where there are none. A process compares a model and texts only once.

    Args:
        makes_head: the model gets a head for the task's labels, if it has none.

    Returns:
        A remark on its weights for the user, or None.

    Raises:
        InputError: this tool would load another model than transformers does.
    """
    form = find(model.format)
    if not (form.in_transformers and form.has_float_weights) or SHAPES_KEY in read_config(model.path):
        return None  # plain transformers does not load our shapes
    texts, pairs = _sample_texts(task)
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


def _sample_texts(task: Task) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """A few texts, from the shortest to the longest, with their second texts where the task has pairs."""
    from compress.comparing.held_back import BUILT_IN_TEXTS

    texts, pairs = task.texts(task.train[:64]) if task.train else (list(BUILT_IN_TEXTS), None)
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    sample = sorted({order[round(place * (len(order) - 1) / (COMPARED - 1))] for place in range(COMPARED)})
    return tuple(texts[index] for index in sample), None if pairs is None else tuple(pairs[index] for index in sample)
