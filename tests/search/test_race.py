"""Who is held against the goal, and in which order."""

from pathlib import Path

import pytest

from compress.measurement import Estimate
from compress.search.candidates import Candidate
from compress.search.front import Standing
from compress.search.race import Looked, Race, finalists
from compress.store.artifacts import Artifact


def looked(name, score, milliseconds, size, drop, *, width=0.01, in_float=False):
    candidate = Candidate(name, "layers", name, ({"name": "model", "stage": "distill"},), in_float=in_float)
    standing = Standing(name, "layers", score, milliseconds, milliseconds, size)
    artifact = Artifact(Path(name), name, "onnx")
    return Looked(candidate, artifact, standing, standing, Estimate(value=drop, low=drop - width, high=drop + width))


FLOAT = looked("float", 0.90, 10.0, 90, 0.0, in_float=True)
MIDDLE = looked("middle", 0.895, 4.0, 12, 0.005)
SMALL = looked("small", 0.89, 1.0, 3, 0.01)
BAD = looked("bad", 0.80, 0.1, 1, 0.10)
BEATEN = looked("beaten", 0.88, 5.0, 13, 0.0)
ALL = [SMALL, BAD, FLOAT, BEATEN, MIDDLE]


def names(found):
    return [one.candidate.name for one in found]


def cost(standing):
    return standing.end_to_end_ms


def test_the_order_is_from_the_safest_to_the_smallest_of_the_front():
    assert names(finalists(ALL, 0.01, cost, 5)) == ["float", "middle", "small"]


@pytest.mark.parametrize(("most", "expected"), [(2, ["float", "small"]), (1, ["float"])])
def test_the_smallest_are_kept_where_there_are_too_many(most, expected):
    assert names(finalists(ALL, 0.01, cost, most)) == expected


def test_of_two_that_cost_about_the_same_the_safer_takes_part():
    nearly = looked("nearly", 0.892, 3.9, 11, 0.008)
    assert names(finalists([*ALL, nearly], 0.01, cost, 5)) == ["float", "middle", "small"]


def test_one_that_misses_by_little_takes_part_and_one_that_misses_by_much_does_not():
    assert names(finalists(ALL, 0.008, cost, 5)) == ["float", "middle", "small"]
    assert names(finalists(ALL, 0.006, cost, 5)) == ["float", "middle"]


def test_where_nothing_seems_to_keep_the_margin_the_best_is_told_of():
    assert names(finalists([BAD], 0.01, cost, 5)) == ["bad"]


class Scripted(Race):
    """A race whose candidates have known drops: of whole trainings, and a point and a half more of a quarter of one."""

    def __init__(self, drops, margin):
        super().__init__(None, None, None, margin, "latency", lambda: 1.0, lambda _: None)
        self.drops, self.tried = drops, []

    def _ahead(self, candidates):
        pass

    def _try(self, candidate):
        layers = candidate.steps[-1].get("layers", 0)
        drop = self.drops[candidate.name] + (0.015 if candidate.share < 1 else 0.0)
        cost = float(layers) or 0.1
        standing = Standing(candidate.label, candidate.family, 0.9 - drop, cost, cost, layers + 1)
        estimate = Estimate(value=drop, low=drop - 0.01, high=drop + 0.01)
        found = Looked(candidate, Artifact(Path(), candidate.label, "onnx"), standing, standing, estimate)
        self.looked[candidate.label] = found
        self.tried.append(candidate.label)
        return found


def layers_of(*depths):
    return [
        Candidate(f"layers-{depth}", "layers", "", ({"name": "model", "stage": "distill", "layers": depth},))
        for depth in depths
    ]


LINEAR = Candidate("linear", "linear", "a linear model", ({"name": "model", "stage": "fit_linear"},))
BAG = Candidate("bag", "ngrams", "a bag", ({"name": "model", "stage": "distill_ngrams"},))
DROPS = {"linear": 0.08, "bag": 0.05} | {
    "layers-1": 0.09,
    "layers-2": 0.03,
    "layers-3": 0.02,
    "layers-4": 0.008,
    "layers-5": 0.0,
}


def test_the_cheaper_half_of_the_promising_goes_on_with_the_best_among_it():
    race = Scripted(DROPS, 0.01)
    whole = race.run([LINEAR, *layers_of(1, 2, 3, 4, 5)])
    assert race.tried[:6] == ["linear", *(f"layers-{depth}, 25% trained" for depth in range(1, 6))]
    assert names(whole) == ["linear", "layers-3", "layers-4", "layers-5"]
    assert "it loses too much" in race.looked["layers-1, 25% trained"].out


def test_the_safest_is_among_those_that_go_on():
    race = Scripted({f"layers-{depth}": 0.02 - 0.001 * depth for depth in range(1, 6)}, 0.01)
    whole = race.run(layers_of(1, 2, 3, 4, 5))
    assert names(whole) == ["layers-1", "layers-2", "layers-5"]


def test_where_no_student_keeps_the_margin_deeper_ones_are_tried_one_by_one():
    race = Scripted(DROPS, 0.01)
    race.run([LINEAR])
    race._halve(layers_of(2, 3))
    race._deepen(layers_of(1, 2, 3, 4, 5))
    assert race.tried[-1] == "layers-4"


@pytest.mark.parametrize(
    ("drops", "tried"), [({"linear": 0.004}, ["linear"]), ({"linear": 0.006, "bag": 0.0}, ["linear", "bag"])]
)
def test_what_costs_more_is_left_out_where_a_simple_model_seems_as_good_and_tried_if_it_was_not(drops, tried):
    race = Scripted({**DROPS, **drops}, 0.01)
    assert names(race.run([LINEAR, BAG, *layers_of(4, 5)])) == tried
    assert race.can_go_on
    assert set(race.failed) == {"bag", "layers-4", "layers-5"} - set(tried)
    assert {"bag", "layers-4"} <= set(names(race.go_on(tried)))
    assert not race.can_go_on
    assert not race.failed


def test_where_a_linear_model_fails_a_bag_that_seems_as_good_comes_before_the_students():
    race = Scripted({**DROPS, "linear": 0.004, "bag": 0.0}, 0.01)
    race.run([LINEAR, BAG, *layers_of(4, 5)])
    assert names(race.go_on(["linear"])) == ["linear", "bag"]
    assert race.can_go_on
    assert "layers-4" in names(race.go_on(["linear", "bag"]))
    assert not race.can_go_on
