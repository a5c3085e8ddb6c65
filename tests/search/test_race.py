"""Who is held against the goal, and in which order."""

from pathlib import Path

import pytest

from compress.measurement import Estimate
from compress.search.candidates import Candidate
from compress.search.front import Standing
from compress.search.race import Looked, finalists
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


def test_one_that_misses_by_little_takes_part_and_one_that_misses_by_much_does_not():
    assert names(finalists(ALL, 0.008, cost, 5)) == ["float", "middle", "small"]
    assert names(finalists(ALL, 0.006, cost, 5)) == ["float", "middle"]


def test_where_nothing_seems_to_keep_the_margin_the_best_is_told_of():
    assert names(finalists([BAD], 0.01, cost, 5)) == ["bad"]
