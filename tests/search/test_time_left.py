"""The estimate of a search's time, held against times that follow exactly from the work."""

from dataclasses import replace
from itertools import pairwise

import pytest

from compress.models.architectures import Shape
from compress.search.candidates import Candidate
from compress.search.race import FIRST_SHARE, STUDENTS
from compress.search.space import Facts, candidates
from compress.search.time_left import ELASTIC_WORK, FITTED, Amount, TimeLeft, work

FACTS = Facts("teacher", Shape("bert", 6, 384, 32, (12,) * 6, (1536,) * 6), 1000, (500, 500), False, 0.0)
LAYERS = candidates(FACTS, ["layers"])
LINEAR, DOUBLE = candidates(FACTS, ["linear"])
ROW = 0.01
"""Seconds for a row of the whole teacher."""


TEACHER = Amount(30.0, 3000.0)


def time_left(teacher: Amount = TEACHER, folds: int = 1, finalists: int = 5) -> TimeLeft:
    return TimeLeft(FACTS, STUDENTS, teacher, folds, finalists)


def cost(candidate: Candidate) -> float:
    return ROW * work(candidate, FACTS)


def test_the_work_of_a_student_is_its_rows_times_its_share_of_the_teacher():
    passes = LAYERS[0].steps[-1]["epochs"]
    assert [work(one, FACTS) for one in LAYERS] == pytest.approx(
        [passes * FACTS.seen_rows * n / 6 for n in range(1, 6)]
    )
    assert work(LAYERS[2].with_share(0.25), FACTS) == pytest.approx(work(LAYERS[2], FACTS) / 4)
    half = replace(LAYERS[1], steps=(*LAYERS[1].steps[:-1], {**LAYERS[1].steps[-1], "hidden": 192}))
    assert work(half, FACTS) == pytest.approx(work(LAYERS[1], FACTS) / 2)


def test_before_anything_is_known_there_is_no_estimate():
    assert time_left().seconds([LINEAR]) is None
    assert time_left(teacher=Amount(0.1, 0.0)).seconds(LAYERS) is None, "a teacher that was not trained tells nothing"
    assert time_left(teacher=Amount(0.1, 0.0)).seconds([], elastic=True) is None


def test_the_teachers_time_is_the_first_measure_of_a_student():
    mean = sum(map(cost, LAYERS)) / 5
    assert time_left().seconds(LAYERS) == pytest.approx(5 * mean + (30 + mean) / FITTED)


@pytest.mark.parametrize("folds", [1, 3])
def test_what_is_left_falls_by_what_each_candidate_took(folds):
    left = time_left(folds=folds)
    parts = [one.with_share(FIRST_SHARE) for one in LAYERS]
    pending = [*parts, *LAYERS[:3]]
    estimates = [left.seconds(pending)]
    for one in list(pending):
        left.took(one, cost(one))
        pending.remove(one)
        estimates.append(left.seconds(pending))
    falls = [before - after for before, after in pairwise(estimates)]
    assert falls == pytest.approx([cost(one) for one in [*parts, *LAYERS[:3]]])
    mean = sum(cost(one) for one in LAYERS[:3]) / 3
    assert estimates[-1] == pytest.approx((folds - 1) * (30 + 3 * mean) + (30 + mean) / FITTED)


def test_students_that_take_twice_as_long_make_the_rest_twice_as_long():
    left, rest = time_left(teacher=Amount(0.0, 3000.0)), LAYERS[1:3]
    left.took(LAYERS[0], 2 * cost(LAYERS[0]))
    mean = 2 * sum(map(cost, LAYERS[:3])) / 3
    assert left.seconds(rest) == pytest.approx(2 * sum(map(cost, rest)) + mean / FITTED)


def test_what_each_student_takes_beside_its_training_is_told_apart():
    left = time_left(teacher=Amount(0.0, 0.0), finalists=1)
    for one in LAYERS[:2]:
        left.took(one, 60 + cost(one))
    mean = 60 + sum(map(cost, LAYERS[:3])) / 3
    assert left.seconds(LAYERS[2:3]) == pytest.approx(60 + cost(LAYERS[2]) + mean / FITTED)


def test_simple_models_take_what_others_of_their_kind_took():
    left = time_left(teacher=Amount(0.0, 0.0))
    left.took(LINEAR, 4.0)
    assert left.seconds([DOUBLE]) == pytest.approx(4 + 4 / FITTED)


def test_an_elastic_student_is_trained_once():
    left = time_left(teacher=Amount(30.0, 3000.0), folds=2, finalists=1)
    elastic = ROW * ELASTIC_WORK * FACTS.passes * 0.5 * FACTS.seen_rows
    mean = cost(LAYERS[0])
    rest = mean + 30 + (30 + mean) / FITTED
    assert left.seconds([LAYERS[0]], elastic=True) == pytest.approx(elastic + rest)
    assert left.seconds([LAYERS[0]]) == pytest.approx(rest)
