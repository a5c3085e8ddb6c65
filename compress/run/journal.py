"""What a run tells: to whoever watches it, and to its own `run.log` and `events.jsonl`.

`run.log` is for reading, `events.jsonl` for programs: one object a line, with `timestamp`, `event`, and what belongs to
it. Both grow: a run that goes on after a kill writes below what stands there. Modules say details through
`logging.getLogger(__name__)`; those, and warnings of libraries, land there too.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from pythonjsonlogger.json import JsonFormatter

from compress.errors import CompressError, Stopped, printable
from compress.files.whole import clear_path

LOG, EVENTS = "run.log", "events.jsonl"
EVERY_SECONDS = 10.0
"""How often the progress of one piece of work is written down, at most."""

_log = logging.getLogger(__name__)


class Observer(Protocol):
    """Told what a run does; the command line draws it."""

    def progress(self, what: str, done: int, total: int) -> None:
        """See `compress.context.Progress`."""

    def step_started(self, name: str, stage: str) -> None:
        """A step's work begins."""

    def step_done(self, name: str, stage: str, seconds: float, made: bool) -> None:
        """A step's artifact is there; `made` is False if it was taken from the store."""

    def warned(self, message: str) -> None:
        """Something a person should know; the run goes on."""

    def stopping(self) -> bool:
        """Whether the person has asked to stop at the next safe point."""
        ...


@contextmanager
def journal(folder: Path, observer: Observer, begun: Mapping[str, Any]) -> Iterator[Observer]:
    """An observer that passes all on, and writes it into the run's folder.

    Args:
        begun: what the first entry says of the run.

    Raises:
        OSError: the files cannot be opened.
    """

    def lost(error: BaseException) -> None:
        observer.warned(f"the log can no longer be written: {error}")

    plain = _File(folder / LOG, lost)
    plain.setFormatter(_Plain("%(asctime)s %(levelname)-7s %(message)s"))
    events = _File(folder / EVENTS, lost)
    events.setFormatter(JsonFormatter("%(levelname)s %(name)s %(message)s", timestamp=True, json_default=str))
    root, own = logging.getLogger(), logging.getLogger("compress")
    levels = root.level, own.level
    root.setLevel(logging.WARNING)
    own.setLevel(logging.INFO)
    for handler in (plain, events):
        root.addHandler(handler)
    start = time.monotonic()
    try:
        _note("run_started", f"run of {begun.get('recipe')} starts", **begun)
        yield _Journal(observer)
        _note("run_done", f"the run is done after {time.monotonic() - start:.1f} s", seconds=time.monotonic() - start)
    except (KeyboardInterrupt, SystemExit) as error:
        how = "at a safe point" if isinstance(error, Stopped) else "at once"
        _note("run_stopped", f"the run was stopped {how}", level=logging.WARNING)
        raise
    except BaseException as error:
        told = {"where": error.where, "fix": error.fix} if isinstance(error, CompressError) else {}
        _log.error("%s", error or type(error).__name__, extra={"event": "run_failed", **told}, exc_info=True)
        raise
    finally:
        for handler in (plain, events):
            root.removeHandler(handler)
            handler.close()
        root.setLevel(levels[0])
        own.setLevel(levels[1])


class _Journal:
    """Writes down what it is told, and passes it on."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._what, self._written = "", 0.0

    def progress(self, what: str, done: int, total: int) -> None:
        """The progress of one piece of work: its begin, its end, and some of what is between."""
        now = time.monotonic()
        if what != self._what or done >= total or now - self._written > EVERY_SECONDS:
            self._what, self._written = what, now
            _note("progress", f"{what}: {done} of {total}", what=what, done=done, total=total)
        self._observer.progress(what, done, total)
        if done < total and self._observer.stopping():
            raise Stopped

    def step_started(self, name: str, stage: str) -> None:
        _note("step_started", f"{name} ({stage}) starts", step=name, stage=stage)
        self._observer.step_started(name, stage)

    def step_done(self, name: str, stage: str, seconds: float, made: bool) -> None:
        told = f"took {seconds:.1f} s" if made else "was done before"
        _note("step_done", f"{name} ({stage}) {told}", step=name, stage=stage, seconds=seconds, made=made)
        self._observer.step_done(name, stage, seconds, made)

    def warned(self, message: str) -> None:
        _note("warning", message, level=logging.WARNING)
        self._observer.warned(message)

    def stopping(self) -> bool:
        return self._observer.stopping()


def _note(event: str, message: str, *, level: int = logging.INFO, **facts: Any) -> None:
    _log.log(level, "%s", message, extra={"event": event, **facts})


class _Plain(logging.Formatter):
    """Lines as they may stand on a terminal: messages may quote labels, names of files, and libraries."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, super().format(record).split("\n")))


class _File(logging.FileHandler):
    """A log's file; that it can no longer be written is told once, and is no reason to end the run."""

    def __init__(self, path: Path, lost: Callable[[BaseException], None]) -> None:
        clear_path(path)  # a link would lead the log out of the run's folder
        super().__init__(path, encoding="utf-8")
        self._lost: Callable[[BaseException], None] | None = lost

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002  the name is logging's
        self._tell(sys.exc_info()[1])

    def close(self) -> None:
        try:
            super().close()
        except OSError as error:  # what was not yet on the disk
            self._tell(error)

    def _tell(self, error: BaseException | None) -> None:
        tell, self._lost = self._lost, None
        if error is not None and tell is not None:
            tell(error)
