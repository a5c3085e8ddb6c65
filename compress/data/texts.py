"""The text of a file, decoded by its byte order mark, as UTF-8, or as the user says; other encodings are proposed."""

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

from compress.data.contents import PEEKED, check_head, open_bytes
from compress.data.encodings import excerpt_of, old_encodings, wide_encoding
from compress.errors import InputError
from compress.recipe.reading import OptionNeededError, option_text

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark begins alike
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_KEPT_LINES = 1000


class Encoding(NamedTuple):
    """The encoding of a file.

    Attributes:
        name: Python's name of it.
        is_given: whether the user gave it; otherwise the file's mark or content showed it.
        notes: remarks for the report.
    """

    name: str
    is_given: bool = False
    notes: tuple[str, ...] = ()

    @property
    def is_utf8(self) -> bool:
        """Whether it is UTF-8, with or without a byte order mark."""
        return codecs.lookup(self.name).name in {"utf-8", "utf-8-sig"}


class _Lines(NamedTuple):
    """The lines of a file, tested for UTF-8.

    Attributes:
        good: number of lines that are UTF-8 and more than ASCII.
        bad: (number, content) of the first thousand lines that are not UTF-8.
        has_nul: whether a line holds a byte 0.
    """

    good: int
    bad: list[tuple[int, bytes]]
    has_nul: bool


def encoding_of(path: Path, option: str | None) -> Encoding:
    """The encoding of a file: by its mark; else UTF-8 if its content shows that; else the user's option.

    Raises:
        InputError: the packed data is damaged.
        OSError: the file cannot be read.
    """
    with open_bytes(path) as file:
        head = file.peek(PEEKED)
    mark = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if mark is not None:
        return Encoding(mark)
    if option is None or Encoding(option).is_utf8:
        return Encoding("utf-8")
    lines = _lines(path)
    if lines.has_nul or not lines.good:
        return Encoding(option, is_given=True)
    if not lines.bad:
        return Encoding("utf-8", notes=(f"{path.name} is UTF-8 text, and was read as that, not as {option}",))
    note = f"lines of {path.name} ({lines.good:,}) seem to be UTF-8, and were read as {option}, as was asked"
    return Encoding(option, is_given=True, notes=(note,))


@contextmanager
def open_text(path: Path, encoding: Encoding) -> Iterator[TextIO]:
    """A file's text, unpacked if it is packed with gzip; line ends stay as they are.

    Raises:
        InputError: the file is not text, not in that encoding, or its packed data is damaged.
        OSError: the file cannot be read.
    """
    with open_bytes(path) as file:
        check_head(file.peek(PEEKED), path.name, None)
        try:
            yield io.TextIOWrapper(file, encoding=encoding.name, newline="")
        except UnicodeError as error:
            raise _not_in(path, encoding) from error


def numbered_lines(file: TextIO, path: Path, encoding: Encoding) -> Iterator[str]:
    """The lines of a text, checked for NUL characters.

    Raises:
        InputError: names the line of the first NUL.
    """
    for number, line in enumerate(file, start=1):
        if "\0" in line:
            raise nul_error(path, encoding, number)
        yield line


def nul_error(path: Path, encoding: Encoding, number: int) -> InputError:
    """The error for a text with a NUL in a line: it is damaged, or is UTF-16 without a mark."""
    name = path.name
    where = f"{name}:{number}"
    if encoding.is_given:
        return InputError(
            f"'{name}' holds NUL characters when it is read as {encoding.name}",
            where=where,
            fix="give the encoding that it was written in, or leave --encoding (task.encoding) out",
        )
    if (wide := _wide(path, "holds NUL bytes")) is not None:
        return wide
    return InputError(
        f"'{name}' holds NUL bytes",
        where=where,
        fix=f"it is damaged: export it again, or tr -d '\\000' < {name}",
    )


def _wide(path: Path, what: str) -> InputError | None:
    with open_bytes(path) as file:
        head = file.read(PEEKED)
    name = wide_encoding(head)
    if name is None:
        return None
    first = excerpt_of(head, name)
    return OptionNeededError(
        f"'{path.name}' {what}: it seems to be UTF-16 without its mark; in {name} its first line reads '{first}'",
        option="encoding",
        choices={name: first},
        where=f"{path.name}:1",
        fix=f"if that is right, give {option_text('encoding', name)}; or save it as UTF-8",
    )


def _lines(path: Path) -> _Lines:
    good, has_nul, bad = 0, False, list[tuple[int, bytes]]()
    with open_bytes(path) as file:
        for number, line in enumerate(file, start=1):
            has_nul = has_nul or b"\0" in line
            if line.isascii():
                continue
            try:
                line.decode()
            except UnicodeDecodeError:
                if len(bad) < _KEPT_LINES:
                    bad.append((number, line))
            else:
                good += 1
    return _Lines(good, bad, has_nul)


def _not_in(path: Path, encoding: Encoding) -> InputError:
    """The error for a file that does not fit its encoding, with proposals of other encodings."""
    name = path.name
    if encoding.is_given:
        fix = "give the encoding that it was written in, or leave --encoding (task.encoding) out to see proposals"
        return InputError(f"'{name}' is not {encoding.name} text", where=name, fix=fix)
    if not encoding.is_utf8:
        return InputError(
            f"'{name}' is not whole {encoding.name.upper()} text", where=name, fix="save it again, as UTF-8"
        )
    lines = _lines(path)
    if lines.has_nul and (wide := _wide(path, "is not UTF-8 text")) is not None:
        return wide
    what, where = f"'{name}' is not UTF-8 text", f"{name}:{lines.bad[0][0]}"
    if lines.good:
        return InputError(
            f"{what}: that line reads '{excerpt_of(lines.bad[0][1], 'utf-8')}'",
            where=where,
            fix="other lines are UTF-8, so mend that line and those like it; do not convert the whole file",
        )
    choices = old_encodings([line for _, line in lines.bad])
    readings = ", ".join(f"{one} reads that line as '{excerpt}'" for one, excerpt in choices.items())
    first = next(iter(choices))
    fix = (
        f"if that is right, give {option_text('encoding', first)}; else the one that it was written in, such as cp1250"
    )
    if len(choices) > 1:
        fix = f"give the one that is right, for example {option_text('encoding', first)}"
    return OptionNeededError(f"{what}; {readings}", option="encoding", choices=choices, where=where, fix=fix)
