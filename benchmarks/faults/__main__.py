"""Disturb runs, mutate input, and write what was lost and what lied."""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.faults.cached import cached_run
from benchmarks.faults.cases import case_trials
from benchmarks.faults.damage import HARMS, damage_trials
from benchmarks.faults.disks import full_disk_trials, read_only_trials
from benchmarks.faults.kills import KILLS, kill_trials
from benchmarks.faults.mutants import FILES, RECIPES, mutant_trials
from benchmarks.faults.orphans import SIGNALS, orphan_trials
from benchmarks.faults.small_run import ROOT
from benchmarks.faults.suites import failures, suite_trials
from benchmarks.faults.together import together_trials
from benchmarks.faults.trials import Kept, Record, Workplace, prepare
from compress.machine.facts import host_facts

HERE = Path(__file__).parent
RESULTS = HERE / "results"
README = ROOT / "README.md"
PARTS = ("kills", "faults", "mutants", "hostile", "odd", "orphans", "suites", "cached")
SLOW = ("suites", "cached")
"""Not run by --fast."""
KINDS = 5
FAULTS = 20
"""Of each kind."""
FAST = {"kills": 2, "faults": 1, "mutants": 70, "hostile": 6, "odd": 6, "orphans": 4}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 if anything was lost, differs, is bad or lies."""
    asked = _parser().parse_args(arguments)
    parts = asked.only or [part for part in PARTS if not (asked.fast and part in SLOW)]
    with tempfile.TemporaryDirectory(prefix="compress-faults-") as scratch:
        folder = asked.scratch or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        found = _disturb(parts, folder, asked.count, asked.case, fast=asked.fast)
        if asked.scratch is not None:
            (folder / "found.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    summary = summarise(found)
    print(json.dumps(summary, indent=1))
    whole = not asked.fast and asked.only is None and asked.count is None and not asked.case
    if whole or asked.write:
        write_results(found, folder)
    wrong = (
        "kills_lost",
        "kills_differing",
        "faults_bad",
        "mutant_tracebacks",
        "mutant_false_success",
        "hostile_through",
        "odd_wrong",
        "orphans",
        "native_failures",
        "avx2_failures",
    )
    return int(any(summary.get(name) for name in wrong))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--fast", action="store_true", help="few of each, under two minutes; writes no results")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part alone; may be repeated")
    parser.add_argument("--count", type=int, help="so many kills, faults of each kind, or mutants")
    parser.add_argument("--case", default="", help="of hostile and odd inputs, those with this word in kind or name")
    parser.add_argument("--write", action="store_true", help="write results/ of the parts that were run")
    parser.add_argument("--scratch", type=Path, help="work there; the trials that its .jsonl files hold are not rerun")
    return parser


def _disturb(parts: Sequence[str], folder: Path, count: int | None, only: str, *, fast: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "host": host_facts()}
    many = {"kills": KILLS, "faults": FAULTS, "mutants": RECIPES + FILES, "orphans": SIGNALS} | (FAST if fast else {})
    many = many if count is None else dict.fromkeys(many, count)
    if "mutants" in parts:
        files = many["mutants"] * FILES // (RECIPES + FILES)
        mutated = Path(tempfile.mkdtemp(dir=folder))
        found["mutants"] = mutant_trials(many["mutants"] - files, files, mutated)
    for part in ("hostile", "odd"):
        if part in parts:
            place = Path(tempfile.mkdtemp(dir=folder))
            found[part] = case_trials(part, many.get(part), place, Kept(folder / f"{part}.jsonl"), only)
    kept = Kept(folder / "trials.jsonl")
    if "orphans" in parts:
        found["orphans"] = orphan_trials(many["orphans"], Path(tempfile.mkdtemp(dir=folder)), kept)
    if {"kills", "faults"} & set(parts):
        small = prepare(Path(tempfile.mkdtemp(dir=folder)))
        found["undisturbed"] = small.facts()
        if "kills" in parts:
            found["kills"] = kill_trials(many["kills"], small, kept)
        if "faults" in parts:
            found["faults"] = fault_trials(many["faults"], small, kept)
    if "suites" in parts:
        found["suites"] = suite_trials(Path(tempfile.mkdtemp(dir=folder)))
    if "cached" in parts:
        found["cached"] = cached_run()
    return found


def fault_trials(count: int, place: Workplace, kept: Kept) -> list[Record]:
    """So many faults of each kind."""
    records = full_disk_trials(count, place, kept)
    for kind in HARMS:
        records += damage_trials(kind, count, place, kept)
    records += read_only_trials(count, place, kept)
    return records + together_trials(count, place, kept)


def summarise(found: dict[str, Any]) -> dict[str, int | float | str]:
    """The figures of the parts that were run."""
    summary: dict[str, int | float | str] = {}
    if "kills" in found:
        summary["kills"] = len(found["kills"])
        summary["kills_lost"] = sum(bool(kill["lost"]) for kill in found["kills"])
        summary["kills_differing"] = sum(not kill["hashes_equal"] for kill in found["kills"])
    if "faults" in found:
        summary["faults"] = len(found["faults"])
        summary["faults_bad"] = sum(fault["bad"] for fault in found["faults"])
    if "mutants" in found:
        outcomes = [mutant["outcome"] for mutant in found["mutants"]]
        summary["mutants"] = len(outcomes)
        summary["mutant_tracebacks"] = sum(outcome.startswith("unclear") for outcome in outcomes)
        summary["mutant_false_success"] = sum(outcome.startswith("false success") for outcome in outcomes)
    for part, cases, bad in (("hostile", "hostile", "hostile_through"), ("odd", "odd_inputs", "odd_wrong")):
        if part in found:
            summary[cases] = len(found[part])
            summary[bad] = sum(record["bad"] for record in found[part])
    if "orphans" in found:
        summary["orphan_signals"] = len(found["orphans"])
        summary["orphans"] = sum(len(record["left"]) for record in found["orphans"])
    if "suites" in found:
        for kind, suite in found["suites"].items():
            summary[f"{kind}_tests"] = suite["passed"] + len(suite["failed"])
            summary[f"{kind}_failures"] = failures(suite)
    if "cached" in found:
        summary |= {name: found["cached"][name] for name in ("cached_run_s", "cached_hash_s")}
    return summary


def write_results(found: Mapping[str, Any], folder: Path) -> None:
    """Write the raw records of the parts that were run, each in a file of its own; then the summary of all parts.

    A part that was not run keeps its file, which says when and where it was. Paths of this machine are left out.
    """
    RESULTS.mkdir(exist_ok=True)
    for part in PARTS:
        if part in found:
            raw = {name: found[name] for name in ("created", "host", "undisturbed", part) if name in found}
            text = json.dumps(raw).replace(str(folder), "SCRATCH").replace(str(ROOT), "CHECKOUT")
            (RESULTS / f"{part}.json").write_text(f"{text}\n", encoding="utf-8")
    kept: dict[str, Any] = {}
    dates = {}
    for part in PARTS:
        if (path := RESULTS / f"{part}.json").is_file():
            record = json.loads(path.read_text(encoding="utf-8"))
            kept[part] = record[part]
            dates[f"{part}_created"], dates[f"{part}_processor"] = record["created"], record["host"]["cpu"]
    summary = {**summarise(kept), **dates}
    (RESULTS / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    begin, end = "<!-- faults -->\n", "<!-- /faults -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    README.write_text(f"{before}{begin}{table(summary)}{end}{after}", encoding="utf-8")


def table(summary: Mapping[str, Any]) -> str:
    """What the README says of the figures."""
    lines = ["| what is done to it | how often | what went wrong |", "| --- | ---: | --- |"]
    if "kills" in summary:
        lines.append(
            f"| a five-step run is killed (SIGKILL), and run again | {summary['kills']} | "
            f"work lost in {summary['kills_lost']}; final files that differ in {summary['kills_differing']} |"
        )
    if "faults" in summary:
        lines.append(
            "| a full disk, a flipped bit in a stored file or its end cut off, a read-only store, two runs at once | "
            f"{summary['faults']} | neither a right result nor a clear error in {summary['faults_bad']} |"
        )
    if "mutants" in summary:
        lines.append(
            f"| a recipe or a data file is mutated, and planned | {summary['mutants']} | traceback or unclear error in "
            f"{summary['mutant_tracebacks']}; planned although wrong in {summary['mutant_false_success']} |"
        )
    for cases, bad, told in (
        ("hostile", "hostile_through", "a hostile archive, model, graph, tokenizer, recipe or run folder is given"),
        ("odd_inputs", "odd_wrong", "an odd but real model, tokenizer or data file is given"),
    ):
        if cases in summary:
            lines.append(f"| {told} | {summary[cases]} | neither a right result nor a clear error in {summary[bad]} |")
    if "orphans" in summary:
        lines.append(
            "| `bench`, `run`, `plan` or `doctor` gets SIGINT, SIGTERM, SIGHUP or SIGKILL | "
            f"{summary['orphan_signals']} | processes left: {summary['orphans']} |"
        )
    if "native_failures" in summary:
        lines.append(
            "| the tests, on the processor as it is and on one that shows AVX2 alone | "
            f"{summary['native_tests']} and {summary.get('avx2_tests', 'not')} | failed: "
            f"{summary['native_failures']} and {summary.get('avx2_failures', 'unknown')} |"
        )
    if "cached_run_s" in summary:
        lines += [
            "",
            f"The quickstart with all steps done takes {summary['cached_run_s']:.2f} s, of which "
            f"{summary['cached_hash_s']:.2f} s go into checking every stored file's hash.",
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
