"""Trials of files from outside in a child process with limits, before this process uses them.

`python -P -m compress.trials.trial` reads one job as JSON, and does once what the work will do: it loads the file and
calls it on real rows. A graph that takes all memory or never ends, a tokenizer that grows its texts, a library that
crashes: each of these ends only the child, and becomes an error that names the file.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from compress.benching.process import STARTING
from compress.errors import CompressError, InputError
from compress.models.files import folder_of
from compress.models.tokenizer import load_tokenizer
from compress.models.tokenizer_bounds import tokenizer_bounds
from compress.processes.child import Answer, Child, ChildError, SignsOfLife, from_parent
from compress.processes.memory import free_memory
from compress.tasks import Task

COMMAND = (sys.executable, "-P", "-m", "compress.trials.trial")
SECONDS = 60.0
"""Seconds to load a tokenizer, and to encode some texts."""
MORE_SECONDS = 30.0
"""Seconds to start the child and to rewrite the graph, in addition to those of a call."""
TOKENIZER_BYTES = 4 * 10**9
"""Memory to load a tokenizer and encode `CHUNK` texts; the largest known tokenizers need one or two GB."""
MEMORY_SHARE = 0.8
"""Share of the free memory that a trial may use."""
TEXTS, CHUNK = 1024, 64
"""Number of texts in a tokenizer's trial, and in a chunk: half are the longest, the others are spread over lengths."""
BATCH = 8
_tried_graphs: set[tuple[Path, int, int]] = set()
"""Graphs that this process has tried: path, time of change and size."""


def try_tokenizer(folder: Path, texts: Callable[[], Sequence[str]] = list) -> None:
    """Refuse a tokenizer that cannot be used within limits; one whose file shows its cost is not run.

    Args:
        texts: returns the texts that the tokenizer will be used on.

    Raises:
        InputError: the tokenizer makes texts far too long, or fails or hangs on these texts.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        return  # loading will raise the error
    status = path.stat()
    if _is_plain(path, status.st_mtime_ns, status.st_size):
        return
    order = sorted(texts(), key=len)
    rest, longest = order[: -TEXTS // 2], order[-TEXTS // 2 :]
    sample = [*rest[:: max(1, len(rest) * 2 // TEXTS)], *longest] or ["a"]
    _try(
        {"tokenizer": str(folder), "texts": sample}, path, "tokenizer", min(TOKENIZER_BYTES, _share()), SECONDS, SECONDS
    )


def task_texts(task: Task) -> list[str]:
    """All texts of a task's rows."""
    all_texts: list[str] = []
    for rows in (task.train, task.validation, task.test, task.unlabelled):
        texts, pairs = task.texts(rows)
        all_texts += [*texts, *(pair for pair in pairs or () if pair)]
    return all_texts


def try_graph(path: Path, task: Task, seconds: float) -> None:
    """Refuse an ONNX graph that cannot be loaded, rewritten, and called on a task's rows within limits.

    This process tries each graph only once.

    Args:
        seconds: most seconds of a call; loading may take five times as long.

    Raises:
        InputError: says what happened.
    """
    from compress.comparing.held_back import encoded, held_back_rows

    version_on_disk = (path, path.stat().st_mtime_ns, path.stat().st_size)
    if version_on_disk in _tried_graphs:
        return
    try_graph_on(encoded(task, held_back_rows(task), load_tokenizer(folder_of(path))), path, seconds)
    _tried_graphs.add(version_on_disk)


def try_graph_on(encoded_rows: Sequence[dict[str, Any]], path: Path, seconds: float) -> None:
    """Refuse a graph as `try_graph` does, by calls on the shortest and the longest of encoded rows."""
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
    """Do the job that standard input describes."""
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
    signs.give_now()
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
    signs.give_now()
    for rows in batches:
        predict(tokenizer.pad(rows))
        signs.give_now()
    in_normal_form(model)


if __name__ == "__main__":
    main()
