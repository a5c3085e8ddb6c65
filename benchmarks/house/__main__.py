"""Count what the house is made of, try what is added to it from outside, and time its tests."""

import argparse
import importlib
import json
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.newcomer.workplace import ROOT
from compress.machine.facts import host_facts

RESULTS = Path(__file__).parent / "results"
PARTS = ("layout", "extending", "old_store", "suite")
"""Each is a module here: `measure(folder)` gives its raw record, `figures(record)` its part of the summary."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that are asked for, keep what there is of the others, and sum up."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.house", description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="this part alone; may be repeated")
    asked = parser.parse_args(arguments)
    for part in asked.only or PARTS:
        with tempfile.TemporaryDirectory(prefix="compress-house-") as scratch:
            record = importlib.import_module(f"benchmarks.house.{part}").measure(Path(scratch))
            _write(part, record, Path(scratch))
    print(json.dumps(_sum_up(), indent=1))
    return 0


def _write(part: str, record: Any, scratch: Path) -> None:
    """Keep a part's record, with when and where it was made; paths of this machine are left out."""
    RESULTS.mkdir(exist_ok=True)
    kept = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "host": host_facts(), "record": record}
    text = json.dumps(kept, ensure_ascii=False)
    for name, path in {"SCRATCH": scratch, "CHECKOUT": ROOT, "PYTHON": Path(sys.prefix)}.items():
        text = text.replace(str(path.resolve()), name)
    (RESULTS / f"{part}.json").write_text(f"{text}\n", encoding="utf-8")


def _sum_up() -> dict[str, Any]:
    """Write the figures of all parts that have a record."""
    summary: dict[str, Any] = {}
    for part in PARTS:
        if (path := RESULTS / f"{part}.json").is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            summary |= importlib.import_module(f"benchmarks.house.{part}").figures(kept["record"])
            summary |= {f"{part}_created": kept["created"], f"{part}_processor": kept["host"]["cpu"]}
    (RESULTS / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return summary


if __name__ == "__main__":
    sys.exit(main())
