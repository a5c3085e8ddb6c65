"""Files with several columns that may be the label, or with one that cannot."""

import random

from benchmarks.newcomer.init_cases import Asked, File, Found, Refused
from benchmarks.newcomer.init_files import DESK, PRESS, STARS, drawn, numbered
from benchmarks.newcomer.init_tables import separated
from benchmarks.newcomer.init_texts import TICKETS, rows_of_kinds


def label_files() -> list[File]:
    """Files in which it must be found which column is the label, or that none can be."""
    count = len(DESK[0])
    tickets = {"ticket_id": numbered("T{}", count), "subject": drawn(("Help", "Question", "Problem"), count, 30)}
    priority = drawn(("low", "normal", "high"), count, 31)
    coarse = ["money" if kind == "billing" else "other" for kind in DESK[1]]
    one_each = [f"code {number}" for number in [number % 866 for number in range(2000)]]
    many = list(zip(*rows_of_kinds(TICKETS, 2000, 33), strict=True))
    numbers = [f"{value / 1000:.3f}" for value in drawn(range(1000), 300, 34)]
    tags = [";".join(random.Random(n).sample(("sport", "politics", "money"), 1 + n % 2)) for n in range(240)]
    ids = {name: str(number) for number, name in enumerate(TICKETS)}
    return [
        File(
            "a priority and a category",
            "tickets.csv",
            separated({**tickets, "body": DESK[0], "priority": priority, "category": DESK[1]}),
            Asked(
                ("--label-column priority", "--label-column category"),
                ("category",),
                Found("body", "category", 4, (32, 64)),
            ),
        ),
        File(
            "the same with the label named",
            "tickets.csv",
            separated({**tickets, "body": DESK[0], "priority": priority, "category": DESK[1]}),
            Found("body", "category", 4, (32, 64), told=("priority",)),
            ("--label-column", "category"),
        ),
        File(
            "coarse and fine labels",
            "topics.csv",
            separated({"text": DESK[0], "label_coarse": coarse, "label_fine": DESK[1]}),
            Asked(("label_coarse", "label_fine"), ("2",), Found("text", "label_fine", 4, (32, 64))),
        ),
        File(
            "a label as a number and as a name",
            "coded.csv",
            separated({"text": DESK[0], "label": [ids[kind] for kind in DESK[1]], "label_text": DESK[1]}),
            Found("text", "label_text", 4, (32, 64), told=("label ",)),
        ),
        File(
            "a label among columns of few values",
            "split.csv",
            separated(
                {
                    "message": DESK[0],
                    "channel": drawn(("mail", "chat"), count, 35),
                    "split": drawn(("train", "dev"), count, 36),
                    "label": DESK[1],
                }
            ),
            Found("message", "label", 4, (32, 64), told=("channel",)),
        ),
        File(
            "866 classes that are ids",
            "items.csv",
            separated({"description": many[0], "label": one_each}),
            Refused(("866", "id")),
        ),
        File(
            "a number to be predicted",
            "scores.csv",
            separated({"text": STARS[1], "score": numbers}),
            Refused(("number",)),
        ),
        File(
            "several labels in a cell",
            "tags.csv",
            separated({"text": PRESS[0], "tags": tags}),
            Refused(("several labels",)),
        ),
        File(
            "one class",
            "all.csv",
            separated({"text": PRESS[0], "label": ["news"] * 240}),
            Refused(("'news'",)),
        ),
    ]
