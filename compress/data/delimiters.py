"""What separates the cells of a text file, where nobody says it: the sign by which the first rows are equally wide."""

import csv
from collections.abc import Sequence
from typing import NamedTuple

from compress.data.cells import trimmed
from compress.data.tables import TITLE_LINES, misplaced_header
from compress.errors import InputError
from compress.recipe.reading import OptionNeededError, option_text, sign_name

COMMON = (",", ";", "\t", "|")
"""Signs that are looked for."""
RARE = ("^", "~", "\x01", "\x1f", ":")
"""Signs that are looked for where no common one stands in the header; a space has to be given."""
SAMPLED = 100
"""Lines that are looked at."""


_LINES_OF_ROWS = 3
"""From so many lines on, a quoted cell whose every line is as wide as a row is told; of tabs, from two on."""


def look_like_rows(lines: Sequence[str], sign: str, width: int) -> bool:
    """True if the lines that quotes hold together are each as wide as a row: a stray quote may do that."""
    fewest = 2 if sign == "\t" else _LINES_OF_ROWS
    return width > 1 and len(lines) >= fewest and all(line.count(sign) == width - 1 for line in lines)


class _Sample(NamedTuple):
    """The first records of a file by one sign.

    Attributes:
        records: (number of its first line, cells) of each that is not blank.
        is_whole: False if the quotes do not fit there.
    """

    records: list[tuple[int, list[str]]]
    is_whole: bool

    @property
    def width(self) -> int:
        """Columns of the header."""
        return len(self.records[0][1]) if self.records else 0

    def agrees(self, start: int = 0) -> bool:
        """True if there are several columns, and from this record on equally many."""
        widths = {len(cells) for _, cells in self.records[start:]}
        return self.is_whole and len(widths) == 1 and min(widths) > 1


def find_sign(lines: Sequence[str], usual: str, name: str, *, skipped: int = 0) -> str:
    """What separates the cells.

    Args:
        lines: the first `SAMPLED` of the file, or all.
        usual: what the file's name says, which is taken where several signs serve as well.
        skipped: lines before these, for errors.

    Raises:
        InputError: two signs are as likely, or lines stand above the header.
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
    read = ", ".join(f"by {sign}: {shown}" for sign, shown in choices.items())
    return OptionNeededError(
        f"the rows of '{name}' can be separated by {' or '.join(choices)} ({read})",
        option="delimiter",
        choices=choices,
        where=f"{name}:{skipped + 1}",
        fix=f"say which: {option_text('delimiter', first)}",
    )


def _check_title(sample: _Sample, name: str, skipped: int) -> None:
    """Refuse single cells above rows that are all as wide as the first of them."""
    records = sample.records
    for start in range(1, min(TITLE_LINES, len(records) - 1)):
        if len(records[start - 1][1]) > 1:
            return
        if sample.agrees(start):
            raise misplaced_header(name, records[start][0] + skipped, records[start][1])
