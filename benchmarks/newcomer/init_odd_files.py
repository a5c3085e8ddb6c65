"""Files whose labels, rows or header are the difficulty."""

import random
from collections.abc import Sequence
from typing import Any

from benchmarks.newcomer.init_cases import Asked, File, Found, Refused
from benchmarks.newcomer.init_files import DESK, PRESS, STARS, column_files, drawn, numbered
from benchmarks.newcomer.init_label_files import label_files
from benchmarks.newcomer.init_tables import json_lines, separated
from benchmarks.newcomer.init_texts import TICKETS, rows_of_kinds


def files() -> list[File]:
    """All cases."""
    return [*column_files(), *label_files(), *_of_labels(), *_of_rows()]


def _of_labels() -> list[File]:
    skewed, kinds = zip(*rows_of_kinds(TICKETS, 300, 50, (90, 6, 3, 1)), strict=True)
    slips = ["biling" if number in {5, 61} else kind for number, kind in enumerate(DESK[1])]
    cases = [kind.title() if number % 3 else kind for number, kind in enumerate(DESK[1])]
    blanks = [f" {kind}" if number % 4 == 0 else kind for number, kind in enumerate(DESK[1])]
    rare = ["lost property" if number == 9 else kind for number, kind in enumerate(DESK[1])]
    known = ["N/A" if number % 9 == 0 else kind for number, kind in enumerate(DESK[1])]
    gold = [-1 if number % 10 == 4 else stars for number, stars in enumerate(STARS[2])]
    text = DESK[0]
    return [
        File(
            "skewed classes",
            "skewed.csv",
            separated({"text": skewed, "label": kinds}),
            Found("text", "label", 4, (32, 64), told=("f1_macro",)),
        ),
        File(
            "a label with a slip of the pen",
            "slips.csv",
            separated({"text": text, "label": slips}),
            Found("text", "label", 5, (32, 64), told=("biling",)),
        ),
        File(
            "labels that differ by case",
            "cases.csv",
            separated({"text": text, "label": cases}),
            Found("text", "label", 8, (32, 64), told=("case",)),
        ),
        File(
            "labels that differ by white space",
            "blanks.csv",
            separated({"text": text, "label": blanks}),
            Found("text", "label", 4, (32, 64), told=("white space",)),
        ),
        File(
            "a class of one row",
            "rare.csv",
            separated({"text": text, "label": rare}),
            Found("text", "label", 5, (32, 64), told=("lost property", "test row")),
        ),
        File(
            "labels that are not known",
            "known.csv",
            separated({"text": text, "label": known}),
            Found("text", "label", 4, (32, 64), told=("N/A", "32"), dropped=True),
        ),
        File(
            "-1 beside the numbers of classes",
            "gold.csv",
            separated({"text": STARS[1], "label": gold}),
            Found("text", "label", 5, (128, 256), told=("-1", "30"), dropped=True),
        ),
        File(
            "a column of labels that is mostly empty",
            "empty.csv",
            separated({"text": text, "label": ["" if n % 3 else kind for n, kind in enumerate(DESK[1])]}),
            Found("text", "label", 4, (32, 64), told=("186",), dropped=True),
        ),
        File(
            "scores of -1, 0 and 1",
            "tone.csv",
            separated({"tweet": STARS[1], "sentiment": [(stars > 3) - (stars < 3) for stars in STARS[2]]}),
            Found("tweet", "sentiment", 3, (128, 256)),
        ),
    ]


def _of_rows() -> list[File]:
    made = random.Random(60)
    user = [{"name": f"user {number}", "age": made.randint(18, 80)} for number in range(len(PRESS[0]))]
    nested: dict[str, Sequence[Any]] = {"id": numbered("{}", 240), "user": user, "text": PRESS[0], "class": PRESS[1]}
    return [
        File(
            "JSON lines with an object in each",
            "posts.jsonl",
            json_lines(nested),
            Found("text", "class", 4, (16, 64), told=("user", "object")),
        ),
        File(
            "no header",
            "raw.csv",
            separated({"a": PRESS[0], "b": PRESS[1]}, header=False),
            Refused(("first line",)),
        ),
        File(
            "no header, label first, numbers",
            "raw.tsv",
            separated({"a": STARS[2], "b": STARS[1]}, "\t", header=False),
            Refused(("first line",)),
        ),
        File(
            "UTF-16 without its mark",
            "wide.csv",
            separated({"text": PRESS[0], "label": PRESS[1]}, encoding="utf-16-le"),
            Asked(("utf-16",), ("1",), Found("text", "label", 4, (16, 64))),
        ),
        File(
            "a delimiter by option",
            "tilde.csv",
            separated({"text": PRESS[0], "label": PRESS[1]}, "~"),
            Found("text", "label", 4, (16, 64)),
            ("--delimiter", "~"),
        ),
        File(
            "a column that is not there",
            "typo.csv",
            separated({"text": PRESS[0], "label": PRESS[1], "desk": drawn("ab", 240, 61)}),
            Refused(("no column 'lable'", "did you mean 'label'")),
            ("--label-column", "lable"),
        ),
        File("no rows", "none.csv", b"text,label\n", Refused(("no rows",))),
    ]
