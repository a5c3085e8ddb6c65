"""Cells of a table as text, and the characters of a text that cannot be seen."""

import json
import math
from typing import Any

UNSEEN = "\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u2060\ufeff" + "".join(
    map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A)))
)
"""Invisible characters: those of no width, and the marks of writing direction."""
WHITE = "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""White space: the characters for which `str.isspace` is true."""


def trimmed(text: str) -> str:
    """The text without white space and invisible characters at its ends."""
    return text.strip(WHITE + UNSEEN)


def text_of(value: Any) -> str:
    """A value as text: '' for None and NaN; booleans, numbers, lists and objects as JSON; all else by `str`.

    Raises:
        UnicodeDecodeError: bytes that are not UTF-8.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, bool | int | float | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
