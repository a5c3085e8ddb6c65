"""The two errors that a user sees: what went wrong, where, and how to fix it."""

from collections.abc import Iterable
from difflib import get_close_matches


class CompressError(Exception):
    """The work failed. The command line prints it without a traceback and exits with `exit_code`.

    Args:
        what: one sentence with the value received and the values accepted.
        where: `file:line`, a folder, or a step's name.
        fix: what to do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

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


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name among `names` that `name` was probably meant to be, or None."""
    by_lower = {known.lower(): known for known in names}
    matches = get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The fix for an unknown name: the nearest right one, and all that are accepted."""
    known = sorted(names)
    close = nearest(name, known)
    listed = f"accepted: {', '.join(known)}" if known else "nothing is accepted here"
    return f"did you mean '{close}'? {listed}" if close else listed
