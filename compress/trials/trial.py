"""Files from outside are tried in a process of its own, within limits, before this one uses them.

`python -P -m compress.trials.trial` reads one job, as JSON, and does once what the work will do: it loads the file,
and calls it on real rows. A graph that allocates without end, or never ends, a tokenizer that grows its texts, a
library that crashes: all of these end that process, and become an error that names the file.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from compress.bench.process import STARTING
from compress.errors import CompressError, InputError
from compress.models.files import folder_of
from compress.models.tokenizer import load_tokenizer
from compress.models.tokenizer_bounds import tokenizer_bounds
from compress.processes.child import Answer, Child, ChildError, SignsOfLife, from_parent
from compress.processes.memory import free_memory
from compress.tasks import Task

COMMAND = (sys.executable, "-P", "-m", "compress.trials.trial")
SECONDS = 60.0
"""For loading a tokenizer, and for encoding some texts."""
MORE_SECONDS = 30.0
"""Beside what a call of a graph may take: for starting, and for rewriting the graph."""
TOKENIZER_BYTES = 4 * 10**9
"""Memory for loading a tokenizer and encoding `CHUNK` texts; the largest known ones take one or two GB."""
MEMORY_SHARE = 0.8
"""Of what is free, that a trial may take."""
TEXTS, CHUNK = 1024, 64
"""Texts that a tokenizer is tried on: half of them the longest, the others at even places of the order by length."""
BATCH = 8
_borne: set[tuple[Path, int, int]] = set()
"""Graphs that were tried, as they are on disk."""


def try_tokenizer(folder: Path, texts: Callable[[], Sequence[str]] = list) -> None:
    """Refuse a tokenizer that cannot be used within limits; one whose cost can be read off its file is not run.

    Args:
        texts: gives those that it will be used on.

    Raises:
        InputError: it grows texts past all bounds, or fails or hangs on these.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        return  # loading it says so
    status = path.stat()
    if _is_plain(path, status.st_mtime_ns, status.st_size):
        return
    order = sorted(texts(), key=len)
    rest, longest = order[: -TEXTS // 2], order[-TEXTS // 2 :]
    chosen = [*rest[:: max(1, len(rest) * 2 // TEXTS)], *longest] or ["a"]
    _try(
        {"tokenizer": str(folder), "texts": chosen}, path, "tokenizer", min(TOKENIZER_BYTES, _share()), SECONDS, SECONDS
    )


def task_texts(task: Task) -> list[str]:
    """All texts of a task's rows."""
    found: list[str] = []
    for rows in (task.train, task.validation, task.test, task.unlabelled):
        texts, pairs = task.texts(rows)
        found += [*texts, *(pair for pair in pairs or () if pair)]
    return found


def try_graph(path: Path, task: Task, seconds: float) -> None:
    """Refuse an ONNX graph that cannot be loaded, rewritten, and called on a task's rows within limits.

    What was tried once is not tried again by this process.

    Args:
        seconds: that a call may take, and loading five times as many.

    Raises:
        InputError: with what it did.
    """
    from compress.comparing.held_back import encoded, held_back_rows

    found = (path, path.stat().st_mtime_ns, path.stat().st_size)
    if found in _borne:
        return
    try_graph_on(encoded(task, held_back_rows(task), load_tokenizer(folder_of(path))), path, seconds)
    _borne.add(found)


def try_graph_on(encoded_rows: Sequence[dict[str, Any]], path: Path, seconds: float) -> None:
    """The same on rows that are encoded: the shortest one, and the longest ones."""
    rows = sorted(encoded_rows, key=lambda row: len(row["input_ids"]))
    job = {"graph": str(path), "batches": [rows[:1], rows[-BATCH:]], "seconds": seconds}
    _try(job, path, "graph", _share(), seconds + MORE_SECONDS, STARTING * seconds + MORE_SECONDS)


def _share() -> int:
    return int(MEMORY_SHARE * free_memory())


def _try(job: Mapping[str, Any], path: Path, what: str, memory_bytes: int, seconds: float, first: float) -> None:
    with Child(COMMAND, memory_bytes=memory_bytes) as child:
        try:
            answer = child.ask(job, seconds, first)
        except ChildError as error:
            raise InputError(
                f"the {what} was tried in a process of its own, which did not bear it ({error.what})",
                where=str(path),
                fix=f"check the {what}: something in it may grow or repeat without end",
            ) from error
    if "refused" in answer:
        refused = answer["refused"]
        raise InputError(refused["what"], where=refused["where"] or str(path), fix=refused["fix"])


@lru_cache(maxsize=64)
def _is_plain(path: Path, _changed_ns: int, _size: int) -> bool:
    return tokenizer_bounds(path).plain


def main() -> None:
    """Do the job on standard input."""
    job, answer = from_parent()
    try:
        if "graph" in job:
            _call_graph(Path(job["graph"]), job["batches"], job["seconds"], answer)
        else:
            _encode(Path(job["tokenizer"]), job["texts"], answer)
    except CompressError as error:
        answer({"refused": {"what": error.what, "where": error.where, "fix": error.fix}})
    else:
        answer({"done": True})


def _encode(folder: Path, texts: Sequence[str], answer: Answer) -> None:
    tokenizer, signs = load_tokenizer(folder), SignsOfLife(answer)
    signs.give_at_once()
    for start in range(0, len(texts), CHUNK):
        tokenizer.encode(texts[start : start + CHUNK], None, 8192)
        signs.give()


def _call_graph(path: Path, batches: Sequence[Sequence[dict[str, Any]]], seconds: float, answer: Answer) -> None:
    import onnx

    from compress.graphs.normal_form import in_normal_form, without_functions
    from compress.graphs.read import check_external_data, read_graph
    from compress.runtimes.onnxruntime import graph_session, predictor_of

    signs = SignsOfLife(answer)
    check_external_data(path)
    model = without_functions(read_graph(path))
    onnx.load_external_data_for_model(model, str(path.parent))
    gives: Literal["row", "token"] = "token" if "counted" in batches[0][0] else "row"
    predict, tokenizer = predictor_of(graph_session(model), path, seconds, gives), load_tokenizer(folder_of(path))
    signs.give_at_once()
    for rows in batches:
        predict(tokenizer.pad(rows))
        signs.give_at_once()
    in_normal_form(model)


if __name__ == "__main__":
    main()
