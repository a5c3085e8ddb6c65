"""How many variants a row gets, and which other row is mixed into them."""

import numpy as np

from compress.tasks import UNKNOWN
from compress.training.config import Augmentation
from compress.training.variants import copies_of, partners


def test_rows_of_rare_labels_get_more_copies_until_the_label_has_enough():
    labels = [0] * 30 + [1] * 10 + [2] * 3 + [3] + [UNKNOWN] * 2
    copies = copies_of(labels, 1, per_label=20)
    assert copies == [1] * 30 + [1] * 10 + [6] * 3 + [19] + [1] * 2
    for label in range(4):
        rows = sum(1 + wanted for own, wanted in zip(labels, copies, strict=True) if own == label)
        assert rows >= 20
    assert copies_of([0], 0, per_label=100_000) == [100]
    assert copies_of(labels, 2, per_label=0) == [2] * len(labels)


def test_a_share_of_the_variants_is_mixed_with_rows_drawn_from_all():
    labels = [0] * 50
    found = partners(labels, 4000, 0.25, [0, 1], balanced=False)
    mixed = [row for row in found if row is not None]
    assert abs(len(mixed) / 4000 - 0.25) < 0.03
    assert set(mixed) == set(range(50))
    assert partners(labels, 4000, 0.25, [0, 1], balanced=False) == found
    assert partners(labels, 9, 0.0, [0, 1], balanced=False) == [None] * 9
    assert None not in partners(labels, 9, 1.0, [0, 1], balanced=True)


def test_where_labels_are_balanced_rare_ones_are_mixed_in_as_often():
    labels = np.array([0] * 90 + [1] * 9 + [2])
    drawn = labels[partners(labels.tolist(), 3000, 1.0, [0], balanced=True)]
    assert all(abs(np.mean(drawn == label) - 1 / 3) < 0.04 for label in range(3))
    drawn = labels[partners(labels.tolist(), 3000, 1.0, [0], balanced=False)]
    assert abs(np.mean(drawn == 0) - 0.9) < 0.03


def test_settings_that_came_later_leave_keys_alone_at_their_defaults():
    assert {"per_label", "mix"}.isdisjoint(Augmentation(copies=2).model_dump())
    written = Augmentation(copies=2, mix=0.5).model_dump(mode="json")
    assert written["mix"] == 0.5
    assert "per_label" not in written
    assert Augmentation.model_validate(written) == Augmentation(copies=2, mix=0.5)
