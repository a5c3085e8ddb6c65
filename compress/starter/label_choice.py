"""The choice of the label's column: by names first, then by values, then by how well the texts' words predict it."""

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
from compress.starter.predictability import Predictability, predictability_of
from compress.starter.questions import Alternative, Ask, ask_which, quoted

SHOWN = 60


class LabelChoice:
    """The columns that may be the label.

    Args:
        free: the columns that the user did not name.
        wish: the label's column that the user named.
    """

    def __init__(self, table: Table, free: Sequence[Column], wish: str | None) -> None:
        self.table, self.free, self.wish = table, free, wish

    def is_needed(self, column: Column) -> bool:
        """Whether a column that may be a text is needed as the label, by its name or as the only candidate."""
        if self.wish is not None or column.not_label or text_rank(column.name) == PLAIN_TEXT:
            return False
        if label_rank(column.name) >= TELLING and (not names_text(column.name) or label_rank(column.name) == TARGET):
            return True
        return all(other.not_label for other in self.free if other is not column) and text_rank(column.name) < FULL_TEXT

    def choose(
        self, texts: set[str | None], texts_of_row: Sequence[str], ask: Ask | None
    ) -> tuple[str, Predictability | None]:
        """The label's column, and how well the words of the texts predict it."""
        if self.wish is not None:
            values = self.table.column(self.wish, None)
            return self.wish, predictability_of(texts_of_row, values)
        others = [column for column in self.free if column.name not in texts]
        best = self._best(others)
        predictabilities = {column.name: predictability_of(texts_of_row, column.values) for column in best}
        if len(best) > 1 and _rank(best[0]) < TELLING:
            best = _only_predictable(best, predictabilities)
        if len(best) == 1:
            return best[0].name, predictabilities[best[0].name]
        choices = [
            Alternative(
                column.name,
                _about_label(column, predictabilities[column.name]),
                f"--label-column {quoted(column.name)}",
            )
            for column in best
        ]
        name = choices[ask_which(self.table.name, "the label", choices, ask)].name
        return name, predictabilities[name]

    def _best(self, others: Sequence[Column]) -> list[Column]:
        """The columns that are most likely the label, by their names; of a number and its name, the name.

        Names for what a text says (`sentiment`) compete with names for what is done about it (`department`). Unless
        there is just one such column, of the first kind, columns with unknown names are candidates too.

        Raises:
            InputError: there is no candidate, or a column with a label's name cannot be one.
        """
        ranked = {
            rank: [column for column in others if _rank(column) == rank]
            for rank in (TARGET, TELLING, RIVAL, UNKNOWN, ABOUT_ROW)
        }
        fit = {rank: [column for column in columns if not column.not_label] for rank, columns in ranked.items()}
        for rank in (TARGET, TELLING):
            candidates = [column for column in ranked[rank] if not names_text(column.name) or column.words <= _PROSE]
            if candidates and not fit[rank]:
                raise self._no_label(candidates)
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
        raise self._no_candidate(others)

    def _no_label(self, candidates: Sequence[Column]) -> InputError:
        """The error for columns with names of labels that cannot be labels."""
        column = next((column for column in candidates if len(column.counts) > 1), candidates[0])
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

    def _no_candidate(self, others: Sequence[Column]) -> InputError:
        reasons = "; ".join(f"'{column.name[:40]}': {column.not_label[:SHOWN]}" for column in others[:6])
        in_brackets = f" ({reasons})" if reasons else ""
        return InputError(f"no column of {self.table.name} looks like a label{in_brackets}", fix=_ANOTHER)


_PROSE = 2
"""Average words per value up to which a column with a text's name may be a label."""
_ANOTHER = "name the label's column with --label-column"


def _rank(column: Column) -> int:
    """The rank of the column's name; lower if most rows have no value, because that is hardly the label."""
    rank = label_rank(column.name)
    return ABOUT_ROW if rank < TARGET and 2 * column.rows < len(column.values) else rank


def _without_twins(fit: Sequence[Column], others: Sequence[Column]) -> list[Column]:
    """The columns without duplicates: of columns that say the same, the one in words, else the first."""
    distinct: list[Column] = []
    for column in fit:
        twin = next((place for place, other in enumerate(distinct) if match_one_to_one(column, other)), None)
        if twin is None:
            distinct.append(column)
        elif distinct[twin].numbers is not None and column.numbers is None:
            distinct[twin] = column
    if len(distinct) == 1 and distinct[0].numbers is not None:
        words = [other for other in others if names_label_in_words(other.name) or label_rank(other.name) > ABOUT_ROW]
        in_words = next(
            (
                other
                for other in words
                if other.numbers is None and not other.not_label and match_one_to_one(distinct[0], other)
            ),
            None,
        )
        return [in_words or distinct[0]]
    return distinct


def match_one_to_one(one: Column, other: Column) -> bool:
    """Whether the values of two columns match one to one."""
    both = set(zip(one.values, other.values, strict=True))
    return len(both) == len({first for first, _ in both}) == len({second for _, second in both})


def _only_predictable(best: Sequence[Column], predictabilities: Mapping[str, Predictability | None]) -> list[Column]:
    """The one column that the texts' words predict, if they predict no other; else all columns."""
    clear = [column for column in best if (score := predictabilities[column.name]) is not None and score.is_clear]
    chance = [column for column in best if (score := predictabilities[column.name]) is not None and score.is_chance]
    return clear if len(clear) == 1 and len(chance) == len(best) - 1 else list(best)


def _about_label(column: Column, predictability: Predictability | None) -> str:
    return f"{len(column.counts)} classes" + (f"; {predictability.short}" if predictability is not None else "")
