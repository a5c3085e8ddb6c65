"""A label for each token of a row: `[[0, 3, 4], [0], …]`, indices of classes.

Labels such as B-PER, I-PER and O mark entities: spans of tokens of one type. B- begins one, I- goes on with one of its
type, or begins one where there is none; E- and L- end one, S- and U- are one of a single token. O is none. A label
without such a prefix is an entity of its token alone, so that parts of speech are scored too. An answer may be shorter
than the truth, where a text was cut: what it does not say of a token, it gets wrong.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, ClassVar, NamedTuple, TypeAlias

from compress.answers import Answers, Flipped, Metric, Slice, Words

if TYPE_CHECKING:
    from compress.ops.outcomes import Counts, Outcome

NONE = "O"
"""The label of a token of no entity."""
FIRST, LAST = "BSU", "ELSU"
"""Prefixes of a token that begins an entity whatever stands before it, and of one that ends it."""
PREFIXES = {*FIRST, *LAST, "I"}


class Entity(NamedTuple):
    """Tokens from `start` up to but without `end`, of one type."""

    kind: str
    start: int
    end: int


Sides: TypeAlias = tuple[set[Entity], set[Entity]]


@dataclass(frozen=True)
class TokenLabels(Answers):
    """See `compress.answers.Answers`."""

    content: list[list[int]]

    METRICS: ClassVar[Mapping[str, Metric]] = {
        "f1_entity": Metric(
            "entity F1",
            "f1",
            hint="F1 over the entities of all rows; right is one whose tokens and type all are.",
        ),
        "token_accuracy": Metric("token accuracy", "accuracy"),
    }
    WORDS: ClassVar[Words] = Words(
        within="the tokens of ",
        same="keep their label",
        part="entity type",
        parts="entity types",
        unit="entity",
        units="entities",
        part_quality="F1 of the entities of a type",
        row_quality="Entity F1",
        scale="F1",
    )

    @classmethod
    def check(cls, content: Sequence[object]) -> None:
        """Lists of whole numbers from 0 on."""
        for row in content:
            if not isinstance(row, list) or not all(type(item) is int and item >= 0 for item in row):
                raise ValueError("labels of tokens are lists of whole numbers from 0 on")

    def entities(self, row: int) -> list[Entity]:
        """The spans that a row's labels mark."""
        return list(spans([self.labels[index] for index in self.content[row]]))

    def by_metric(self, truth: "TokenLabels", metric: str) -> "Outcome":
        """Entities, or tokens, that were hit in each row."""
        import numpy as np

        from compress.ops.outcomes import Counts

        if metric == "f1_entity":
            return _counts(self._sides(truth))
        pairs = zip(self.content, truth.content, strict=True)
        hits = [sum(one == two for one, two in zip(said, right, strict=False)) for said, right in pairs]
        return Counts(np.array(hits, float), np.array([len(row) for row in truth.content], float))

    def _sides(self, truth: "TokenLabels") -> list[Sides]:
        """What is said of each row, and what is there."""
        return [(set(self.entities(row)), set(truth.entities(row))) for row in range(len(self))]

    def same(self, other: "TokenLabels") -> list[float]:
        """Share of the tokens that have one label."""
        return [
            sum(one == two for one, two in zip_longest(first, second)) / max(len(first), len(second), 1)
            if first or second
            else 1.0
            for first, second in zip(self.content, other.content, strict=True)
        ]

    def beyond_chance(self, other: "TokenLabels") -> float | None:
        """Cohen's kappa of all tokens."""
        import numpy as np

        from compress.ops.agreement import cohens_kappa

        pairs = [
            pair
            for first, second in zip(self.content, other.content, strict=True)
            for pair in zip(first, second, strict=False)
        ]
        return cohens_kappa(*np.array(pairs).T) if pairs else None

    def counts(self) -> dict[str, int]:
        """Entities of each type, in the order of the alphabet."""
        numbers = Counter(entity.kind for row in range(len(self)) for entity in self.entities(row))
        return {kind: numbers[kind] for kind in sorted(numbers)}

    def slices(self, truth: "TokenLabels") -> list[Slice]:
        """The entities of each type that the truth holds, with their F1."""
        found, sides = [], self._sides(truth)
        for kind, size in truth.counts().items():
            counts = _counts(sides, kind)
            found.append(Slice(kind, size, counts, counts.value))
        return found

    def flipped(self, before: "TokenLabels", truth: "TokenLabels", row: int, text: str) -> Flipped:
        """The entities that are not the same in all three, with their words where the text's are the tokens."""
        sides = [side.entities(row) for side in (truth, before, self)]
        shared = set(sides[0]) & set(sides[1]) & set(sides[2])
        words = text.split()
        if len(words) != len(truth.content[row]):
            words = []
        told = [", ".join(_told(entity, words) for entity in side if entity not in shared) or "none" for side in sides]
        return Flipped(*told)

    def shown(self, row: int) -> str:
        """Its entities, by the numbers of their tokens."""
        return ", ".join(_told(entity, ()) for entity in self.entities(row)) or "none"


def spans(labels: Sequence[str]) -> Iterator[Entity]:
    """The entities that labels mark, in their order."""
    start, kind = 0, ""
    for place, label in enumerate([*labels, NONE]):
        prefix, dash, name = label.partition("-")
        is_marked = bool(dash) and prefix in PREFIXES
        own = "" if label == NONE else name if is_marked else label
        goes_on = is_marked and prefix not in FIRST and own == kind
        if kind and not goes_on:
            yield Entity(kind, start, place)
            kind = ""
        if own and not goes_on:
            start, kind = place, own
        if kind and (not is_marked or prefix in LAST):
            yield Entity(kind, start, place + 1)
            kind = ""


def _counts(sides: Sequence[Sides], kind: str | None = None) -> "Counts":
    """Of the entities of all types, or of one, in each row."""
    import numpy as np

    from compress.ops.outcomes import Counts

    rows = []
    for both in sides:
        said, there = ({entity for entity in side if kind in {None, entity.kind}} for side in both)
        rows.append((len(said & there), (len(said) + len(there)) / 2))
    hits, sizes = np.array(rows, float).reshape(-1, 2).T
    return Counts(hits, sizes)


def _told(entity: Entity, words: Sequence[str]) -> str:
    """`PER Ada Lovelace`, or `PER 3 to 4` where the words are not known; tokens are counted from 1."""
    first, last = entity.start + 1, entity.end
    places = f"{first}" if first == last else f"{first} to {last}"
    return f"{entity.kind} {' '.join(words[entity.start : entity.end]) if words else places}"


ANSWERS = TokenLabels
