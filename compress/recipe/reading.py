"""How a file of rows is to be read where it does not say so itself: its encoding, its delimiter, its sheet."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compress.errors import InputError, did_you_mean

SIGNS = {
    "comma": ",",
    "semicolon": ";",
    "tab": "\t",
    "pipe": "|",
    "colon": ":",
    "space": " ",
    "tilde": "~",
    "caret": "^",
}
"""Delimiters by name: some of them mean something to a shell, or to YAML."""
_SHEET = re.compile(r"(.+\.(?:xls[xmb]?|ods))\?sheet=(.+)", re.IGNORECASE | re.DOTALL)
_ESCAPED = re.compile(r"\\(?:(t)|x([0-9a-fA-F]{2}))")
_LONGEST = 4
_ENCODINGS = ("utf-8", "utf-16", "cp1252", "latin-1", "cp1250", "cp1251", "gb18030", "shift_jis")
"""Some that people have, for a message."""


def encoding_name(name: str) -> str:
    """The name of an encoding, if there is such a one.

    Raises:
        ValueError: there is none.
    """
    try:
        "".encode(name)
        b"".decode(name)
    except (LookupError, UnicodeError, ValueError) as error:
        raise ValueError(f"no such encoding is known; {did_you_mean(name, _ENCODINGS)}, …") from error
    return name


def delimiter_sign(text: str) -> str:
    r"""The sign that a delimiter stands for: itself, `tab` and other names, `\t` and `\x01`.

    Raises:
        ValueError: it is no sign, or one that stands in texts.
    """
    escaped = _ESCAPED.fullmatch(text)
    sign = ("\t" if escaped[1] else chr(int(escaped[2], 16))) if escaped else SIGNS.get(text.lower(), text)
    if not sign or len(sign) > _LONGEST or any(char.isalnum() or char in '"\n\r\0' for char in sign):
        accepted = f"one to {_LONGEST} signs in quotes, or {', '.join(SIGNS)}, \\t or \\x01"
        raise ValueError(f"no delimiter is that; {did_you_mean(text, SIGNS, accepted)}")
    return sign


_CHECKS = {"encoding": encoding_name, "delimiter": delimiter_sign}


def checked(option: str, value: Any) -> Any:
    """An encoding or a delimiter as a recipe has it; what is no text is left to others to refuse.

    Raises:
        ValueError: there is no such encoding or delimiter, or YAML took one for something else.
    """
    if option == "delimiter" and (value is None or value == ""):
        raise ValueError("write tilde, pipe or a sign in quotes: YAML reads ~ and | alone as something else")
    if isinstance(value, str):
        _CHECKS[option](value)
    return value


@dataclass(frozen=True)
class Reading:
    """How files are read that do not say it themselves.

    Attributes:
        encoding: of text files that have no mark and are not UTF-8.
        delimiter: what separates the cells of text files; left out: what their first rows show.
        sheet: of workbooks; left out: the only one that holds rows.

    Raises:
        ValueError: there is no such encoding or delimiter.
    """

    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None

    def __post_init__(self) -> None:
        if self.encoding is not None:
            encoding_name(self.encoding)
        if self.delimiter is not None:
            delimiter_sign(self.delimiter)

    @property
    def sign(self) -> str | None:
        """What separates cells."""
        return None if self.delimiter is None else delimiter_sign(self.delimiter)


def reading_of(encoding: str | None, delimiter: str | None, sheet: str | None, where: str | None = None) -> Reading:
    """What a user's options say of how files are read.

    Args:
        where: the options stand, if not on the command line.

    Raises:
        InputError: there is no such encoding or delimiter.
    """
    for option, value in (("encoding", encoding), ("delimiter", delimiter)):
        try:
            if value is not None:
                _CHECKS[option](value)
        except ValueError as error:
            where = where or f"--{option}"
            raise InputError(f"'{value:.40}': {error}", where=where, fix="correct the option") from error
    return Reading(encoding, delimiter, sheet)


AS_IT_SAYS = Reading()
"""A file's name and its content alone say how it is read."""


class OptionNeededError(InputError):
    """A file can be read, once somebody says how.

    Args:
        option: `encoding`, `delimiter` or `sheet`.
        choices: values of the option, the likeliest first -> what of the file is seen when it is read by that.
    """

    def __init__(self, what: str, *, option: str, choices: Mapping[str, str], where: str, fix: str) -> None:
        super().__init__(what, where=where, fix=fix)
        self.option, self.choices = option, dict(choices)


def split_sheet(source: str) -> tuple[str, str | None]:
    """A source's path, and the sheet that it names: `book.xlsx?sheet=Test`."""
    match = _SHEET.fullmatch(source)
    return (match[1], match[2]) if match else (source, None)


def sign_name(sign: str) -> str:
    """How a delimiter is said: by its name, if it has one."""
    return next((name for name, delimiter in SIGNS.items() if delimiter == sign), sign)


def option_text(option: str, value: str) -> str:
    """How a value of an option is given, on the command line and in a recipe."""
    quoted = f"'{value}'" if re.search(r"[^\w.-]", value) else value
    return f"--{option} {quoted} (in a recipe task.{option}: {quoted})"
