"""The delimiter of a text file, found where nobody gives it: the sign by which the first rows have equal widths."""

import csv
from collections.abc import Sequence
from typing import NamedTuple

from compress.data.cells import trimmed
from compress.data.tables import TITLE_LINES, misplaced_header
from compress.errors import InputError
from compress.recipe.reading import OptionNeededError, option_text, sign_name

COMMON = (",", ";", "\t", "|")
"""Common delimiters, which are tried first."""
RARE = ("^", "~", "\x01", "\x1f", ":")
"""Rare delimiters, tried if the header holds no common one. A space is never guessed; the user has to give it."""
SAMPLED = 100
"""Lines that are looked at to find the delimiter."""


_LINES_OF_ROWS = 3
"""Fewest lines of a quoted cell that is noted if each line is as wide as a row; with tabs, two are enough."""


def look_like_rows(lines: Sequence[str], sign: str, width: int) -> bool:
    """Whether each line of a quoted cell is as wide as a row: a stray quote may have joined rows."""
    fewest = 2 if sign == "\t" else _LINES_OF_ROWS
    return width > 1 and len(lines) >= fewest and all(line.count(sign) == width - 1 for line in lines)


class _Sample(NamedTuple):
    """The first records of a file, split by one delimiter.

    Attributes:
        records: (number of the first line, cells) of each record that is not blank.
        is_whole: False if the quotes do not fit with this delimiter.
    """

    records: list[tuple[int, list[str]]]
    is_whole: bool

    @property
    def width(self) -> int:
        """Number of columns of the header."""
        return len(self.records[0][1]) if self.records else 0

    def agrees(self, start: int = 0) -> bool:
        """Whether there are several columns, and all records from `start` on have the same number."""
        widths = {len(cells) for _, cells in self.records[start:]}
        return self.is_whole and len(widths) == 1 and min(widths) > 1


def find_sign(lines: Sequence[str], usual: str, name: str, *, skipped: int = 0) -> str:
    """The delimiter of a file.

    Args:
        lines: the file's first `SAMPLED` lines, or all of them.
        usual: the delimiter that the file's name suggests; it wins if several fit equally well.
        skipped: number of lines before these, for error messages.

    Raises:
        InputError: two delimiters are equally likely, or there are lines above the header.
    """
    samples = {sign: _sample(lines, sign) for sign in COMMON}
    serving = {sign: sample for sign, sample in samples.items() if sample.agrees()}
    if usual in serving and all(serving[usual].width >= sample.width for sample in serving.values()):
        return usual
    if len(serving) == 1:
        return next(iter(serving))
    if serving:
        raise _unclear(serving, name, skipped)
    if all(sample.width < 2 for sample in samples.values()):
        rare = next((sign for sign in RARE if _sample(lines, sign).agrees()), None)
        if rare is not None:
            return rare
    for sign in dict.fromkeys((usual, *COMMON)):
        _check_title(samples[sign], name, skipped)
    if samples[usual].width > 1:
        return usual
    return max((usual, *COMMON), key=lambda sign: samples[sign].width)


def _sample(lines: Sequence[str], sign: str) -> _Sample:
    reader = csv.reader(lines, delimiter=sign, strict=True)
    records: list[tuple[int, list[str]]] = []
    number = 1
    try:
        for cells in reader:
            if any(map(trimmed, cells)) or len(cells) > 1:
                records.append((number, cells))
            number = reader.line_num + 1
    except csv.Error as error:
        was_cut = str(error).startswith("unexpected end") and len(lines) >= SAMPLED
        return _Sample(records, was_cut)
    return _Sample(records, True)


def _unclear(serving: dict[str, _Sample], name: str, skipped: int) -> InputError:
    choices = {
        sign_name(sign): " | ".join(sample.records[0][1])[:60]
        for sign, sample in sorted(serving.items(), key=lambda item: -item[1].width)
    }
    first = next(iter(choices))
    readings = ", ".join(f"by {sign}: {first_row}" for sign, first_row in choices.items())
    return OptionNeededError(
        f"the rows of '{name}' can be separated by {' or '.join(choices)} ({readings})",
        option="delimiter",
        choices=choices,
        where=f"{name}:{skipped + 1}",
        fix=f"say which: {option_text('delimiter', first)}",
    )


def _check_title(sample: _Sample, name: str, skipped: int) -> None:
    """Refuse a file whose first lines are single cells above rows of equal width: they look like a title."""
    records = sample.records
    for start in range(1, min(TITLE_LINES, len(records) - 1)):
        if len(records[start - 1][1]) > 1:
            return
        if sample.agrees(start):
            raise misplaced_header(name, records[start][0] + skipped, records[start][1])
