"""Run the hard data sets, each with what stands beside its student, and write what they reach to `results/`."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.hard import chains, figures, tables
from benchmarks.hard.ablation import RESULT as ABLATION
from benchmarks.hard.ablation import ablate
from benchmarks.hard.linear import linear_accuracies
from benchmarks.hard.running import (
    HERE,
    RESULTS,
    ROOT,
    read_report,
    run_and_bench,
    run_recipe,
)
from benchmarks.results import without_texts, write_between

SEEDS = (0, 1, 2)
ORDER_WORDS = (1, 2, 4)
"""Most words in a row that linear models on the made data set count."""
TITLES = {
    **{f"sst2-{seed}": f"SST-2, 64 tokens, seed {seed}" for seed in SEEDS},
    "r8": "Reuters R8, 128 tokens",
    "news20": "20 Newsgroups, 256 tokens",
    "word_order-0": "Word order, 48 tokens",
}
"""The results' files with a report each."""


def main() -> None:
    """Run the parts that were asked for; each is written down once it is done."""
    asked = _asked()
    for part in PARTS if asked.only is None else asked.only:
        print(f"== {part}", flush=True)
        PARTS[part](asked)
        write_summary()
    write_summary()
    write_tables()
    print(json.dumps(RESULTS.read("summary"), indent=1))


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hard", description=__doc__)
    parser.add_argument("--only", choices=[*PARTS], action="append", help="this part; may be repeated")
    parser.add_argument("--seed", type=int, action="append", help="this seed of SST-2, the made data and the ablation")
    parser.add_argument("--data", type=Path, help="the folder of SST-2: train.csv, dev.csv, test.csv")
    parser.add_argument("--runs-dir", type=Path, default=ROOT / "runs", help="where runs are kept, and gone on with")
    parser.add_argument("--rows", action="append", help="ablation: settings as narrow* or whole/*; may be repeated")
    parser.add_argument("--on", choices=["sst2", "word_order"], action="append", help="ablation: on this data alone")
    parser.add_argument("--tables", action="store_true", help="run nothing: write the summary and the tables anew")
    asked = parser.parse_args()
    if asked.tables:
        asked.only = []
    elif asked.data is None and (asked.only is None or "sst2" in asked.only or _ablates_sst2(asked)):
        parser.error("SST-2 is not part of the project: name the folder of its train.csv, dev.csv, test.csv by --data")
    asked.runs_dir = asked.runs_dir.resolve()
    return asked


def _ablates_sst2(asked: argparse.Namespace) -> bool:
    return "ablation" in asked.only and "sst2" in (asked.on or ["sst2"])


def _sst2(asked: argparse.Namespace) -> None:
    for seed in asked.seed or SEEDS:
        recipe = chains.sst2(asked.data, seed)
        if seed == SEEDS[0]:
            report = without_texts(read_report(run_recipe(recipe, asked.runs_dir)))
        else:
            report = run_and_bench(recipe, asked.runs_dir, chains.MEASURED)
        RESULTS.write(f"sst2-{seed}", report)


def _ngrams_of(name: str) -> Callable[[argparse.Namespace], None]:
    def part(asked: argparse.Namespace) -> None:
        RESULTS.write(name, read_report(run_recipe(chains.ngrams_beside_teacher(name), asked.runs_dir)))

    return part


def _r52(asked: argparse.Namespace) -> None:
    """The linear model alone, without a teacher."""
    del asked
    recipe = chains.shipped("r52-strongest")
    _write_linear("r52", recipe["task"], recipe["seed"], (2,))


def _order(asked: argparse.Namespace) -> None:
    for seed in asked.seed or SEEDS[:1]:
        recipe = chains.word_order(asked.runs_dir, seed)
        _write_linear(f"word_order-{seed}", recipe["task"], seed, ORDER_WORDS)
        RESULTS.write(f"word_order-{seed}", read_report(run_recipe(recipe, asked.runs_dir)))


def _ablation(asked: argparse.Namespace) -> None:
    for seed in asked.seed or SEEDS[:1]:
        for data in asked.on or ("sst2", "word_order"):
            is_sst2 = data == "sst2"
            recipe = chains.sst2_own(asked.data) if is_sst2 else chains.word_order(asked.runs_dir, seed)
            ablate(recipe, data, seed, asked.runs_dir, asked.rows or ["*"])


def _write_linear(name: str, task: Mapping[str, Any], seed: int, words: tuple[int, ...]) -> None:
    RESULTS.write("linear", {**RESULTS.read("linear"), name: linear_accuracies(task, seed, words)})


def write_summary() -> None:
    """The flat figures of all results that there are."""
    linear, summary = RESULTS.read("linear"), RESULTS.read("summary")
    if reports := [report for seed in SEEDS if (report := RESULTS.read(f"sst2-{seed}"))]:
        summary |= figures.of_sst2(reports)
    for name in ("r8", "news20"):
        if report := RESULTS.read(name):
            summary |= figures.of_ngrams(name, report)
    if "r52" in linear:
        summary["r52_linear_accuracy"] = round(linear["r52"]["words_2"]["accuracy"], 5)
    if (report := RESULTS.read("word_order-0")) and "word_order-0" in linear:
        summary |= figures.of_word_order(report, linear["word_order-0"])
    RESULTS.write("summary", summary, indent=1)


def write_tables() -> None:
    """The README's tables of all results that there are."""
    reports = {title: report for name, title in TITLES.items() if (report := RESULTS.read(name))}
    for readme, mark in ((HERE / "README.md", "claims"), (ROOT / "README.md", "hard")):
        write_between(readme, mark, tables.claims(RESULTS.read("summary")))
    write_between(HERE / "README.md", "fronts", tables.fronts(reports))
    write_between(HERE / "README.md", "ablation", tables.ablations(RESULTS.read(ABLATION)))


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "sst2": _sst2,
    "r8": _ngrams_of("r8"),
    "news20": _ngrams_of("news20"),
    "r52": _r52,
    "order": _order,
    "ablation": _ablation,
}

if __name__ == "__main__":
    main()
