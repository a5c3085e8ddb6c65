"""Readings of the columns that are as likely, and who chooses among them."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from compress.errors import InputError

_TOLD = 6
"""Readings that an error names."""
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
"""A question with its choices; gives the place of the chosen one."""


def quoted(name: str) -> str:
    """A column's name as it is typed into a shell."""
    return shlex.quote(name)


def chosen(table: str, what: str, choices: Sequence[Alternative], ask: Ask | None) -> int:
    """The place of the reading that a person chooses.

    Args:
        table: its name.
        what: is to be chosen: `the label`.

    Raises:
        InputError: nobody is there to ask.
    """
    if ask is not None:
        return ask(f"{table} has several columns that may be {what}:", choices)
    told = "; ".join(f"'{choice.name[:_LONGEST]}' ({choice.about})" for choice in choices[:_TOLD])
    flags = ", or ".join(choice.flags for choice in choices[:_TOLD])
    raise InputError(f"{table} has several columns that may be {what}: {told}", fix=f"add {flags}")
