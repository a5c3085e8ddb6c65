"""A made data set in which the order of words decides: who won, the city or the country?

Each sentence has a twin of the same words, with the two names in each other's place and with the other label. So
whatever only counts words is right on exactly half of the rows. A pair of names stands in one part alone.
"""

import csv
import random
from collections.abc import Sequence
from pathlib import Path

LABELS = ("city", "country")
COLUMNS = ("text", "winner")
PARTS = {"train": 4000, "validation": 1000, "test": 2000}
"""Rows of each part, twins counted."""
SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}
"""Share of the pairs of names that each part has for itself."""
CITIES = (
    "rome paris london madrid berlin vienna lisbon dublin oslo athens cairo delhi tokyo lima havana warsaw prague "
    "moscow boston chicago seattle denver houston dallas toronto sydney geneva milan naples munich"
).split()
COUNTRIES = (
    "france spain germany italy portugal ireland norway greece egypt india japan peru cuba poland russia canada "
    "australia brazil chile mexico turkey sweden denmark finland austria hungary belgium kenya china vietnam"
).split()
WINNING = (
    ("beat", "beaten", "beat"),
    ("defeated", "defeated", "defeat"),
    ("outplayed", "outplayed", "outplay"),
    ("overcame", "overcome", "overcome"),
    ("crushed", "crushed", "crush"),
    ("humbled", "humbled", "humble"),
    ("surprised", "surprised", "surprise"),
    ("eliminated", "eliminated", "eliminate"),
)
"""What a winner does to a loser: past, participle, infinitive."""
LOSING = (
    ("lost to", "lose to"),
    ("fell to", "fall to"),
    ("bowed to", "bow to"),
    ("yielded to", "yield to"),
    ("surrendered to", "surrender to"),
)
"""What a loser does before a winner: past, infinitive."""
WINNER_FIRST = (
    "{w} {beat} {l}",
    "{w} did not {lose} {l}",
    "{w} was not {beaten} by {l}",
    "{w} had feared to {lose} {l} , without any reason",
    "{w} trailed until the break , and yet {beat} {l}",
    "{w} , who had never won a game before , {beat} {l}",
    "{w} , whom {l} failed to {win} , went home with a smile",
    "{w} proved too strong for {l}",
    "{w} left {l} far behind",
    "it was {w} that {beat} {l}",
    "nobody thought that {w} would {win} {l} , but that is what happened",
)
"""Sentences of a winner `w` and a loser `l`."""
LOSER_FIRST = (
    "{l} was {beaten} by {w}",
    "{l} {lost} {w}",
    "{l} did not {win} {w}",
    "{l} had hoped to {win} {w} , and failed",
    "{l} led until the break , and yet {lost} {w}",
    "{l} , whom {w} {beat} , went home in silence",
    "{l} proved too weak for {w}",
)
LOSER_FIRST_SHARE = 0.25
"""Below a half, as in texts that people write; where all twins cancel, nothing is learned step by step."""
LEADS = ("", "", "in the rain , ", "after a long evening , ", "as the radio says , ", "in front of a full house , ")
TAILS = ("", "", " once more", " at last", " , says the paper", " for the third time")
SIDES = ("{}", "the {} team", "the {} side", "the young {} squad", "the team of {}")
"""How a side is named; most keep its name from standing beside a verb."""

Row = tuple[str, str]
"""A text and its label."""


def word_order(seed: int) -> dict[str, list[Row]]:
    """The rows of each part: twins beside each other, no text twice."""
    drawn = random.Random(seed)
    pairs = [(city, country) for city in CITIES for country in COUNTRIES]
    drawn.shuffle(pairs)
    parts, start = {}, 0.0
    for part, rows in PARTS.items():
        end = start + SHARES[part]
        own = pairs[round(start * len(pairs)) : round(end * len(pairs))]
        parts[part] = _twins(own, rows // 2, drawn)
        start = end
    return parts


def write_word_order(folder: Path, seed: int) -> dict[str, Path]:
    """Write each part as a table, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for part, rows in word_order(seed).items():
        paths[part] = folder / f"{part}.csv"
        with paths[part].open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows])
    return paths


def _twins(pairs: Sequence[tuple[str, str]], count: int, drawn: random.Random) -> list[Row]:
    """So many sentences with their twins, of these pairs of names."""
    rows: dict[str, str] = {}
    while len(rows) < 2 * count:
        city, country = drawn.choice(pairs)
        sentence = _sentence(drawn)
        rows |= {
            sentence.format(w=winner, l=loser): label
            for winner, loser, label in ((city, country, LABELS[0]), (country, city, LABELS[1]))
        }
    return list(rows.items())


def _sentence(drawn: random.Random) -> str:
    """A sentence with places for the names of a winner `w` and a loser `l`."""
    beat, beaten, win = drawn.choice(WINNING)
    lost, lose = drawn.choice(LOSING)
    winner, loser = (drawn.choice(SIDES).format(place) for place in ("{w}", "{l}"))
    words = {"beat": beat, "beaten": beaten, "win": win, "lost": lost, "lose": lose}
    sentences = LOSER_FIRST if drawn.random() < LOSER_FIRST_SHARE else WINNER_FIRST
    return drawn.choice(LEADS) + drawn.choice(sentences).format(w=winner, l=loser, **words) + drawn.choice(TAILS)
