"""The front of candidates against a slow oracle, and the places that a report gives them."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from compress.search.front import Standing, dominated, front, marked
from tests.report.searches import CANDIDATES, looked_at

FIGURES = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5), st.integers(1, 5))
seeded = settings(derandomize=True, deadline=None, max_examples=200)


def standings(figures: list[tuple[int, int, int, int]]) -> list[Standing]:
    return [
        Standing(f"model {place}", "linear", score / 10, float(alone), float(whole), size)
        for place, (score, alone, whole, size) in enumerate(figures)
    ]


@seeded
@given(st.lists(FIGURES, max_size=20))
def test_the_front_holds_those_that_no_other_beats_in_everything(figures: list[tuple[int, int, int, int]]) -> None:
    points = standings(figures)
    beaten = set()
    for one, other in itertools.permutations(points, 2):
        as_good = other.score >= one.score and other.end_to_end_ms <= one.end_to_end_ms
        as_good = as_good and other.size_bytes <= one.size_bytes
        differ = (one.score, one.end_to_end_ms, one.size_bytes) != (other.score, other.end_to_end_ms, other.size_bytes)
        assert dominated(one, other) == (as_good and differ)
        if as_good and differ:
            beaten.add(one.name)
    assert [point.name for point in front(points)] == [point.name for point in points if point.name not in beaten]


@seeded
@given(st.lists(FIGURES, min_size=1, max_size=20))
def test_the_front_of_one_figure_is_its_best(figures: list[tuple[int, int, int, int]]) -> None:
    points = standings(figures)
    best = max(point.score for point in points)
    assert front(points, ("score",)) == [point for point in points if point.score == best]
    fastest = min(point.latency_ms for point in points)
    assert front(points, ("latency_ms",)) == [point for point in points if point.latency_ms == fastest]


def test_candidates_are_marked_with_who_beats_them() -> None:
    by_name = {one.name: one for one in marked(CANDIDATES, ["layers-3"])}
    assert by_name["layers-6"].beaten_by == "teacher, int8"
    assert not by_name["layers-6"].on_front
    assert by_name["layers-3"].is_finalist
    assert {name for name, one in by_name.items() if one.on_front} == {
        *("teacher in float", "teacher, int8", "layers-3", "convolution-256", "ngrams-64k", "ngrams-8k", "linear")
    }
    aside = by_name["layers-4, 25% trained"], by_name["narrow-128"]
    assert not any(one.on_front or one.beaten_by or one.is_finalist for one in aside)


def test_a_candidate_that_went_out_beats_nobody() -> None:
    best = looked_at("best", "layers", 0.99, 1.0, 1.0)
    other = looked_at("other", "layers", 0.9, 2.0, 2.0)
    assert [one.beaten_by for one in marked([best, other], [])] == ["", "best"]
    out = best.model_copy(update={"out": "others are smaller"})
    assert [one.on_front for one in marked([out, other], [])] == [False, True]
