"""Checks of a model before it is used: its files are checked before they are loaded, and tried once for each content.

A folder from outside may make a text endlessly long, never answer, or give other answers here than elsewhere. The cache
remembers the result of the trial, so that the next call costs only a hash of the files.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from compress.errors import CompressError
from compress.files.disks import cache_folder
from compress.files.whole import LINEAGE, MANIFEST, file_sha256, fingerprint, read_object, write_text
from compress.formats import Format, check_folder, find, format_of
from compress.graphs.calls import CALL_SECONDS
from compress.models.config_bounds import check_config_fits
from compress.models.config_file import check_single_label
from compress.models.expected_texts import expected_length
from compress.models.files import CONFIG
from compress.models.folder import check_weights
from compress.models.tokenizer import FILES, load_tokenizer
from compress.planning.outside import COMPARED, check_vocabulary
from compress.report.usage import HUB_TASK
from compress.trials.tokenizer_trial import check_tokenizer
from compress.trials.trial import BATCH, try_graph_on, try_tokenizer

LIBRARIES = ("tokenizers", "transformers")
"""Packages that a tokenizer's trial uses; a model's format names the packages that load it."""


def check_to_answer(folder: Path, texts: Sequence[str], pairs: Sequence[str] | None) -> str | None:
    """Refuse a model that cannot label texts within limits.

    A folder whose files match its lineage or manifest is not compared with transformers again.

    Args:
        texts: at least one text.
        pairs: the second texts, for a model of pairs.

    Returns:
        A remark on weights that nothing reads, if there are any.

    Raises:
        InputError: says what is wrong.
    """
    check_weights(folder)
    check_single_label(folder)
    try_tokenizer(folder, lambda: [*texts, *(pairs or ())])
    form = find(format_of(folder))
    hashes, packages = _hashes(folder, form), sorted({*LIBRARIES, *form.packages})
    identity = {"files": hashes, "pairs": pairs is not None, "versions": {name: version(name) for name in packages}}
    remembered = cache_folder() / "asked" / f"{fingerprint(identity)}.json"
    if remembered.is_file():
        remark = read_object(remembered).get("remark")
        return remark if isinstance(remark, str) else None
    check_folder(folder)
    check_config_fits(folder)
    check_vocabulary(folder)
    remark = _try(folder, form, texts, pairs, is_as_made=hashes.items() <= _files_as_made(folder).items())
    with suppress(OSError, CompressError):  # a cache that cannot be written costs the next call seconds
        remembered.parent.mkdir(parents=True, exist_ok=True)
        write_text(remembered, json.dumps({"remark": remark}) + "\n")
    return remark


def _try(
    folder: Path, form: Format, texts: Sequence[str], pairs: Sequence[str] | None, *, is_as_made: bool
) -> str | None:
    """Try a model: the tokenizer and a torch model are compared with transformers, a graph runs in a child process.

    A graph is called on the shortest and the longest texts, a torch model on some texts from short to long.
    """
    if not is_as_made:
        check_tokenizer(folder, pairs=pairs is not None)
    if form.graph is None and (is_as_made or not form.in_transformers):
        return None
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    sample = [order[0], *order[-BATCH:]] if form.graph else order[:: max(1, len(order) // COMPARED)][:COMPARED]
    some, seconds = [texts[place] for place in sample], pairs and [pairs[place] for place in sample]
    tokenizer = load_tokenizer(folder)
    max_length = expected_length(folder, tokenizer.fast)
    if form.graph is not None:
        try_graph_on(tokenizer.encode(some, seconds, max_length), form.graph(folder), CALL_SECONDS)
        return None
    from compress.models.plain import check_same_as_plain

    return check_same_as_plain(folder, HUB_TASK, some, seconds, max_length)


def _hashes(folder: Path, form: Format) -> Mapping[str, str]:
    """SHA-256 of all files on which the answers depend."""
    small = [path for name in (CONFIG, *FILES) if (path := folder / name).is_file()]
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in [*form.weight_files(folder), *small]}


def _files_as_made(folder: Path) -> Mapping[str, Any]:
    """SHA-256 of the files in the folder's lineage or manifest."""
    if (path := folder / LINEAGE).is_file():
        lineage = read_object(path)
        steps, adapted = lineage.get("steps"), lineage.get("adapted")
        last = steps[-1] if isinstance(steps, list) and steps else None
        files = last.get("files") if isinstance(last, dict) else None
        if isinstance(files, dict) and isinstance(adapted, dict):
            files = files | adapted
    else:
        files = read_object(path).get("files") if (path := folder / MANIFEST).is_file() else None
    return files if isinstance(files, dict) else {}
