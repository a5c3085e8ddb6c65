"""The two errors that a user sees: what went wrong, where, and how to fix it."""

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

_UNPRINTED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories that move the cursor, hide or turn around what stands beside them, or cannot be written."""


def printable(text: str) -> str:
    """`text` as it may stand on a terminal: control characters are written out, as `\\x1b`.

    Labels, file names and libraries' messages come from outside, and could otherwise colour, erase or forge lines.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _UNPRINTED else char for char in text
    )


class CompressError(Exception):
    """The work failed. The command line prints it without a traceback and exits with `exit_code`.

    Its three parts are made `printable`, each of them one line.

    Args:
        what: one sentence with the value received and the values accepted.
        where: `file:line`, a folder, or a step's name.
        fix: what the user can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.what = printable(what)
        self.where = where and printable(where)
        self.fix = fix and printable(fix)
        super().__init__(self.what)

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.fix:
            lines.append(f"  fix:   {self.fix}")
        return "\n".join(lines)


class InputError(CompressError):
    """The user's input is wrong: a recipe, an option, a model or a data file."""

    exit_code = 2


class Stopped(KeyboardInterrupt):
    """The user asked to stop; the work can go on from the point where it stopped."""


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name among `names` that `name` was probably meant to be, or None."""
    by_lower = {candidate.lower(): candidate for candidate in names}
    matches = get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else None


def did_you_mean(name: str, names: Iterable[str], accepted: str | None = None) -> str:
    """The fix for an unknown name: the nearest right one, and all that are accepted.

    Args:
        accepted: the text that says what is accepted. Left out: all names.
    """
    accepted_names = sorted(names)
    listed = f"accepted: {', '.join(accepted_names)}" if accepted_names else "nothing is accepted here"
    return proposed(nearest(name, accepted_names), listed if accepted is None else accepted)


def proposed(close: str | None, otherwise: str) -> str:
    """A fix that begins with the name that was probably meant, where there is one."""
    return f"did you mean '{close}'? {otherwise}" if close else otherwise
