"""Labels as people write them: which spellings mean one class, and which labels are doubtful."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher

from compress.data.cells import WHITE, trimmed
from compress.errors import InputError, nearest, proposed

MISSING = {"na", "n/a", "#n/a", "nan", "null", "none", "<na>", "nil", "?", "-", ""}
"""What programs write for a missing value, in lower case."""
NO_LABEL = MISSING - {"none", "nil"} | {"--", "n.a.", "k.a."}
"""What programs and people write for a missing label, without words that may be classes."""
_WHOLE = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.0+)?")
_OF_NO_WIDTH = re.compile("[\u00ad\u200b\u2060\ufeff]")
_DIGITS = 4000
"""Most digits of a label that is read as a number; Python refuses more than 4,300."""
_LABELS_SHOWN = 6
"""Most labels that a message names."""
_RARE = 5
"""Rows of a rare label: with fewer it can hardly be learned; with at most as many it may be a typing error."""
_LEAST_LETTERS = 3
"""Fewest letters of a label that is searched for in texts."""
_COMMON = 20
"""Fewest rows of a common label, of which a rare one may be a misspelling."""
_SLIP = 0.8
_MOST_COMPARED = 50
SKEWED = 0.7
"""Share of the commonest label from which on accuracy says little about the others."""
_NUMBER = re.compile(r"-?[0-9]+(?:[.,][0-9]+)?")
_FEW = 20
"""Number of labels up to which each row may have a label of its own."""
_OF_THEIR_OWN = 0.9
"""Labels per row from which on they look like row numbers, not classes."""


def same_class(label: str) -> str:
    """The form that all spellings of one class share.

    `1`, `1.0` and `1.00` are one class; so are `true` and `True`, and labels that look the same (accents composed in
    another way, another kind of space). `01` is not `1`, `1e3` is not `1000`, `yes` is not `Yes`.
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
    """Refuse two spellings of one class in one part of the data: it is unclear whether they are one class.

    Raises:
        InputError: gives the spellings.
    """
    spellings = defaultdict(list)
    for label in sorted(set(labels)):
        spellings[same_class(label)].append(label)
    several = [group for group in spellings.values() if len(group) > 1]
    if several:
        more = f" ({len(several) - 1} more such labels)" if len(several) > 1 else ""
        raise InputError(
            f"the labels {_quoted(several[0])} are one class in several spellings{more}",
            where=where,
            fix="write it in one way, or give what are two classes two names",
        )


def check_repeated(labels: Sequence[str], name: str, where: str | None) -> None:
    """Refuse labels that number the rows.

    Args:
        name: the column's name.

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
    """The classes of a task, found by any spelling of their labels.

    Attributes:
        labels: names of the classes in order.
        respelled: label in the data -> name of its class, for labels with another spelling.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self.respelled: dict[str, str] = {}
        self._exact = {label: number for number, label in enumerate(self.labels)}
        shared = Counter(map(same_class, self.labels))
        self._alike = {key: label for label in self.labels if shared[key := same_class(label)] == 1}

    def number(self, label: str) -> int | None:
        """The number of a label's class; None if there is no such class, or several are possible."""
        number = self._exact.get(label)
        if number is None and (label_name := self._alike.get(same_class(label))) is not None:
            self.respelled[label] = label_name
            number = self._exact[label_name]
        return number

    def fix(self, unknown: Sequence[str]) -> str:
        """The fix for unknown labels: the nearest known label, and all known ones."""
        close = next(
            (close for label in unknown[:_LABELS_SHOWN] if (close := nearest(label[:100], self.labels[:1000]))), None
        )
        return proposed(close and close[:40], f"known labels: {shortened(self.labels)}")


def label_notes(
    classes: Classes,
    train: Mapping[str, int],
    trained: Mapping[str, int],
    test: Mapping[str, int],
    *,
    fairer: str = "",
) -> list[str]:
    """Remarks on the labels for the report.

    Args:
        train: number of rows of each label in the training file.
        trained: the same for the rows that are trained on, without those held out or dropped.
        test: the same for the test rows.
        fairer: a metric that weighs all classes equally, if the report's own does not.
    """
    notes = []
    if classes.respelled:
        pairs = ", ".join(
            f"{_quoted([label])} as '{class_name[:40]}'"
            for label, class_name in list(classes.respelled.items())[:_LABELS_SHOWN]
        )
        notes.append(f"labels in another spelling were taken for the class that they name: {pairs}")
    notes += _alike(classes, train)
    if missing := [label for label in classes.labels if label.lower() in MISSING]:
        notes.append(
            f"the label {_quoted(missing)} is taken for a class, though it may mean that the label is missing; "
            "task.no_label says that it does"
        )
    skewed = _skewed(classes.labels, train, fairer) if fairer else []
    return notes + _counted(classes.labels, train, trained, test) + skewed


