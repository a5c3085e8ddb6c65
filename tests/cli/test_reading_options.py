"""Options that say how files are read, on every command that takes rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from compress.cli import app, options

ROOT: Any = typer.main.get_command(app)
TAKE_ROWS = ("init", "finetune", "distill", "prune", "quantize", "bench", "doctor", "predict", "chain")


@pytest.mark.parametrize("name", TAKE_ROWS)
def test_a_command_that_takes_rows_takes_how_they_are_read(name: str) -> None:
    flags = {flag for parameter in ROOT.commands[name].params for flag in parameter.opts}
    assert {"--encoding", "--delimiter", "--sheet"} <= flags


@pytest.mark.parametrize("sign", ["|", "~", ":", ",", ";", "\t", "\\t", "#", "%", "&", "*", "-"])
def test_a_delimiter_is_taken_as_it_is_and_not_as_yaml(sign: str) -> None:
    unset = dict.fromkeys((*options.DATA_FIELDS, *(f"{role}_column" for role in options.COLUMN_ROLES)))
    given = {**unset, "train": "a.csv", "delimiter": sign, "encoding": "cp1252", "sheet": "2024"}
    task = options.take_data(given)
    assert task == {"train": "a.csv", "delimiter": sign, "encoding": "cp1252", "sheet": "2024"}


def test_what_the_error_says_to_give_works(refused: Callable[..., Any]) -> None:
    Path("rows.csv").write_bytes("text~label\nschön~1\nübel~0\nöde~0\nüber~1\n".encode("cp1252"))
    task = "task: {type: text_classification, train: rows.csv}\nsteps: [{name: a, stage: finetune, model: none}]\n"
    Path("recipe.yaml").write_text("name: x\n" + task)
    error = refused("plan", "recipe.yaml")
    assert error.what == "'rows.csv' is not UTF-8 text; latin-1 reads that line as 'schön~1'"
    assert error.where == "rows.csv:2"
    assert error.fix.startswith("if that is right, give --encoding latin-1 (in a recipe task.encoding: latin-1); else")
    after = refused("plan", "recipe.yaml", "--set", "task.encoding=latin-1", "--set", "task.delimiter=tilde")
    assert after.what == "the model 'none' does not exist"
    wrong = refused("plan", "recipe.yaml", "--set", "task.encoding=latin-1", "--set", "task.delimiter=~")
    assert "'task.delimiter' is empty: write tilde, pipe or a sign in quotes" in wrong.what
