"""Is what `compress shrink` claims true on test rows? Twenty small searches, and what came of their claims."""

import argparse
import csv
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.search.__main__ import BOUND_PP, RESULTS, ROOT, shrink, sources
from compress.data.sources import Sources

SETS = {
    "r8": ("Text", "Category"),
    "news20": ("Text", "Category"),
    "sst2": ("sentence", "label"),
    "order": ("text", "winner"),
}
"""The columns of texts and labels."""
SEEDS = range(5)
TRAIN_ROWS, TEST_ROWS, WORDS = 600, 2000, 40
"""Rows of a sub-sample, and the first words of each text, so that twenty searches can be afforded."""
SAFEST = "teacher-float"
"""The candidate that is the teacher untouched: its claim is true by itself."""


def main() -> None:
    """Run the searches that were asked for and are not written down yet."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.claims", description=__doc__)
    parser.add_argument("--only", choices=[*SETS], action="append", help="this data set; may be repeated")
    parser.add_argument("--seed", type=int, action="append", help="this seed")
    parser.add_argument("--data", type=Path, help="the folder of SST-2: train.csv, test.csv")
    parser.add_argument("--runs-dir", type=Path, default=ROOT / "runs", help="where runs are kept, and gone on with")
    asked = parser.parse_args()
    names = asked.only or [*SETS]
    if asked.data is None and "sst2" in names:
        parser.error("SST-2 is not part of the project: name the folder of its train.csv and test.csv by --data")
    for seed in asked.seed or SEEDS:
        for name in names:
            found, key = RESULTS.read("claims"), f"{name}-{seed}"
            if key in found:
                continue
            print(f"== {key}", flush=True)
            parts = sub_sample(name, seed, asked.data, asked.runs_dir)
            claim = claim_of(shrink(parts, f"claim-{key}", seed, asked.runs_dir))
            RESULTS.write("claims", RESULTS.read("claims") | {key: claim}, indent=1)
            RESULTS.write("summary", RESULTS.read("summary") | figures(RESULTS.read("claims")), indent=1)


def claim_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """What a search claims, and what came of it on test rows."""
    search = report["search"]
    selection = search["selection"]
    name = selection["winner"] or selection["nearest"]
    finalist = next(one for one in selection["finalists"] if one["name"] == name)
    return {
        "winner": name,
        "proved": selection["winner"] is not None,
        "selecting_rows": selection["rows"],
        "selecting_drop_pp": finalist["drop_pp"]["value"],
        "bound_pp": finalist["bound_pp"],
        "test_drop_pp": search["test_drop_pp"],
        "candidates": len(search["candidates"]) + search["sub_models"],
        "minutes": search["minutes"],
        "host": report["host"],
    }


def figures(claims: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """The summary's figures: a claim is true where the drop on test rows is at most the bound."""
    drops = [one["test_drop_pp"] for one in claims.values() if one["proved"]]
    smaller = [one for one in claims.values() if one["proved"] and one["winner"] != SAFEST]
    return {
        "claims": len(claims),
        "claims_true": len(claims) - sum(drop["value"] > float(BOUND_PP) for drop in drops),
        "claims_refuted": sum(drop["low"] > float(BOUND_PP) for drop in drops),
        "claims_of_smaller_models": len(smaller),
    }


def sub_sample(name: str, seed: int, data: Path | None, runs_dir: Path) -> tuple[str, str]:
    """Tables with some training and test rows of a data set, texts cut to their first words."""
    folder = runs_dir / f"claim-{name}-{seed}-rows"
    train, test = sources(name, seed, data, runs_dir)
    rows = _some(train, SETS[name], TRAIN_ROWS, seed)
    labels = {label for _, label in rows}
    held = [row for row in _some(test, SETS[name], TEST_ROWS, seed) if row[1] in labels]
    return _write(folder / "train.csv", rows), _write(folder / "test.csv", held)


def _some(source: str, columns: tuple[str, str], count: int, seed: int) -> list[tuple[str, str]]:
    """Rows drawn by the seed, with the first words of their texts."""
    table = Sources().table(source)
    texts, labels = (table.column(column, None) for column in columns)
    rows = [(" ".join(str(text).split()[:WORDS]), str(label)) for text, label in zip(texts, labels, strict=True)]
    return random.Random(seed).sample(rows, min(count, len(rows)))


def _write(path: Path, rows: Sequence[tuple[str, str]]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return str(path)


if __name__ == "__main__":
    main()