def _alike(classes: Classes, train: Mapping[str, int]) -> list[str]:
    """Remarks on labels that differ only in case, and on rare labels that nearly equal a common one."""
    notes = []
    by_case = defaultdict(list)
    for label in classes.labels:
        by_case[label.casefold()].append(label)
    for group in [group for group in by_case.values() if len(group) > 1][:3]:
        notes.append(f"the labels {_quoted(group)} differ in case alone; they are taken for {len(group)} classes")
    common = [label for label in classes.labels if train.get(label, 0) >= _COMMON]
    for rare in [label for label in classes.labels if 0 < train.get(label, 0) <= _RARE][:_MOST_COMPARED]:
        close = nearest(rare[:100], (label[:100] for label in common[:_MOST_COMPARED] if is_slip(rare, label)))
        if close is not None and rare.casefold() != close.casefold():
            rows = f"{train[rare]} row{'s' if train[rare] > 1 else ''}"
            notes.append(f"the label {_quoted([rare])} ({rows}) is nearly '{close[:40]}': a slip of the pen?")
    return notes


def is_slip(one: str, other: str) -> bool:
    """Whether two labels are words that differ in a letter or two."""
    if min(len(one), len(other)) < 4 or abs(len(one) - len(other)) > 2 or any(map(str.isdigit, one + other)):
        return False
    return SequenceMatcher(None, one.casefold(), other.casefold()).ratio() >= _SLIP


def _counted(
    labels: Sequence[str], train: Mapping[str, int], trained: Mapping[str, int], test: Mapping[str, int]
) -> list[str]:
    """Remarks on labels with too few rows, and on labels that are numbers."""
    if not train:
        return []
    notes = []
    rows = sum(train.values())
    single = [label for label in labels if train.get(label, 0) == 1]
    few = [label for label in labels if 1 < train.get(label, 0) < _RARE]
    unused = [label for label in labels if not trained.get(label)]
    if len(labels) > _FEW and rows < _RARE * len(labels):
        notes.append(f"{len(labels):,} labels for {rows:,} training rows: is the column of labels one of ids?")
    if numbers := _quantities(labels):
        notes.append(f"the labels are {len(labels)} numbers, such as {numbers}: each is taken for a class of its own")
    if single:
        notes.append(f"{_labels_have(single)} one training row")
    if few and rows >= _RARE * len(labels):
        notes.append(f"{_labels_have(few)} fewer than {_RARE} training rows")
    if unused and trained:
        notes.append(f"{_labels_have(unused)} no row among those that are trained on")
    if test and (untested := [label for label in labels if not test.get(label)]):
        notes.append(f"{_labels_have(untested)} no test row")
    return notes


def _skewed(labels: Sequence[str], train: Mapping[str, int], fairer: str) -> list[str]:
    """A remark if most rows have one label."""
    rows, most = sum(train.values()), max(labels, key=lambda label: train.get(label, 0), default="")
    if len(labels) < 2 or rows < _COMMON or train.get(most, 0) < SKEWED * rows:
        return []
    return [
        f"{train[most] / rows:.0%} of the training rows have the label '{most[:40]}': accuracy says little of the "
        f"others; task.metric: {fairer} weighs all alike"
    ]


def _quantities(labels: Sequence[str]) -> str:
    """One of the labels, if they are many numbers and some are not whole; '' otherwise."""
    if len(labels) <= _FEW or not all(_NUMBER.fullmatch(label) for label in labels):
        return ""
    return next((label for label in labels if not label.removeprefix("-").isdecimal()), "")


def labels_in_texts(rows: Sequence[tuple[str, str]]) -> list[str]:
    """A remark if nearly every text of the (text, label) rows contains its own label."""
    worded = [(text, label) for text, label in rows if len(label) >= _LEAST_LETTERS and not label.isdigit()]
    held = sum(label.casefold() in text.casefold() for text, label in worded)
    if not worded or len(worded) < len(rows) / 2 or held < _OF_THEIR_OWN * len(worded):
        return []
    return [f"{held:,} of {len(rows):,} training texts hold their own label: is the answer written into them?"]


def shortened(names: Sequence[str]) -> str:
    """Labels for a message: the first few, each cut to 40 characters."""
    quoted = ", ".join(f"'{name[:40]}'" for name in names[:_LABELS_SHOWN])
    return f"{quoted}, … ({len(names)} in all)" if len(names) > _LABELS_SHOWN else quoted


def _labels_have(labels: Sequence[str]) -> str:
    return f"the label {shortened(labels)} has" if len(labels) == 1 else f"the labels {shortened(labels)} have"


def _quoted(labels: Sequence[str]) -> str:
    """Labels in quotes, or with escapes if they look the same otherwise."""
    look = {unicodedata.normalize("NFC", trimmed(label)) for label in labels}
    if len(look) < len(labels) or any(
        _OF_NO_WIDTH.search(label) or set(label) & set(WHITE) - {" "} for label in labels
    ):
        return " and ".join(ascii(label[:40]) for label in labels)
    return " and ".join(f"'{label[:40]}'" for label in labels)
