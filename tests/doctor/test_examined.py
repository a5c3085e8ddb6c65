"""How calls are timed."""

from compress.doctor.examined import interleaved


def test_of_two_turns_the_better_counts():
    times = iter([3.0, 8.0, 5.0, 2.0])
    assert interleaved([lambda: next(times), lambda: next(times)]) == [3.0, 2.0]
