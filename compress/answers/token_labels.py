"""A label for each token of a row: `[[0, 3, 4], [0], …]`, indices of classes.

Labels such as B-PER, I-PER and O mark entities, which are spans of tokens of one type. B- begins an entity; I-
continues one of its type, or begins one if there is none; E- and L- end one; S- and U- mark one of a single token; O
marks none. A label without such a prefix marks an entity of its token alone, so that parts of speech are scored too.
An answer may be shorter than the truth if the text was cut: the missing tokens are wrong.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, ClassVar, NamedTuple, TypeAlias

from compress.answers import Answers, FlipTexts, Metric, Slice, Words

if TYPE_CHECKING:
    from compress.ops.outcomes import Counts, Outcome

NONE = "O"
"""The label of a token of no entity."""
FIRST, LAST = "BSU", "ELSU"
"""Prefixes of tokens that always begin an entity, and of tokens that end one."""
PREFIXES = {*FIRST, *LAST, "I"}


class Entity(NamedTuple):
    """The tokens of one entity, from `start` up to but without `end`; `kind` is its type."""

    kind: str
    start: int
    end: int


Sides: TypeAlias = tuple[set[Entity], set[Entity]]
"""The entities of an answer and of the truth in one row."""


@dataclass(frozen=True)
class TokenLabels(Answers):
    """A label for each token of a row; see `compress.answers.Answers`."""

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
        """Refuse content that is not lists of whole numbers from 0 on."""
        for row in content:
            if not isinstance(row, list) or not all(type(item) is int and item >= 0 for item in row):
                raise ValueError("labels of tokens are lists of whole numbers from 0 on")

    def entities(self, row: int) -> list[Entity]:
        """The entities that a row's labels mark."""
        return list(spans([self.labels[index] for index in self.content[row]]))

    def by_metric(self, truth: "TokenLabels", metric: str) -> "Outcome":
        """The outcome over right entities, or right tokens, in each row."""
        import numpy as np

        from compress.ops.outcomes import Counts

        if metric == "f1_entity":
            return _counts(self._sides(truth))
        pairs = zip(self.content, truth.content, strict=True)
        hits = [sum(one == two for one, two in zip(answer, right, strict=False)) for answer, right in pairs]
        return Counts(np.array(hits, float), np.array([len(row) for row in truth.content], float))

    def _sides(self, truth: "TokenLabels") -> list[Sides]:
        """The entities of the answers and of the truth in each row."""
        return [(set(self.entities(row)), set(truth.entities(row))) for row in range(len(self))]

    def same(self, other: "TokenLabels") -> list[float]:
        """The share of each row's tokens that have the same label."""
        return [
            sum(one == two for one, two in zip_longest(first, second)) / max(len(first), len(second), 1)
            if first or second
            else 1.0
            for first, second in zip(self.content, other.content, strict=True)
        ]

    def beyond_chance(self, other: "TokenLabels") -> float | None:
        """Cohen's kappa over all tokens."""
        import numpy as np

        from compress.ops.agreement import cohens_kappa

        pairs = [
            pair
            for first, second in zip(self.content, other.content, strict=True)
            for pair in zip(first, second, strict=False)
        ]
        return cohens_kappa(*np.array(pairs).T) if pairs else None

    def counts(self) -> dict[str, int]:
        """The number of entities of each type, in alphabetical order."""
        numbers = Counter(entity.kind for row in range(len(self)) for entity in self.entities(row))
        return {kind: numbers[kind] for kind in sorted(numbers)}

    def slices(self, truth: "TokenLabels") -> list[Slice]:
        """The slice of each entity type in the truth, with its F1."""
        parts, sides = [], self._sides(truth)
        for kind, size in truth.counts().items():
            counts = _counts(sides, kind)
            parts.append(Slice(kind, size, counts, counts.value))
        return parts

    def flip_texts(self, before: "TokenLabels", truth: "TokenLabels", row: int, text: str) -> FlipTexts:
        """The entities that are not in all three answers, with their words if the words of the text are the tokens."""
        sides = [side.entities(row) for side in (truth, before, self)]
        shared = set(sides[0]) & set(sides[1]) & set(sides[2])
        words = text.split()
        if len(words) != len(truth.content[row]):
            words = []
        texts = [
            ", ".join(_entity_text(entity, words) for entity in side if entity not in shared) or "none"
            for side in sides
        ]
        return FlipTexts(*texts)

    def display(self, row: int) -> str:
        """The entities of a row, with the numbers of their tokens."""
        return ", ".join(_entity_text(entity, ()) for entity in self.entities(row)) or "none"


def spans(labels: Sequence[str]) -> Iterator[Entity]:
    """The entities that labels mark, in the order of the tokens."""
    start, kind = 0, ""
    for place, label in enumerate([*labels, NONE]):
        prefix, dash, name = label.partition("-")
        is_marked = bool(dash) and prefix in PREFIXES
        entity_type = "" if label == NONE else name if is_marked else label
        goes_on = is_marked and prefix not in FIRST and entity_type == kind
        if kind and not goes_on:
            yield Entity(kind, start, place)
            kind = ""
        if entity_type and not goes_on:
            start, kind = place, entity_type
        if kind and (not is_marked or prefix in LAST):
            yield Entity(kind, start, place + 1)
            kind = ""


def _counts(sides: Sequence[Sides], kind: str | None = None) -> "Counts":
    """The numbers of right entities in each row: of all types, or of one."""
    from compress.ops.outcomes import Counts

    if kind is not None:
        sides = [(_of_type(answer, kind), _of_type(true, kind)) for answer, true in sides]
    return Counts.of_sets(sides)


def _of_type(entities: set[Entity], kind: str) -> set[Entity]:
    return {entity for entity in entities if entity.kind == kind}


def _entity_text(entity: Entity, words: Sequence[str]) -> str:
    """An entity as `PER Ada Lovelace`, or as `PER 3 to 4` without words; tokens are counted from 1."""
    first, last = entity.start + 1, entity.end
    places = f"{first}" if first == last else f"{first} to {last}"
    return f"{entity.kind} {' '.join(words[entity.start : entity.end]) if words else places}"


ANSWERS = TokenLabels
