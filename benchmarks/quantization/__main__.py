"""Quantize float models by our stages and by onnxruntime's defaults, measure them, and write `results/`."""

import argparse
import json
import sys
from pathlib import Path

from avx2_only import avx2_only
from benchmarks.quantization import tables
from benchmarks.quantization.making import HERE, ROOT
from benchmarks.quantization.parts import FULL, PARTS, TRIAL, Work
from compress.errors import CompressError


def main() -> None:
    """Run the parts that were asked for; each is written down once it is done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quantization", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="this part; may be repeated")
    parser.add_argument("--missing", action="store_true", help="only parts that have no results yet")
    parser.add_argument("--runs-dir", type=Path, default=ROOT / "runs", help="where runs are kept, and gone on with")
    parser.add_argument("--fast", action="store_true", help="a trial on few rows and rounds, kept in the runs' folder")
    asked = parser.parse_args()
    runs_dir = asked.runs_dir.resolve()
    results = runs_dir / "quantization-trial" if asked.fast else HERE / "results"
    results.mkdir(parents=True, exist_ok=True)
    try:
        with avx2_only() as processes:
            work = Work(runs_dir, results, TRIAL if asked.fast else FULL, processes)
            for part in asked.only or PARTS:
                if not (asked.missing and (results / f"{part}.json").is_file()):
                    print(f"== {part}", flush=True)
                    work.do(part)
    except CompressError as error:
        sys.exit(f"error: {error}")
    finally:
        write(results, is_trial=asked.fast)


def write(results: Path, *, is_trial: bool) -> None:
    """The summary, and the README's tables, of all parts that have results."""
    parts = {name: json.loads(path.read_text()) for name in PARTS if (path := results / f"{name}.json").is_file()}
    summary = json.dumps(tables.summary(parts), indent=1)
    (results / "summary.json").write_text(summary + "\n", encoding="utf-8")
    if is_trial:
        print(f"{tables.text(parts)}{summary}\nA trial on few rows and rounds: it stands in {results} alone")
    else:
        tables.write_text(HERE / "README.md", tables.text(parts))
        print(summary)


if __name__ == "__main__":
    main()
