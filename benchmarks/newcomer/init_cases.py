"""A data file that somebody has, and what `compress init` has to make of it."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Found:
    """The recipe that fits.

    Attributes:
        classes: how many.
        length: least and most `max_length`.
        told: must stand in what is printed.
        dropped: whether rows without a text or a label are left out.
    """

    text: str
    label: str
    classes: int
    length: tuple[int, int] = (16, 256)
    pair: str | None = None
    told: tuple[str, ...] = ()
    dropped: bool = False


@dataclass(frozen=True)
class Refused:
    """No recipe; `words` must stand in the error."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """Two readings are as likely: refused without a terminal, with `words`; on one, asked.

    Attributes:
        answers: typed in, one a question.
        then: what the answers lead to.
    """

    words: tuple[str, ...]
    answers: tuple[str, ...]
    then: Found


@dataclass(frozen=True)
class File:
    """One case.

    Attributes:
        what: the kind of file, in a few words.
        name: of the file.
        options: of the command, beside the model and the file.
    """

    what: str
    name: str
    content: bytes
    expected: Found | Refused | Asked
    options: tuple[str, ...] = field(default=())
