"""Labels as people write them: which spellings are one class, and what is doubtful of them."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher

from compress.data.cells import WHITE, trimmed
from compress.errors import InputError, nearest, proposed

MISSING = {"na", "n/a", "#n/a", "nan", "null", "none", "<na>", "nil", "?", "-", ""}
"""What other programs write for a value that is missing, in lower case."""
NO_LABEL = MISSING - {"none", "nil"} | {"--", "n.a.", "k.a."}
"""Those of them that are no class in any data, with what people write."""
_WHOLE = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.0+)?")
_OF_NO_WIDTH = re.compile("[\u00ad\u200b\u2060\ufeff]")
_DIGITS = 4000
"""Python reads no number of more than 4,300."""
_TOLD = 6
"""Labels that a message names."""
_RARE = 5
"""Rows of a label below which it can hardly be learned, and up to which it may be a slip of the pen."""
_LEAST_TOLD = 3
"""Letters of a label that is looked for in texts."""
_COMMON = 20
"""Rows from which on a label is what another may be a slip of."""
_SLIP = 0.8
_LOOKED_AT = 50
SKEWED = 0.7
"""Share of the commonest label, from which on accuracy says little of the others."""
_NUMBER = re.compile(r"-?[0-9]+(?:[.,][0-9]+)?")
_FEW = 20
"""Up to so many labels, each row may have one of its own."""
_OF_THEIR_OWN = 0.9
"""Labels for one row, from which they are numbers of rows rather than classes."""


def same_class(label: str) -> str:
    """What two spellings of one class have in common.

    `1`, `1.0` and `1.00` are one; so are `true` and `True`, and labels that look the same: composed in another way,
    or with another kind of space. `01` is not `1`, `1e3` not `1000`, `yes` not `Yes`.
    """
    text = unicodedata.normalize("NFC", _OF_NO_WIDTH.sub("", trimmed(label)))
    text = "".join(" " if char in WHITE else char for char in text)
    if whole := _WHOLE.fullmatch(text):
        return f"{whole[1] if whole[2] != '0' else ''}{whole[2]}"
    return text.lower() if text.lower() in {"true", "false"} else text


def ordered(labels: Iterable[str]) -> tuple[str, ...]:
    """Distinct labels, in numeric order if all are whole numbers, else in alphabetical order."""
    distinct = set(labels)
    if all(label.removeprefix("-").isdecimal() and len(label) < _DIGITS for label in distinct):
        return tuple(sorted(distinct, key=lambda label: (int(label), label)))
    return tuple(sorted(distinct))


def check_spellings(labels: Iterable[str], where: str | None) -> None:
    """Refuse two spellings of one class in one part of the data: nobody can say which is meant.

    Raises:
        InputError: with the spellings.
    """
    spellings = defaultdict(list)
    for label in sorted(set(labels)):
        spellings[same_class(label)].append(label)
    several = [group for group in spellings.values() if len(group) > 1]
    if several:
        more = f" ({len(several) - 1} more such labels)" if len(several) > 1 else ""
        raise InputError(
            f"the labels {_written(several[0])} are one class in several spellings{more}",
            where=where,
            fix="write it in one way, or give what are two classes two names",
        )


def check_repeated(labels: Sequence[str], name: str, where: str | None) -> None:
    """Refuse labels that number the rows.

    Args:
        name: of the column.

    Raises:
        InputError: nearly every row has a label of its own.
    """
    distinct = len(set(labels))
    if distinct > max(_FEW, _OF_THEIR_OWN * len(labels)):
        raise InputError(
            f"the column '{name}' has {distinct:,} distinct values in {len(labels):,} training rows: it seems to "
            "number them, and not to be a label",
            where=where,
            fix="check columns.label: a class needs several rows",
        )


class Classes:
    """Numbers of the classes by all spellings of their labels.

    Attributes:
        labels: names of the classes in their order.
        respelled: label as the data has it -> as the class is called, where they differ.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self.respelled: dict[str, str] = {}
        self._exact = {label: number for number, label in enumerate(self.labels)}
        shared = Counter(map(same_class, self.labels))
        self._alike = {key: label for label in self.labels if shared[key := same_class(label)] == 1}

    def number(self, label: str) -> int | None:
        """The class of a label; None if there is none, or if it may be one of several."""
        number = self._exact.get(label)
        if number is None and (known := self._alike.get(same_class(label))) is not None:
            self.respelled[label] = known
            number = self._exact[known]
        return number

    def fix(self, unknown: Sequence[str]) -> str:
        """What to do about unknown labels: the nearest known one, and all of them."""
        close = next((close for label in unknown[:_TOLD] if (close := nearest(label[:100], self.labels[:1000]))), None)
        return proposed(close and close[:40], f"known labels: {shortened(self.labels)}")


def label_notes(
    classes: Classes,
    train: Mapping[str, int],
    kept: Mapping[str, int],
    test: Mapping[str, int],
    *,
    fairer: str = "",
) -> list[str]:
    """What a reader of the report must know of the labels.

    Args:
        train: rows of each label in the training file.
        kept: in what of it is trained on, without what is held out, dropped or left aside.
        test: in the test rows.
        fairer: a metric that weighs all classes alike, where the report's own does not.
    """
    notes = []
    if classes.respelled:
        pairs = ", ".join(
            f"{_written([label])} as '{known[:40]}'" for label, known in list(classes.respelled.items())[:_TOLD]
        )
        notes.append(f"labels in another spelling were taken for the class that they name: {pairs}")
    notes += _alike(classes, train)
    if missing := [label for label in classes.labels if label.lower() in MISSING]:
        notes.append(
            f"the label {_written(missing)} is taken for a class, though it may mean that the label is missing; "
            "task.no_label says that it does"
        )
    skewed = _skewed(classes.labels, train, fairer) if fairer else []
    return notes + _counted(classes.labels, train, kept, test) + skewed


