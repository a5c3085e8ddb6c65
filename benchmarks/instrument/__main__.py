"""Measure things whose speed and size are known, and write how far off the instrument reads."""

import argparse
import json
import math
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.instrument.known import harness_on_a_terminal, known_allocation, known_sleeps
from benchmarks.instrument.models import Models, made
from benchmarks.instrument.simulated import simulate_all
from benchmarks.instrument.twins import against_itself, beside_a_busy_process, cost_of_processes, counted
from compress.machine.facts import host_facts
from compress.recipe.schema import BenchSpec, Target

RESULTS = Path(__file__).parent / "results"
SIMULATED_TRIALS = 10_000
TRIALS, BUSY_TRIALS = 40, 12
SIMULATION = "simulation"
PARTS: Mapping[str, Callable[[Models], dict[str, Any]]] = {
    "aa": lambda models: against_itself(models, TRIALS),
    "busy": lambda models: beside_a_busy_process(models, BUSY_TRIALS),
    "cost": cost_of_processes,
    "sleeps": known_sleeps,
    "allocation": known_allocation,
    "terminal": harness_on_a_terminal,
}
"""What is measured of models, by its name."""


def main() -> None:
    """Run the parts that are asked for, keep what there is of the others, and sum up."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instrument", description=__doc__)
    parser.add_argument("--only", action="append", choices=[SIMULATION, *PARTS], help="one part; may be repeated")
    names = parser.parse_args().only or [SIMULATION, *PARTS]
    found = _kept()
    if SIMULATION in names:
        found[SIMULATION] = _dated({"trials": SIMULATED_TRIALS, "noise": simulate_all(SIMULATED_TRIALS)})
        _write(found)
    if set(names) - {SIMULATION}:
        with tempfile.TemporaryDirectory() as scratch:
            models = made(Path(scratch))
            for name in PARTS:
                if name in names:
                    found[name] = _dated(PARTS[name](models))
                    _write(found)
    print(json.dumps(_summary(found), indent=1))


def _write(found: Mapping[str, Any]) -> None:
    """Keep what there is: a part that fails later takes none of the others with it."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "instrument.json").write_text(json.dumps(found) + "\n")
    (RESULTS / "summary.json").write_text(json.dumps(_summary(found), indent=1) + "\n")


def _kept() -> dict[str, Any]:
    """The parts that were run before."""
    path = RESULTS / "instrument.json"
    before = json.loads(path.read_text()) if path.is_file() else {}
    return {name: before[name] for name in (SIMULATION, *PARTS) if name in before}


def _dated(part: dict[str, Any]) -> dict[str, Any]:
    """A part with when and where it was run, and how."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": host_facts(),
        "bench": BenchSpec().model_dump(),
        "target": Target().model_dump(),
        **part,
    }


def _summary(found: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of all parts that there are."""
    told: dict[str, Any] = {}
    if SIMULATION in found:
        noise = found[SIMULATION]["noise"]
        told["coverage_own_noise_pct"] = math.floor(10 * min(one["covered_pct"] for one in noise)) / 10
        told["false_calls_own_noise_pct"] = math.ceil(10 * max(one["false_calls_pct"] for one in noise)) / 10
    for name, prefix in (("aa", "aa"), ("busy", "aa_busy")):
        if name in found:
            told |= counted(found[name], prefix)
    if "cost" in found:
        one, several = (median(seconds) for seconds in found["cost"]["seconds_by_processes"].values())
        told["one_process_s"] = round(one / found["cost"]["artifacts"], 1)
        told["several_processes_s"] = round(several / found["cost"]["artifacts"], 1)
    if "sleeps" in found:
        told["sleep_error_pct_max"] = round(max(item["error_pct"] for item in found["sleeps"]["sleeps"]), 3)
    if "allocation" in found:
        told["alloc_error_pct_max"] = round(found["allocation"]["error_pct"], 3)
    harness = [trial["harness_cpu_pct"] for trial in found.get("aa", {}).get("trials", [])]
    harness += [found["terminal"]["harness_cpu_pct"]] if "terminal" in found else []
    if harness:
        told["harness_cpu_pct"] = round(max(harness), 3)
    return told


if __name__ == "__main__":
    main()
