"""Which column is the label: by its name first, then by its values, then by what the texts' words tell."""

from collections.abc import Mapping, Sequence

from compress.data.tables import Table
from compress.errors import InputError
from compress.starter.columns import Column
from compress.starter.names import (
    ABOUT_ROW,
    FULL_TEXT,
    PLAIN_TEXT,
    RIVAL,
    TARGET,
    TELLING,
    UNKNOWN,
    is_prime,
    label_rank,
    names_label_in_words,
    names_text,
    text_rank,
)
from compress.starter.predictability import Told, told_by_words
from compress.starter.questions import Alternative, Ask, chosen, quoted

SHOWN = 60


class LabelChoice:
    """The columns that may be the label.

    Args:
        free: those that nobody named.
        wish: the one that a person named.
    """

    def __init__(self, table: Table, free: Sequence[Column], wish: str | None) -> None:
        self.table, self.free, self.wish = table, free, wish

    def is_needed(self, column: Column) -> bool:
        """Whether a column that may be a text is the label by its name, or the only one that may be."""
        if self.wish is not None or column.not_label or text_rank(column.name) == PLAIN_TEXT:
            return False
        if label_rank(column.name) >= TELLING and (not names_text(column.name) or label_rank(column.name) == TARGET):
            return True
        return all(other.not_label for other in self.free if other is not column) and text_rank(column.name) < FULL_TEXT

    def choose(self, texts: set[str | None], shown: Sequence[str], ask: Ask | None) -> tuple[str, Told | None]:
        """The label, and how well the words of the texts tell it."""
        if self.wish is not None:
            values = self.table.column(self.wish, None)
            return self.wish, told_by_words(shown, values)
        others = [column for column in self.free if column.name not in texts]
        best = self._best(others)
        told = {column.name: told_by_words(shown, column.values) for column in best}
        if len(best) > 1 and _rank(best[0]) < TELLING:
            best = _only_told(best, told)
        if len(best) == 1:
            return best[0].name, told[best[0].name]
        choices = [
            Alternative(column.name, _about_label(column, told[column.name]), f"--label-column {quoted(column.name)}")
            for column in best
        ]
        name = choices[chosen(self.table.name, "the label", choices, ask)].name
        return name, told[name]

    def _best(self, others: Sequence[Column]) -> list[Column]:
        """Those that are as likely the label, by what their names say; of a number and its name, the name.

        One whose name says that it is what a text says has rivals in those that say what is done about it; if there
        are any, all that may be meant are named with them.

        Raises:
            InputError: there is none, or what is named so cannot be one.
        """
        ranked = {
            rank: [column for column in others if _rank(column) == rank]
            for rank in (TARGET, TELLING, RIVAL, UNKNOWN, ABOUT_ROW)
        }
        fit = {rank: [column for column in columns if not column.not_label] for rank, columns in ranked.items()}
        for rank in (TARGET, TELLING):
            named = [column for column in ranked[rank] if not names_text(column.name) or column.words <= _PROSE]
            if named and not fit[rank]:
                raise self._no_label(named)
            if fit[rank]:
                break
        if targets := _without_twins(fit[TARGET], others):
            prime = [column for column in targets if is_prime(column.name)]
            return prime if len(prime) == 1 else targets
        likely = _without_twins([*fit[TELLING], *fit[RIVAL]], others)
        if len(likely) > 1 or not fit[TELLING]:
            likely = _without_twins([*likely, *fit[UNKNOWN]], others)
        if likely := likely or _without_twins(fit[ABOUT_ROW], others):
            return likely
        raise self._none(others)

    def _no_label(self, named: Sequence[Column]) -> InputError:
        """What is wrong with the columns that are named like a label, of which none can be one."""
        column = next((column for column in named if len(column.counts) > 1), named[0])
        name, why = column.name[:80], column.not_label
        if column.unfit:
            return InputError(f"the column '{name}' cannot be the label: {column.unfit}", fix=_ANOTHER)
        if len(column.counts) == 1:
            return InputError(f"all rows have the label '{next(iter(column.counts))[:80]}'", fix=_ANOTHER)
        if column.several_labels:
            return InputError(
                f"the column '{name}' has several labels in a cell: '{column.several_labels[:SHOWN]}'",
                fix=f"one label a row is needed: keep the first of each, or make a file for each label; {_ANOTHER}",
            )
        if column.is_quantity:
            example = next(iter(column.counts))
            return InputError(
                f"the column '{name}' holds a number, such as {example[:20]}, and no class",
                fix=f"cut it into classes first, for example below and above a bound; {_ANOTHER}",
            )
        return InputError(
            f"the column '{name}' is no label that can be learned: {why} in {column.rows:,} rows"
            + (": it may be an id" if "different" in why else ""),
            fix=_ANOTHER,
        )

    def _none(self, others: Sequence[Column]) -> InputError:
        reasons = "; ".join(f"'{column.name[:40]}': {column.not_label[:SHOWN]}" for column in others[:6])
        told = f" ({reasons})" if reasons else ""
        return InputError(f"no column of {self.table.name} looks like a label{told}", fix=_ANOTHER)


_PROSE = 2
"""Words of a value, on average, up to which a column with the name of a text may be meant as a label."""
_ANOTHER = "name the label's column with --label-column"


def _rank(column: Column) -> int:
    """What the name says, unless most rows have no value there: that is hardly what is to be predicted."""
    rank = label_rank(column.name)
    return ABOUT_ROW if rank < TARGET and 2 * column.rows < len(column.values) else rank


def _without_twins(fit: Sequence[Column], others: Sequence[Column]) -> list[Column]:
    """Columns that say the same are one: the one in words, else the first."""
    kept: list[Column] = []
    for column in fit:
        twin = next((place for place, other in enumerate(kept) if say_the_same(column, other)), None)
        if twin is None:
            kept.append(column)
        elif kept[twin].numbers is not None and column.numbers is None:
            kept[twin] = column
    if len(kept) == 1 and kept[0].numbers is not None:
        words = [other for other in others if names_label_in_words(other.name) or label_rank(other.name) > ABOUT_ROW]
        named = next(
            (
                other
                for other in words
                if other.numbers is None and not other.not_label and say_the_same(kept[0], other)
            ),
            None,
        )
        return [named or kept[0]]
    return kept


def say_the_same(one: Column, other: Column) -> bool:
    """Whether each value of one goes with one value of the other."""
    both = set(zip(one.values, other.values, strict=True))
    return len(both) == len({first for first, _ in both}) == len({second for _, second in both})


def _only_told(best: Sequence[Column], told: Mapping[str, Told | None]) -> list[Column]:
    """The one column that the texts' words tell, if they tell no other; else all."""
    clear = [column for column in best if (found := told[column.name]) is not None and found.is_clear]
    chance = [column for column in best if (found := told[column.name]) is not None and found.is_chance]
    return clear if len(clear) == 1 and len(chance) == len(best) - 1 else list(best)


def _about_label(column: Column, told: Told | None) -> str:
    return f"{len(column.counts)} classes" + (f"; {told.short}" if told is not None else "")
