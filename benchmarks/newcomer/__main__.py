"""Try what a newcomer tries, and write what was right, how large it is and how long it takes."""

import argparse
import importlib
import json
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.newcomer.workplace import ROOT, Workplace
from compress.machine.facts import host_facts

RESULTS = Path(__file__).parent / "results"
PARTS = ("init", "plan", "loaders", "install", "page", "predict", "first_words")
"""Each is a module here: `measure(place)` gives its raw record, `figures(record)` its part of the summary."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that are asked for, keep what there is of the others, and sum up."""
    asked = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="compress-newcomer-") as scratch:
        place = Workplace(Path(scratch), asked.run)
        for part in asked.only or PARTS:
            record = importlib.import_module(f"benchmarks.newcomer.{part}").measure(place)
            _write(part, record, place)
    print(json.dumps(_sum_up(), indent=1))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.newcomer", description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="this part alone; may be repeated")
    parser.add_argument("--run", type=Path, help="folder of a finished quickstart; left out: it is run first")
    return parser


def _write(part: str, record: Any, place: Workplace) -> None:
    """Keep a part's record, with when and where it was made; paths of this machine are left out."""
    RESULTS.mkdir(exist_ok=True)
    kept = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "host": host_facts(), "record": record}
    text = json.dumps(kept, ensure_ascii=False)
    places = {"RUN": place.given_run, "SCRATCH": place.folder, "CHECKOUT": ROOT}
    for name, path in places.items():
        text = text if path is None else text.replace(str(path.resolve()), name)
    (RESULTS / f"{part}.json").write_text(f"{text}\n", encoding="utf-8")


def _sum_up() -> dict[str, Any]:
    """Write the figures of all parts that have a record."""
    summary: dict[str, Any] = {}
    for part in PARTS:
        if (path := RESULTS / f"{part}.json").is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            summary |= importlib.import_module(f"benchmarks.newcomer.{part}").figures(kept["record"])
            summary |= {f"{part}_created": kept["created"], f"{part}_processor": kept["host"]["cpu"]}
    (RESULTS / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return summary


if __name__ == "__main__":
    sys.exit(main())
