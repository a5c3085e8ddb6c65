"""Labels of tokens: what entities they mark, how these are counted and how they are shown."""

import numpy as np
import pytest

from compress.answers.token_labels import Entity, TokenLabels, spans

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("O B-PER I-PER O B-LOC", [("PER", 1, 3), ("LOC", 4, 5)]),
        ("B-PER B-PER I-PER", [("PER", 0, 1), ("PER", 1, 3)]),
        ("I-PER I-PER O I-LOC", [("PER", 0, 2), ("LOC", 3, 4)]),  # as conlleval takes them
        ("B-PER I-LOC", [("PER", 0, 1), ("LOC", 1, 2)]),
        ("S-PER B-LOC I-LOC E-LOC E-LOC", [("PER", 0, 1), ("LOC", 1, 4), ("LOC", 4, 5)]),
        ("U-PER B-LOC L-LOC I-LOC", [("PER", 0, 1), ("LOC", 1, 3), ("LOC", 3, 4)]),
        ("NOUN NOUN VERB O", [("NOUN", 0, 1), ("NOUN", 1, 2), ("VERB", 2, 3)]),
        ("B-PER NOUN I-PER", [("PER", 0, 1), ("NOUN", 1, 2), ("PER", 2, 3)]),
        ("B-date-of-birth I-date-of-birth", [("date-of-birth", 0, 2)]),
        ("O O", []),
        ("", []),
    ],
)
def test_spans_of_labels(labels: str, expected: list[tuple[str, int, int]]) -> None:
    assert list(spans(labels.split())) == expected


def slow_spans(labels: list[str]) -> set[Entity]:
    """Of B-, I- and O alone, by looking at each start for itself."""
    found = set()
    for start, label in enumerate(labels):
        if label == "O" or (label[0] == "I" and start and labels[start - 1][1:] == label[1:]):
            continue
        end = start + 1
        while end < len(labels) and labels[end] == f"I{label[1:]}":
            end += 1
        found.add(Entity(label[2:], start, end))
    return found


def test_spans_and_their_f1_are_those_of_slow_loops() -> None:
    random = np.random.default_rng(1)
    truth = [random.integers(0, 5, random.integers(1, 12)).tolist() for _ in range(200)]
    said = [[tag if random.random() < 0.7 else int(random.integers(0, 5)) for tag in row] for row in truth]
    right, own = TokenLabels(truth, TAGS), TokenLabels(said, TAGS)
    pairs = [
        (slow_spans([TAGS[tag] for tag in one]), slow_spans([TAGS[tag] for tag in two]))
        for one, two in zip(said, truth, strict=True)
    ]
    hits = sum(len(one & two) for one, two in pairs)
    precision, recall = hits / sum(len(one) for one, _ in pairs), hits / sum(len(two) for _, two in pairs)
    found = own.outcome(right, "f1_entity")
    assert found.value == pytest.approx(2 * precision * recall / (precision + recall))
    assert own.outcome(right, "token_accuracy").value == pytest.approx(
        np.mean(
            [
                one == two
                for first, second in zip(said, truth, strict=True)
                for one, two in zip(first, second, strict=True)
            ]
        )
    )
    by_type = own.slices(right)
    assert [part.name for part in by_type] == ["LOC", "PER"]
    assert sum(part.size for part in by_type) == sum(len(two) for _, two in pairs)
    assert sum(part.outcome.hits.sum() for part in by_type) == hits  # type: ignore[attr-defined]


def test_an_answer_for_a_text_that_was_cut_misses_the_rest() -> None:
    truth, said = TokenLabels([[1, 2, 0, 3]], TAGS), TokenLabels([[1, 2]], TAGS)
    assert said.outcome(truth, "token_accuracy").value == 0.5
    assert said.outcome(truth, "f1_entity").value == pytest.approx(2 * 1 / (1 + 2))
    assert said.same(truth) == [0.5]


def test_a_flip_tells_the_entities_that_changed_with_their_words() -> None:
    text = "Ada Lovelace met Babbage in Turin"
    truth = TokenLabels([[1, 2, 0, 1, 0, 3]], TAGS)
    before, after = TokenLabels([[1, 2, 0, 1, 0, 0]], TAGS), TokenLabels([[1, 2, 0, 3, 0, 1]], TAGS)
    assert after.flip_texts(before, truth, 0, text) == (
        "PER Babbage, LOC Turin",
        "PER Babbage",
        "LOC Babbage, PER Turin",
    )
    assert after.flip_texts(before, truth, 0, "other words") == ("PER 4, LOC 6", "PER 4", "LOC 4, PER 6")
    assert before.display(0) == "PER 1 to 2, PER 4"
    assert TokenLabels([[0]], TAGS).display(0) == "none"


def test_agreement_beyond_chance_is_that_of_all_tokens() -> None:
    one = TokenLabels([[0] * 30, [1, 2] * 10], TAGS)
    assert one.beyond_chance(one) == 1
    always = TokenLabels([[0] * 30, [0] * 20], TAGS)
    assert one.beyond_chance(always) == 0
    assert always.beyond_chance(one) is None
