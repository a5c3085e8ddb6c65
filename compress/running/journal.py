"""The journal of a run: its events go to an observer, and into its own `run.log` and `events.jsonl`.

`run.log` is for people, `events.jsonl` for programs: one object a line, with `timestamp`, `event`, and the event's
fields. Both grow: a run that is resumed appends to them. They also take what modules log through
`logging.getLogger(__name__)`, and warnings of libraries.
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
"""The shortest time between two entries on the progress of one piece of work."""

_log = logging.getLogger(__name__)


class Observer(Protocol):
    """An observer of a run; each method is called when something happens. The command line draws it."""

    def progress(self, what: str, done: int, total: int) -> None:
        """See `compress.context.Progress`."""

    def step_started(self, name: str, stage: str) -> None:
        """A step's work begins."""

    def step_done(self, name: str, stage: str, seconds: float, made: bool) -> None:
        """A step is done; `made` is False if its artifact was taken from the store."""

    def warned(self, message: str) -> None:
        """The run goes on, but the user should know of something."""

    def stopping(self) -> bool:
        """Whether the user has asked to stop at the next safe point."""
        ...


class Silent:
    """An observer that nobody listens to."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Say nothing."""

    def step_started(self, name: str, stage: str) -> None:
        """Say nothing."""

    def step_done(self, name: str, stage: str, seconds: float, made: bool) -> None:
        """Say nothing."""

    def warned(self, message: str) -> None:
        """Say nothing."""

    def stopping(self) -> bool:
        """Go on."""
        return False


@contextmanager
def journal(folder: Path, observer: Observer, begun: Mapping[str, Any]) -> Iterator[Observer]:
    """An observer that writes all events into the run's folder and passes them on.

    Args:
        begun: the facts of the run that the first entry records.

    Raises:
        OSError: the files cannot be opened.
    """

    def warn_of_loss(error: BaseException) -> None:
        observer.warned(f"the log can no longer be written: {error}")

    plain = _File(folder / LOG, warn_of_loss)
    plain.setFormatter(_Plain("%(asctime)s %(levelname)-7s %(message)s"))
    events = _File(folder / EVENTS, warn_of_loss)
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
        details = {"where": error.where, "fix": error.fix} if isinstance(error, CompressError) else {}
        _log.error("%s", error or type(error).__name__, extra={"event": "run_failed", **details}, exc_info=True)
        raise
    finally:
        for handler in (plain, events):
            root.removeHandler(handler)
            handler.close()
        root.setLevel(levels[0])
        own.setLevel(levels[1])


class _Journal:
    """An observer that writes each event down and passes it on."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._what, self._written = "", 0.0

    def progress(self, what: str, done: int, total: int) -> None:
        """Write down the start and end of a piece of work, and some of its progress in between."""
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
        outcome = f"took {seconds:.1f} s" if made else "was done before"
        _note("step_done", f"{name} ({stage}) {outcome}", step=name, stage=stage, seconds=seconds, made=made)
        self._observer.step_done(name, stage, seconds, made)

    def warned(self, message: str) -> None:
        _note("warning", message, level=logging.WARNING)
        self._observer.warned(message)

    def stopping(self) -> bool:
        return self._observer.stopping()


def _note(event: str, message: str, *, level: int = logging.INFO, **facts: Any) -> None:
    _log.log(level, "%s", message, extra={"event": event, **facts})


class _Plain(logging.Formatter):
    """Log lines that are safe for a terminal: messages may quote labels, names of files, and libraries."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, super().format(record).split("\n")))


class _File(logging.FileHandler):
    """A log file. If it can no longer be written, a warning is given once, and the run goes on."""

    def __init__(self, path: Path, warn_of_loss: Callable[[BaseException], None]) -> None:
        clear_path(path)  # a link would lead the log out of the run's folder
        super().__init__(path, encoding="utf-8")
        self._warn_of_loss: Callable[[BaseException], None] | None = warn_of_loss

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002  the name is logging's
        self._tell(sys.exc_info()[1])

    def close(self) -> None:
        try:
            super().close()
        except OSError as error:  # flushing may fail too
            self._tell(error)

    def _tell(self, error: BaseException | None) -> None:
        tell, self._warn_of_loss = self._warn_of_loss, None
        if error is not None and tell is not None:
            tell(error)
