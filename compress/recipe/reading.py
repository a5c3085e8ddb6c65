"""The options for reading a file of rows that does not show them itself: encoding, delimiter, sheet."""

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
"""Delimiters by name: some of the signs have a meaning in a shell or in YAML."""
_SHEET = re.compile(r"(.+\.(?:xls[xmb]?|ods))\?sheet=(.+)", re.IGNORECASE | re.DOTALL)
_ESCAPED = re.compile(r"\\(?:(t)|x([0-9a-fA-F]{2}))")
_LONGEST = 4
_ENCODINGS = ("utf-8", "utf-16", "cp1252", "latin-1", "cp1250", "cp1251", "gb18030", "shift_jis")
"""Common encodings, for a message."""


def encoding_name(name: str) -> str:
    """The name of an encoding, if Python knows it.

    Raises:
        ValueError: there is no such encoding.
    """
    try:
        "".encode(name)
        b"".decode(name)
    except (LookupError, UnicodeError, ValueError) as error:
        raise ValueError(f"no such encoding is known; {did_you_mean(name, _ENCODINGS)}, …") from error
    return name


def delimiter_sign(text: str) -> str:
    r"""The sign of a delimiter that is given as a sign, as a name such as `tab`, or as an escape such as `\x01`.

    Raises:
        ValueError: the text is not a sign, or a sign that is usual in texts.
    """
    escaped = _ESCAPED.fullmatch(text)
    sign = ("\t" if escaped[1] else chr(int(escaped[2], 16))) if escaped else SIGNS.get(text.lower(), text)
    if not sign or len(sign) > _LONGEST or any(char.isalnum() or char in '"\n\r\0' for char in sign):
        accepted = f"one to {_LONGEST} signs in quotes, or {', '.join(SIGNS)}, \\t or \\x01"
        raise ValueError(f"no delimiter is that; {did_you_mean(text, SIGNS, accepted)}")
    return sign


_CHECKS = {"encoding": encoding_name, "delimiter": delimiter_sign}


def checked(option: str, value: Any) -> Any:
    """A checked encoding or delimiter of a recipe; values that are not texts are refused elsewhere.

    Raises:
        ValueError: there is no such encoding or delimiter, or YAML read it as something else.
    """
    if option == "delimiter" and (value is None or value == ""):
        raise ValueError("write tilde, pipe or a sign in quotes: YAML reads ~ and | alone as something else")
    if isinstance(value, str):
        _CHECKS[option](value)
    return value


@dataclass(frozen=True)
class Reading:
    """The options for reading files that do not show themselves how they are read.

    Attributes:
        encoding: the encoding of text files without a byte order mark that are not UTF-8.
        delimiter: the delimiter of text files; None: the first rows show it.
        sheet: the sheet of workbooks; None: the only one with rows.

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
        """The sign of the delimiter."""
        return None if self.delimiter is None else delimiter_sign(self.delimiter)


def reading_of(encoding: str | None, delimiter: str | None, sheet: str | None, where: str | None = None) -> Reading:
    """The options for reading files from a user's options.

    Args:
        where: the place of the options, if not the command line.

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
"""No options: a file's name and content alone decide how it is read."""


class OptionNeededError(InputError):
    """The error of a file that can be read only with an option from the user.

    Args:
        option: `encoding`, `delimiter` or `sheet`.
        choices: values of the option, the likeliest first -> an excerpt of the file that is read with it.
    """

    def __init__(self, what: str, *, option: str, choices: Mapping[str, str], where: str, fix: str) -> None:
        super().__init__(what, where=where, fix=fix)
        self.option, self.choices = option, dict(choices)


def split_sheet(source: str) -> tuple[str, str | None]:
    """A source's path, and the sheet that it names: `book.xlsx?sheet=Test`."""
    match = _SHEET.fullmatch(source)
    return (match[1], match[2]) if match else (source, None)


def sign_name(sign: str) -> str:
    """The name of a delimiter, or the sign itself."""
    return next((name for name, delimiter in SIGNS.items() if delimiter == sign), sign)


def option_text(option: str, value: str) -> str:
    """The text of an option with a value, for the command line and for a recipe."""
    quoted = f"'{value}'" if re.search(r"[^\w.-]", value) else value
    return f"--{option} {quoted} (in a recipe task.{option}: {quoted})"
