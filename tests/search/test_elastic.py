"""Which sizes of students an elastic one proposes."""

from dataclasses import replace

from compress.models.architectures import Shape
from compress.models.elastic import Size
from compress.ops import pareto
from compress.search.elastic import CATCHES_UP, MOST_SIZES, PICKS, Scored, depths, explored, picked
from compress.search.space import Facts
from compress.training.elastic import all_sizes

SIZES = (tuple(range(12, 0, -1)), (384, 256, 128), (12, 8, 4), (1536, 1024, 512, 256))
FACTS = Facts(
    "teacher", Shape("bert", 12, 384, 32, (12,) * 12, (1536,) * 12), 6920, (3610, 3310), are_pairs=False, cut=0
)


def scored(size: Size) -> Scored:
    """Wider and deeper is better, with diminishing returns; heads cost and bring nothing."""
    drop = 0.02 / size.layers + 0.03 * (384 / size.hidden - 1) + 0.01 * (1536 / size.neurons - 1)
    return Scored(size, drop, size.layers * size.hidden * (size.heads * 100 + size.neurons) / 1e6)


def explore(sizes=SIZES, seed=0):
    return explored(sizes, scored, seed, lambda *_: None)


def test_a_small_grid_is_scored_whole():
    small = ((2, 1), (64, 32), (2, 1), (8,))
    assert {one.size for one in explore(small)} == set(all_sizes(small))


def test_a_large_one_is_explored_by_seed_and_near_its_front():
    found = explore()
    assert len(found) <= MOST_SIZES < len(all_sizes(SIZES))
    assert found == explore()
    assert [one.size for one in found] != [one.size for one in explore(seed=1)]
    assert {Size(12, 384, 12, 1536), Size(1, 128, 4, 256), Size(2, 384, 12, 1536)} <= {one.size for one in found}
    every = [scored(size) for size in all_sizes(SIZES)]
    best = {every[place].size for place in pareto.front([(one.drop, one.cost) for one in every])}
    assert len(best & {one.size for one in found}) > 0.7 * len(best)


def test_picks_are_of_the_front_near_the_margin_and_of_all_costs():
    found = explore()
    picks = picked(found, FACTS, 0.01)
    assert 1 < len(picks) <= PICKS
    by_size = {one.size: one for one in found}
    costs = []
    for pick in picks:
        step = pick.steps[-1]
        one = by_size[Size(step["layers"], step.get("hidden", 384), step["heads"], step["ffn"])]
        assert one.drop <= 0.01 + CATCHES_UP
        assert step["heads"] == 4, "more heads cost and bring nothing"
        costs.append(one.cost)
    assert costs == sorted(costs)
    assert costs[0] == min(one.cost for one in found if one.drop <= 0.01 + CATCHES_UP)


def test_where_nothing_is_near_the_best_is_tried():
    far = [replace(one, drop=one.drop + 1) for one in explore()]
    assert len(picked(far, FACTS, 0.01)) == 1
    assert depths(far, 0.01) == [11]


def test_depths_are_the_least_that_may_do_and_the_least_that_needs_little():
    drops = {12: 0.0, 6: 0.01, 5: 0.018, 4: 0.03, 3: 0.045, 2: 0.06, 1: 0.2}
    whole = [Scored(Size(layers, 384, 12, 1536), drop, layers) for layers, drop in drops.items()]
    assert depths([*whole, Scored(Size(1, 128, 4, 256), 0.3, 0.1)], 0.01) == [3, 5]
    assert depths(whole, -0.005) == [4, 6], "where even the most layers lose more, they are tried"
