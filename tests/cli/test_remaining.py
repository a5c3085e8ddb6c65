"""How long a run is said to take still."""

import pytest

from compress.cli.remaining import Remaining, about


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_a_forecast_nothing_is_said() -> None:
    left = Remaining({})
    left.started("teacher")
    left.progressed("training", 1, 2)
    assert left.seconds() is None


def test_what_is_left_is_the_forecast_less_what_was_done() -> None:
    clock = Clock()
    left = Remaining({"teacher": 100.0, "student": 50.0, "bench": 30.0}, clock)
    assert left.seconds() == 180
    left.started("teacher")
    clock.now = 40
    assert left.seconds() == 140
    left.progressed("training", 0, 10)
    clock.now = 60  # a tenth in 20 seconds: the piece alone takes 180 more
    left.progressed("training", 1, 10)
    assert left.seconds() == pytest.approx(180 + 80)
    clock.now = 100
    left.done("teacher")
    assert left.seconds() == 80


def test_a_run_that_goes_slower_than_forecast_is_said_to_take_longer() -> None:
    clock = Clock()
    left = Remaining({"teacher": 10.0, "student": 50.0}, clock)
    left.started("teacher")
    clock.now = 20
    left.done("teacher")
    assert left.seconds() == 100
    left.started("student")
    clock.now = 21
    left.done("student")  # within the least seconds: no better than a guess
    assert left.seconds() is None


def test_steps_that_were_done_before_leave_nothing() -> None:
    left = Remaining({"teacher": 10.0, "student": 50.0})
    left.done("teacher")
    assert left.seconds() == 50


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "about 5 s"), (13, "about 15 s"), (56, "about 1 min"), (250, "about 4 min"), (9000, "about 2.5 h")],
)
def test_it_is_said_as_it_deserves(seconds: float, said: str) -> None:
    assert about(seconds) == said
