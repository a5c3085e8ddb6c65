"""Calls of ONNX graphs in this process: a failure becomes one sentence, and a call that never ends is ended."""

import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from compress.errors import CompressError, InputError

CALL_SECONDS = 120.0
"""Seconds that an untimed call may take; a batch takes milliseconds."""
LAST_SECONDS = 2.0
"""Seconds in which a call ends after it was asked to, unless it is inside of one long node."""
_FAILED = re.compile(r"running (?P<op>\S+) node\. Name:'(?P<name>.*?)' Status Message: (?P<why>.*)", re.DOTALL)

EXPORT_AGAIN = "export it again, with operators and an opset that this onnxruntime knows"
"""The fix for a graph that cannot be loaded."""
_SOURCE = re.compile(r"/\S*onnxruntime_src/\S+:\d+ [^()]*\([^()]*\)(?: const)? *")
"""The place in onnxruntime's own source, which stands before the sentence that a person can use."""
_LETTERS = 300

Arrays = list[np.ndarray[Any, Any]]


def short_failure(error: BaseException) -> str:
    """The reason why onnxruntime cannot load a graph, in one line without the place in onnxruntime's source."""
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return _SOURCE.sub(" ", first)[:_LETTERS]


def call(session: Any, outputs: Sequence[str] | None, feed: Mapping[str, Any], where: str | None = None) -> Arrays:
    """Run a session in this thread.

    Args:
        session: a session of onnxruntime.
        outputs: names of the outputs to compute; None for all.
        where: the graph's file, for error messages.

    Raises:
        InputError: a node of the graph fails.
    """
    return _run(session, outputs, feed, where, None)


def bounded_call(
    session: Any,
    outputs: Sequence[str] | None,
    feed: Mapping[str, Any],
    where: str | None = None,
    seconds: float = CALL_SECONDS,
) -> Arrays:
    """Run a session in a thread of its own, so that this one can be interrupted, and a call without an end is ended.

    onnxruntime ends a run between two nodes, also inside of a loop.

    Raises:
        InputError: a node of the graph fails.
        CompressError: the call did not end in time.
    """
    import onnxruntime

    options = onnxruntime.RunOptions()
    results: list[Arrays] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            results.append(_run(session, outputs, feed, where, options))
        except BaseException as error:  # noqa: BLE001  it is raised in the thread that waits
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=run, daemon=True, name="call of a graph").start()
    try:
        in_time = done.wait(seconds)  # an interrupted Thread.join takes the thread for ended
    finally:
        if not done.is_set():
            options.terminate = True
            done.wait(LAST_SECONDS)
    if not in_time:
        raise CompressError(
            f"a call of the graph did not end in {seconds:.0f} s",
            where=where,
            fix="check the graph: something in it may repeat or grow without end",
        )
    if errors:
        raise errors[0]
    return results[0]


def _run(
    session: Any, outputs: Sequence[str] | None, feed: Mapping[str, Any], where: str | None, options: Any
) -> Arrays:
    try:
        results: Arrays = session.run(outputs, dict(feed), options)
    except Exception as error:  # the library raises classes of its own, without a common base but Exception
        raise InputError(
            f"the graph fails while it runs: {_why(str(error))}",
            where=where,
            fix="check that the graph and its tokenizer belong together, and that it takes texts of any length",
        ) from error
    return results


def _why(message: str) -> str:
    """The reason that onnxruntime gives for a failed run, without the place in its own source."""
    failure = _FAILED.search(message)
    if failure is None:
        return next(iter(message.strip().splitlines()), "it says nothing")[:300]
    why = failure["why"].strip().splitlines()[-1]
    _, _, reason = why.rpartition(" was false. ")
    return f"{reason[:300]} (node '{failure['name'][:100]}', {failure['op']})"
