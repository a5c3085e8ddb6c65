"""The roles of a table's columns: the text, the second text of a pair, and the label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from compress.data.tables import Table, listed
from compress.errors import InputError
from compress.starter.columns import Column, columns_of
from compress.starter.label_choice import LabelChoice, match_one_to_one
from compress.starter.names import FULL_TEXT, names_text, pairs_by_number, pairs_by_words, text_rank
from compress.starter.predictability import Predictability
from compress.starter.questions import Alternative, Ask, ask_which, quoted

MUCH_LONGER = 4
"""Ratio of average lengths from which on the longer of two texts with similar names is chosen."""


@dataclass(frozen=True)
class Roles:
    """The columns in use, and those that were left out.

    Attributes:
        left_out: the reason, by the column's name.
        predictability: how well words predict the label; None if unknown.
    """

    text: str
    label: str
    text_pair: str | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    predictability: Predictability | None = None

    @property
    def in_use(self) -> tuple[str, ...]:
        """The columns in use."""
        return tuple(name for name in (self.text, self.text_pair, self.label) if name is not None)


@dataclass(frozen=True)
class Wishes:
    """The columns that the user named."""

    text: str | None = None
    text_pair: str | None = None
    label: str | None = None


NONE_NAMED = Wishes()


def find_roles(table: Table, wishes: Wishes = NONE_NAMED, ask: Ask | None = None) -> Roles:
    """The roles of a table's columns: as the user named them, else by their names and contents.

    Args:
        ask: asks the user if several choices are equally likely; None if nobody can be asked.

    Raises:
        InputError: there is no text or no label, or several are equally likely and nobody can be asked.
    """
    wishes = _as_written(table, wishes)
    columns = columns_of(table)
    check_header(table, columns, wishes)
    if len(columns) < 2:
        raise InputError(
            f"{table.name} has only the column '{table.columns[0][:80]}'",
            fix="a text and a label are needed, each below its column's name",
        )
    wished = {name for name in (wishes.text, wishes.text_pair, wishes.label) if name}
    free = [column for column in columns if column.name not in wished]
    texts = [column for column in free if not column.not_text]
    labels = LabelChoice(table, free, wishes.label)
    text, pair = _choose_texts(table, texts, labels, wishes, ask)
    by_name = {column.name: column for column in columns}
    text_values = [by_name[name].values for name in (text, pair) if name is not None]
    label, predictability = labels.choose({text, pair}, [" ".join(row) for row in zip(*text_values, strict=True)], ask)
    roles = Roles(text, label, pair, predictability=predictability)
    return replace(roles, left_out=_left_out(columns, roles))


def _as_written(table: Table, wishes: Wishes) -> Wishes:
    """The wishes with the columns' names as the table has them.

    Raises:
        InputError: the table lacks a column, or two roles have the same column.
    """
    names: dict[str, str | None] = {}
    for role in ("text", "text_pair", "label"):
        name, option = getattr(wishes, role), f"--{role.replace('_', '-')}-column"
        if name is not None:
            table.column(name, option)
            name = next((column for column in table.columns if column == name), None) or next(
                column for column in table.columns if column.strip() == name.strip()
            )
            if name in names.values():
                raise InputError(f"the column '{name:.80}' is named twice", where=option, fix="name another one")
        names[role] = name
    return Wishes(**names)


def check_header(table: Table, columns: Sequence[Column], wishes: Wishes) -> None:
    """Refuse a table whose first line is a row instead of a header.

    Raises:
        InputError: the names of the columns look like their values.
    """
    if not table.headed or wishes != NONE_NAMED:
        return
    for column in columns:
        is_value = column.counts[column.name] > 1 and not names_text(column.name)
        is_text = len(column.name.split()) >= 7 and len(column.name) > 40
        if column.name and (is_value or is_text or (column.name.isdecimal() and column.numbers is not None)):
            raise InputError(
                f"the first line of {table.name} seems to be a row, and not the columns' names: '{column.name:.40}'",
                where=f"{table.name}:1",
                fix="write the columns' names above it, such as text and label; if they are names, choose with "
                "--text-column and --label-column",
            )


def _choose_texts(
    table: Table, texts: Sequence[Column], labels: LabelChoice, wishes: Wishes, ask: Ask | None
) -> tuple[str, str | None]:
    """The text's column, and the second text's column in a pair."""
    if wishes.text is not None or wishes.text_pair is not None:
        return _texts_beside(table, texts, labels, wishes, ask)
    open_texts = [column for column in texts if not labels.is_needed(column)]
    names = [column.name for column in open_texts]
    if (pair := next(pairs_by_words(names), None)) is not None:
        return pair
    pairs = list(pairs_by_number(names))
    best = _best_texts(open_texts)
    if pairs:
        paired = {name for pair in pairs for name in pair}
        best = [column for column in best if column.name not in paired and text_rank(column.name) >= FULL_TEXT]
        return pairs[0] if not best else _ask_for_texts(table, best, pairs[0], ask)
    if not best:
        raise InputError(
            f"no column of {table.name} looks like a text", fix=f"name it with --text-column: {listed(table.columns)}"
        )
    return (best[0].name, None) if len(best) == 1 else _ask_for_texts(table, best, (best[0].name, best[1].name), ask)


def _ask_for_texts(
    table: Table, singles: Sequence[Column], pair: tuple[str, str], ask: Ask | None
) -> tuple[str, str | None]:
    """One of the texts, or two of them as a pair, as the user chooses."""
    choices = [
        Alternative(column.name, _about_text(column), f"--text-column {quoted(column.name)}") for column in singles
    ]
    both = f"--text-column {quoted(pair[0])} --text-pair-column {quoted(pair[1])}"
    choices.append(Alternative(", ".join(pair), "both, as a pair", both))
    place = ask_which(table.name, "the text", choices, ask)
    return (singles[place].name, None) if place < len(singles) else pair


def _texts_beside(
    table: Table, texts: Sequence[Column], labels: LabelChoice, wishes: Wishes, ask: Ask | None
) -> tuple[str, str | None]:
    """The texts if the user named one of them; its partner by name is taken too."""
    if wishes.text is not None:
        return wishes.text, wishes.text_pair
    text, _ = _choose_texts(table, texts, labels, replace(wishes, text_pair=None), ask)
    return text, wishes.text_pair


def _best_texts(texts: Sequence[Column]) -> list[Column]:
    """The texts with the best names; if no name means a text, the one that is much longer than the others."""
    top = max((text_rank(column.name) for column in texts), default=0)
    best = [column for column in texts if text_rank(column.name) == top]
    by_length = sorted(best, key=lambda column: -column.characters)
    if top < FULL_TEXT and len(best) > 1 and by_length[0].characters >= MUCH_LONGER * by_length[1].characters:
        return by_length[:1]
    return best


def _about_text(column: Column) -> str:
    return f"{column.words:.0f} words on average"


def _left_out(columns: Sequence[Column], roles: Roles) -> dict[str, str]:
    """The reason for each column that is not used."""
    label = next(column for column in columns if column.name == roles.label)
    reasons = {}
    for column in columns:
        if column.name in roles.in_use:
            continue
        if not column.not_label and match_one_to_one(column, label):
            reasons[column.name] = f"says the same as {roles.label}"
        elif not column.not_label and not names_text(column.name):
            reasons[column.name] = f"another label? {len(column.counts)} different values"
        elif not column.not_text and not column.form:
            reasons[column.name] = f"another text, of {column.words:.0f} words on average"
        else:
            reasons[column.name] = column.not_label or f"{len(column.counts):,} different values"
    return reasons
