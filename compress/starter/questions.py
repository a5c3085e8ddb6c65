"""Questions to the user, if several choices of columns are equally likely."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from compress.errors import InputError

_MOST_NAMED = 6
"""Most alternatives that an error names."""
_LONGEST = 60


@dataclass(frozen=True)
class Alternative:
    """One way to understand the columns.

    Attributes:
        name: a column; or two, with a comma between them.
        about: what a person looks at to choose.
        flags: the options that say it.
    """

    name: str
    about: str
    flags: str


Ask: TypeAlias = Callable[[str, Sequence[Alternative]], int]
"""A function that asks a question with choices, and returns the index of the chosen one."""


def quoted(name: str) -> str:
    """A column's name in the form to type into a shell."""
    return shlex.quote(name)


def ask_which(table: str, what: str, choices: Sequence[Alternative], ask: Ask | None) -> int:
    """The place of the reading that a person chooses.

    Args:
        table: its name.
        what: is to be chosen: `the label`.

    Raises:
        InputError: nobody is there to ask.
    """
    if ask is not None:
        return ask(f"{table} has several columns that may be {what}:", choices)
    readings = "; ".join(f"'{choice.name[:_LONGEST]}' ({choice.about})" for choice in choices[:_MOST_NAMED])
    flags = ", or ".join(choice.flags for choice in choices[:_MOST_NAMED])
    raise InputError(f"{table} has several columns that may be {what}: {readings}", fix=f"add {flags}")
