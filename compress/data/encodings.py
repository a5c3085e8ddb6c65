"""The encodings from before UTF-8 in which given bytes make sense; only a person can say which of them is right."""

import re
from collections.abc import Sequence

_SCRIPTS = (
    ("gb18030", r"[\u4e00-\u9fff\u3000-\u303f\uff00-\uffef]"),
    ("cp932", r"[\u3040-\u30ff\u4e00-\u9fff\u3000-\u303f\uff00-\uff60]"),
    ("cp949", r"[\uac00-\ud7a3]"),
    ("big5", r"[\u4e00-\u9fff\u3000-\u303f\uff00-\uffef]"),
    ("cp1251", r"[\u0410-\u044f\u0401\u0451\u2013\u2014\u00ab\u00bb]"),
    ("cp1253", r"[\u0386-\u03ce]"),
    ("cp1255", r"[\u05d0-\u05ea]"),
    ("cp1256", r"[\u0621-\u064a]"),
)
"""Encodings of scripts other than Latin, with the characters that make up most of such a text."""
_LATIN = ("cp1252", "cp1250")
_LATIN_BEFORE = ("cp850", "mac_roman")
_MOSTLY = 0.85
_MOST_PROPOSED = 4
_WIDTH = 56


def wide_encoding(head: bytes) -> str | None:
    """The byte order of UTF-16 in which bytes with zeros make sense, or None."""
    if head.count(0) < len(head) / 4 and _decoded(head[:-4], "utf-8") is not None:
        return None  # UTF-8 with a few zeros
    best, most = None, 0
    for name in ("utf-16-le", "utf-16-be"):
        try:
            text = head[: len(head) // 2 * 2].decode(name)
        except UnicodeDecodeError as error:
            if error.start < len(head) - 4:
                continue  # the error is not just a character cut off at the end
            text = head[: error.start].decode(name)
        plain = sum(char in "\r\n\t" or " " <= char <= "~" for char in text)
        if "\0" not in text and plain > most:
            best, most = name, plain
    return best


def old_encodings(lines: Sequence[bytes]) -> dict[str, str]:
    """Encodings in which the lines make sense, the likeliest first -> an excerpt around the first unusual character.

    Args:
        lines: lines that are not UTF-8.
    """
    together = b"".join(lines)
    high = len(re.findall(rb"[\x80-\xff]", together))
    is_latin = high < 0.4 * (high + len(re.findall(rb"[A-Za-z]", together)))
    names = [] if is_latin else _other_scripts(together)
    readings: dict[str, str] = {}
    for name in names or _latin(together):
        excerpt = excerpt_of(lines[0], name)
        if excerpt not in readings.values():
            readings[name] = excerpt
    return readings


def _latin(together: bytes) -> list[str]:
    names = [name for name in _LATIN if _decoded(together, name) is not None]
    if not names:
        return [name for name in _LATIN_BEFORE if _decoded(together, name) is not None]
    is_either = not re.search(rb"[\x80-\x9f]", together)
    return ["latin-1" if name == "cp1252" and is_either else name for name in names]


def _other_scripts(together: bytes) -> list[str]:
    names = []
    for name, script in _SCRIPTS:
        odd = "".join(re.findall(r"[^\x00-\x7f]", _decoded(together, name) or ""))
        if odd and len(re.findall(script, odd)) >= _MOSTLY * len(odd):
            names.append(name)
    return names[:_MOST_PROPOSED]


def _decoded(content: bytes, name: str) -> str | None:
    try:
        return content.decode(name)
    except UnicodeDecodeError:
        return None


def excerpt_of(line: bytes, name: str) -> str:
    """An excerpt of a line for a person, around its first character that cannot be read or is not ASCII."""
    text = line.decode(name, "replace").lstrip("\r\n").partition("\n")[0].rstrip("\r")
    odd = re.search("\ufffd", text) or re.search(r"[^\x00-\x7f]", text)
    begin = max(odd.start() - _WIDTH // 2, 0) if odd else 0
    excerpt = text[begin : begin + _WIDTH].strip()
    return ("…" if begin else "") + excerpt + ("…" if begin + _WIDTH < len(text) else "")
