"""How many variants a row gets, how each is cut, and with which other row it is joined."""

import numpy as np
import pytest

from compress.tasks import UNKNOWN
from compress.training.config import Augmentation
from compress.training.variants import copies_of, sources_of


def test_rows_of_rare_labels_get_more_copies_until_the_label_has_enough():
    labels = [0] * 30 + [1] * 10 + [2] * 3 + [3] + [UNKNOWN] * 2
    copies = copies_of(labels, 1, per_label=20)
    assert copies == [1] * 30 + [1] * 10 + [6] * 3 + [19] + [1] * 2
    for label in range(4):
        rows = sum(1 + wanted for own, wanted in zip(labels, copies, strict=True) if own == label)
        assert rows >= 20
    assert copies_of([0], 0, per_label=100_000) == [100]
    assert copies_of(labels, 2, per_label=0) == [2] * len(labels)


def others(sources):
    return [source.other for source in sources]


def test_each_way_of_cutting_makes_its_share_of_the_variants():
    config = Augmentation(mix=0.25, splice=0.2, parts=0.3, unchanged=0.5)
    rows = [row % 50 for row in range(4000)]
    sources = sources_of(rows, [0] * 50, config, [0, 1])
    assert [source.row for source in sources] == rows
    cuts = [source.cut for source in sources]
    for cut, share in [*config.cuts.items(), (None, 0.25)]:
        assert abs(cuts.count(cut) / 4000 - share) < 0.03
        unchanged = [source.is_unchanged for source in sources if source.cut == cut]
        assert abs(np.mean(unchanged) - (0.5 if cut else 0)) < 0.06
    assert set(others(sources)) == set(range(50))
    assert sources_of(rows, [0] * 50, config, [0, 1]) == sources
    assert sources_of(rows, [0] * 50, config, [0, 2]) != sources
    assert {source.cut for source in sources_of(rows, [0] * 50, Augmentation(mix=1), [0])} == {"mix"}
    assert {source.cut for source in sources_of(rows, [0] * 50, Augmentation(), [0])} == {None}


def test_new_ways_of_cutting_leave_the_draws_of_the_old_ones_alone():
    # the variants of an older store are made again as they were
    old, new = (
        sources_of(range(500), [0] * 500, config, [3])
        for config in (Augmentation(mix=0.4), Augmentation(mix=0.4, splice=0.2, parts=0.3, unchanged=0.5))
    )
    assert others(old) == others(new)
    assert [source.cut == "mix" for source in old] == [source.cut == "mix" for source in new]
    assert {source.cut for source in new} == {"mix", "splice", "parts", None}


def test_where_labels_are_balanced_rare_ones_are_mixed_in_as_often():
    labels = np.array([0] * 90 + [1] * 9 + [2])
    rows = [0] * 3000
    drawn = labels[others(sources_of(rows, labels.tolist(), Augmentation(mix=1, per_label=5), [0]))]
    assert all(abs(np.mean(drawn == label) - 1 / 3) < 0.04 for label in range(3))
    drawn = labels[others(sources_of(rows, labels.tolist(), Augmentation(mix=1), [0]))]
    assert abs(np.mean(drawn == 0) - 0.9) < 0.03


def test_settings_that_came_later_leave_keys_alone_at_their_defaults():
    later = {"per_label", "mix", "splice", "parts", "unchanged"}
    assert later.isdisjoint(Augmentation(copies=2).model_dump())
    written = Augmentation(copies=2, mix=0.5).model_dump(mode="json")
    assert written["mix"] == 0.5
    assert "per_label" not in written
    assert Augmentation.model_validate(written) == Augmentation(copies=2, mix=0.5)


def test_shares_of_variants_beyond_all_of_them_are_refused():
    assert Augmentation(mix=0.2, splice=0.1, parts=0.7).cuts == {"mix": 0.2, "splice": 0.1, "parts": 0.7}
    with pytest.raises(ValueError, match=r"mix 0\.5 \+ parts 0\.6, are more than 1"):
        Augmentation(mix=0.5, parts=0.6)
