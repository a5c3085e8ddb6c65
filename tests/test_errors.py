import pytest

from compress.errors import CompressError, InputError, did_you_mean, nearest, printable


def test_an_error_prints_what_where_and_fix():
    error = CompressError("no such column", where="a.yaml:3", fix="name another")
    assert str(error) == "no such column\n  where: a.yaml:3\n  fix:   name another"


def test_an_error_without_place_and_fix_is_one_line():
    assert str(CompressError("the disk is full")) == "the disk is full"
    assert str(CompressError("the disk is full", fix="free some")) == "the disk is full\n  fix:   free some"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
        ("a\nerror: b\r", "a\\nerror: b\\r"),
        ("\x9b31m\x7f\x00", "\\x9b31m\\x7f\\x00"),
        ("\u202etxt.exe\u2066\u2028", "\\u202etxt.exe\\u2066\\u2028"),
        ("name\udcff", "name\\udcff"),
        ("Straße 東京 größer \\ [x] 👍", "Straße 東京 größer \\ [x] 👍"),
    ],
)
def test_what_would_steer_a_terminal_is_written_out(raw, shown):
    assert printable(raw) == shown
    assert printable(shown) == shown
    error = CompressError(raw, where=raw, fix=raw)
    assert str(error) == f"{shown}\n  where: {shown}\n  fix:   {shown}"
    assert error.args == (shown,)


def test_the_exit_codes_part_the_work_from_the_input():
    assert CompressError("x").exit_code == 1
    assert InputError("x").exit_code == 2
    assert issubclass(InputError, CompressError)


@pytest.mark.parametrize(
    ("name", "names", "expected"),
    [
        ("tran", ["test", "train", "type"], "train"),
        ("EPOCHS", ["epochs", "seed"], "epochs"),
        ("review", ["REVIEWS", "STARS"], "REVIEWS"),
        ("Text ", ["Text", "Label"], "Text"),
        ("zzz", ["epochs", "seed"], None),
        ("epochs", [], None),
    ],
)
def test_the_nearest_name_does_not_mind_case(name, names, expected):
    assert nearest(name, names) == expected


def test_an_unknown_name_is_answered_with_the_nearest_and_with_all_sorted():
    assert did_you_mean("epoch", ["seed", "epochs"]) == "did you mean 'epochs'? accepted: epochs, seed"


def test_a_name_that_is_near_to_none_is_answered_with_all():
    assert did_you_mean("zzz", ["seed", "epochs"]) == "accepted: epochs, seed"


def test_where_nothing_is_accepted_the_fix_says_so():
    assert did_you_mean("zzz", []) == "nothing is accepted here"


def test_names_may_come_from_an_iterator():
    assert did_you_mean("epoch", ["epochs"], "give a number") == "did you mean 'epochs'? give a number"
    assert did_you_mean("x", ["epochs"], "give a number") == "give a number"
    assert did_you_mean("sede", iter(["seed", "epochs"])) == "did you mean 'seed'? accepted: epochs, seed"
