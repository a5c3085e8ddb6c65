"""A graph held against the network that it was made of: codes that flip pass, what moves all rows does not."""

import numpy as np
import pytest

from compress.comparing.as_trained import EXACT, ROUNDED, differences
from compress.errors import CompressError


def test_a_row_that_differs_passes_and_half_of_them_do_not() -> None:
    expected = [np.array([[4.0, -1.0]]) for _ in range(16)]
    one = differences(expected, [expected[0] + 1.0, *expected[1:]])
    assert one.facts() == {
        "rows": 16,
        "max_abs_difference": 1.0,
        "median_abs_difference": 0.0,
        "scale": 4.0,
    }
    one.check(EXACT)
    differences(expected, [logits + 0.15 for logits in expected]).check(ROUNDED)
    with pytest.raises(CompressError, match=r"by 0\.25 or more on half of 16 rows; allowed is 0\.2"):
        differences(expected, [logits + 0.25 for logits in expected]).check(ROUNDED)


def test_what_is_no_number_does_not_pass() -> None:
    expected = [np.array([[4.0, -1.0]]) for _ in range(4)]
    with pytest.raises(CompressError, match="by nan or more"):
        differences(expected, [logits * np.nan for logits in expected]).check(1e9)
