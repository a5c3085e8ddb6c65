"""The Pareto front against a slow oracle."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from compress.ops.pareto import dominates, front

POINTS = st.integers(1, 4).flatmap(lambda axes: st.lists(st.tuples(*[st.integers(0, 6)] * axes), max_size=25))


@settings(derandomize=True, deadline=None, max_examples=300)
@given(POINTS)
def test_the_front_is_what_no_other_point_beats(points: list[tuple[int, ...]]) -> None:
    beaten = set()
    for one, other in itertools.permutations(range(len(points)), 2):
        pairs = list(zip(points[one], points[other], strict=True))
        if not any(mine > its for mine, its in pairs) and any(mine < its for mine, its in pairs):
            beaten.add(other)
    assert front(points) == [place for place in range(len(points)) if place not in beaten]


@settings(derandomize=True, deadline=None)
@given(POINTS)
def test_each_point_off_the_front_is_beaten_by_one_on_it(points: list[tuple[int, ...]]) -> None:
    on_front = front(points)
    assert bool(on_front) == bool(points)
    for place in set(range(len(points))) - set(on_front):
        assert any(dominates(points[one], points[place]) for one in on_front)


def test_equal_points_do_not_beat_each_other() -> None:
    assert not dominates((1, 2), (1, 2))
    assert front([(1, 2), (1, 2), (2, 2)]) == [0, 1]
