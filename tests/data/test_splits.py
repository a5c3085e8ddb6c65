import pytest

from compress.data.splits import overlap, sample, split

ROWS = [f"row {number}" for number in range(100)]


def test_a_split_parts_the_rows_and_keeps_their_order():
    kept, held = split(ROWS, 0.2, seed=0)
    assert (len(kept), len(held)) == (80, 20)
    assert set(kept).isdisjoint(held)
    assert set(kept) | set(held) == set(ROWS)
    assert kept == [row for row in ROWS if row in kept]
    assert held == [row for row in ROWS if row in held]


def test_a_split_is_the_same_for_the_same_seed_and_another_for_another():
    assert split(ROWS, 0.2, seed=3) == split(ROWS, 0.2, seed=3)
    assert split(ROWS, 0.2, seed=3) != split(ROWS, 0.2, seed=4)


def test_a_split_depends_on_the_number_of_rows_alone():
    _, held = split(ROWS, 0.2, seed=0)
    _, held_indices = split(range(100), 0.2, seed=0)
    assert held == [ROWS[index] for index in held_indices]


def test_every_row_is_held_out_by_some_seed_about_as_often():
    counts = [0] * 10
    for seed in range(400):
        for row in split(range(10), 0.3, seed)[1]:
            counts[row] += 1
    assert sum(counts) == 1200
    assert min(counts) > 80
    assert max(counts) < 160


@pytest.mark.parametrize(
    ("rows", "fraction", "held"),
    [(2, 0.01, 1), (2, 0.99, 1), (10, 0.01, 1), (10, 0.99, 9), (10, 0.25, 2), (1, 0.5, 0), (0, 0.5, 0)],
)
def test_at_least_one_row_stays_on_each_side(rows, fraction, held):
    kept_rows, held_rows = split(ROWS[:rows], fraction, seed=0)
    assert (len(kept_rows), len(held_rows)) == (rows - held, held)


def test_rows_that_are_equal_are_all_kept():
    kept, held = split(["same"] * 10, 0.3, seed=0)
    assert (len(kept), len(held)) == (7, 3)


def test_a_sample_has_the_count_and_the_old_order():
    chosen = sample(ROWS, 10, seed=0)
    assert len(set(chosen)) == 10
    assert chosen == [row for row in ROWS if row in chosen]
    assert chosen == sample(ROWS, 10, seed=0)
    assert chosen != sample(ROWS, 10, seed=1)


def test_a_sample_of_more_rows_than_there_are_is_all_of_them():
    assert sample(ROWS, 1000, seed=0) == ROWS


def test_overlap_counts_each_test_row_that_stands_in_train():
    assert overlap(["a", "b", "a", "c"], ["a", "c", "c", "d"]) == [0, 2, 3]
    assert overlap(["a"], []) == []
    assert overlap([], ["a"]) == []
    assert overlap([("a", None)], [("a", "b"), ("b", None)]) == []


def test_a_split_by_kinds_is_the_same_draw_where_no_kind_would_go():
    rows = list(range(40))
    for seed in range(20):
        assert split(rows, 0.25, seed, [row % 2 for row in rows]) == split(rows, 0.25, seed)


def test_the_last_row_of_a_kind_is_kept_and_another_is_held_out_for_it():
    kinds = ["a", "b", *"c" * 8]
    for seed in range(20):
        kept, held = split(range(10), 0.4, seed, kinds)
        assert {0, 1} <= set(kept)
        assert (len(kept), len(held)) == (6, 4)
    assert [len(part) for part in split("ab", 0.5, 0, "ab")] == [1, 1]


@pytest.mark.parametrize("kinds", [None, [row % 3 for row in range(90)], [0] * 88 + [1, 2]])
def test_folds_have_no_row_in_common_and_cover_all_but_one_row_of_each_class(kinds):
    folds = [split(range(90), 1 / 3, seed=5, kinds=kinds, fold=fold) for fold in range(3)]
    held = [row for _, held_rows in folds for row in held_rows]
    assert len(held) == len(set(held)) == 90 - (0 if kinds is None else len(set(kinds)))
    assert all(sorted((*kept_rows, *held_rows)) == list(range(90)) for kept_rows, held_rows in folds)
    assert folds[0] == split(range(90), 1 / 3, seed=5, kinds=kinds)