def _alike(classes: Classes, train: Mapping[str, int]) -> list[str]:
    """Labels that differ in case alone, and rare ones that are nearly a common one."""
    notes = []
    by_case = defaultdict(list)
    for label in classes.labels:
        by_case[label.casefold()].append(label)
    for group in [group for group in by_case.values() if len(group) > 1][:3]:
        notes.append(f"the labels {_written(group)} differ in case alone; they are taken for {len(group)} classes")
    common = [label for label in classes.labels if train.get(label, 0) >= _COMMON]
    for rare in [label for label in classes.labels if 0 < train.get(label, 0) <= _RARE][:_LOOKED_AT]:
        close = nearest(rare[:100], (label[:100] for label in common[:_LOOKED_AT] if is_slip(rare, label)))
        if close is not None and rare.casefold() != close.casefold():
            rows = f"{train[rare]} row{'s' if train[rare] > 1 else ''}"
            notes.append(f"the label {_written([rare])} ({rows}) is nearly '{close[:40]}': a slip of the pen?")
    return notes


def is_slip(one: str, other: str) -> bool:
    """Whether two labels are alike but for a letter or two, and both are words."""
    if min(len(one), len(other)) < 4 or abs(len(one) - len(other)) > 2 or any(map(str.isdigit, one + other)):
        return False
    return SequenceMatcher(None, one.casefold(), other.casefold()).ratio() >= _SLIP


def _counted(
    labels: Sequence[str], train: Mapping[str, int], kept: Mapping[str, int], test: Mapping[str, int]
) -> list[str]:
    """What the rows of each label make doubtful."""
    if not train:
        return []
    notes = []
    rows = sum(train.values())
    single = [label for label in labels if train.get(label, 0) == 1]
    few = [label for label in labels if 1 < train.get(label, 0) < _RARE]
    gone = [label for label in labels if not kept.get(label)]
    if len(labels) > _FEW and rows < _RARE * len(labels):
        notes.append(f"{len(labels):,} labels for {rows:,} training rows: is the column of labels one of ids?")
    if numbers := _quantities(labels):
        notes.append(f"the labels are {len(labels)} numbers, such as {numbers}: each is taken for a class of its own")
    if single:
        notes.append(f"{_labels_have(single)} one training row")
    if few and rows >= _RARE * len(labels):
        notes.append(f"{_labels_have(few)} fewer than {_RARE} training rows")
    if gone and kept:
        notes.append(f"{_labels_have(gone)} no row among those that are trained on")
    if test and (untested := [label for label in labels if not test.get(label)]):
        notes.append(f"{_labels_have(untested)} no test row")
    return notes


def _skewed(labels: Sequence[str], train: Mapping[str, int], fairer: str) -> list[str]:
    """A note if most rows have one label."""
    rows, most = sum(train.values()), max(labels, key=lambda label: train.get(label, 0), default="")
    if len(labels) < 2 or rows < _COMMON or train.get(most, 0) < SKEWED * rows:
        return []
    return [
        f"{train[most] / rows:.0%} of the training rows have the label '{most[:40]}': accuracy says little of the "
        f"others; task.metric: {fairer} weighs all alike"
    ]


def _quantities(labels: Sequence[str]) -> str:
    """One of the labels, if they are many numbers of which some are no whole ones; '' otherwise."""
    if len(labels) <= _FEW or not all(_NUMBER.fullmatch(label) for label in labels):
        return ""
    return next((label for label in labels if not label.removeprefix("-").isdecimal()), "")


def given_away(rows: Sequence[tuple[str, str]]) -> list[str]:
    """A note if nearly every text, of (text, label), holds its own label as it is written."""
    worded = [(text, label) for text, label in rows if len(label) >= _LEAST_TOLD and not label.isdigit()]
    held = sum(label.casefold() in text.casefold() for text, label in worded)
    if not worded or len(worded) < len(rows) / 2 or held < _OF_THEIR_OWN * len(worded):
        return []
    return [f"{held:,} of {len(rows):,} training texts hold their own label: is the answer written into them?"]


def shortened(names: Sequence[str]) -> str:
    """Labels for a message: the first few, each of them cut short."""
    shown = ", ".join(f"'{name[:40]}'" for name in names[:_TOLD])
    return f"{shown}, … ({len(names)} in all)" if len(names) > _TOLD else shown


def _labels_have(labels: Sequence[str]) -> str:
    return f"the label {shortened(labels)} has" if len(labels) == 1 else f"the labels {shortened(labels)} have"


def _written(labels: Sequence[str]) -> str:
    """Labels so that what differs can be seen: with escapes, if they look the same."""
    look = {unicodedata.normalize("NFC", trimmed(label)) for label in labels}
    if len(look) < len(labels) or any(
        _OF_NO_WIDTH.search(label) or set(label) & set(WHITE) - {" "} for label in labels
    ):
        return " and ".join(ascii(label[:40]) for label in labels)
    return " and ".join(f"'{label[:40]}'" for label in labels)
