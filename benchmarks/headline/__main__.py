"""Run the recipes of full strength, each with what it is compared to, and write what they reach to `results/`."""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.headline.branches import with_branches
from compress.measurement import Estimate
from compress.report.build import end_to_end
from compress.report.model import Report
from compress.report.words import POINTS, bracketed

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RECIPES = ROOT / "recipes" / "text-classification"
RESULTS = HERE / "results"
FINAL = "int8"
DATA = {
    "r8": "Reuters R8, 128 tokens",
    "r52": "Reuters R52, 128 tokens",
    "news20": "20 Newsgroups, 256 tokens",
}


def main() -> None:
    """Run, print the figures, write raw results, the summary and the README's table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.headline", description=__doc__)
    parser.add_argument("--only", choices=[*DATA], action="append", help="data set; may be repeated")
    parser.add_argument("--runs-dir", type=Path, default=ROOT / "runs", help="where runs are kept, and gone on with")
    parser.add_argument("--tables", action="store_true", help="measure nothing: write the tables of what there is")
    asked = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for name in () if asked.tables else asked.only or DATA:
        report = run(name, asked.runs_dir)
        summary |= figures(name, report)
        (RESULTS / f"{name}.json").write_text(json.dumps(report) + "\n", encoding="utf-8")
        path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    found = {name: json.loads((RESULTS / f"{name}.json").read_text()) for name in DATA if f"{name}_drop_pp" in summary}
    write_table(ROOT / "README.md", table(summary, found))
    write_table(
        HERE / "README.md", "".join(f"\n{DATA[name]}:\n\n{front(report)}" for name, report in found.items()) + "\n"
    )
    summary |= {f"{name}_end_to_end": round(_end_to_end(report), 2) for name, report in found.items()}
    path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(summary, indent=1))


def run(name: str, runs_dir: Path) -> dict[str, Any]:
    """Run a recipe with all that stands beside it, in a process of its own; its report."""
    recipe = with_branches(recipe_of(name), name)
    runs_dir.mkdir(parents=True, exist_ok=True)
    path = runs_dir / f"{recipe['name']}.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "compress", "run", str(path), "--runs-dir", str(runs_dir)]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code not in (0, 3):
        sys.exit(f"the run of {name} failed with exit code {code}")
    report: dict[str, Any] = json.loads((runs_dir / recipe["name"] / "report.json").read_text(encoding="utf-8"))
    return report


def recipe_of(name: str) -> dict[str, Any]:
    """The recipe of full strength of a data set."""
    found: dict[str, Any] = yaml.safe_load((RECIPES / f"{name}-strongest.yaml").read_text(encoding="utf-8"))
    return found


def figures(name: str, report: Mapping[str, Any]) -> dict[str, float]:
    """What the summary says of one data set."""
    rows = {row["step"]: row for row in report["rows"]}
    final, teacher = rows[FINAL], rows["teacher"]
    against = final["versus_baseline"]
    before_cut = json.loads((RESULTS / "before_cut.json").read_text(encoding="utf-8")).get(name, {})
    spent = sum(
        rows[step["name"]]["cpu_seconds"] + before_cut.get(step["name"], 0.0) for step in recipe_of(name)["steps"]
    )
    return {
        f"{name}_teacher_accuracy": round(teacher["quality"]["value"], 5),
        f"{name}_drop_pp": round(against["drop_pp"]["value"], 3),
        f"{name}_drop_hi_pp": round(against["drop_pp"]["high"], 3),
        f"{name}_speedup": round(against["speedup"]["value"], 2),
        f"{name}_size_ratio": round(teacher["size_bytes"] / final["size_bytes"], 2),
        f"{name}_no_teacher_drop_pp": round(rows[f"untaught_{FINAL}"]["versus_baseline"]["drop_pp"]["value"], 3),
        f"{name}_cpu_minutes": round(spent / 60, 1),
    }


def table(summary: Mapping[str, float], reports: Mapping[str, Mapping[str, Any]]) -> str:
    """What the README says."""
    lines = [
        "| | teacher | student | change [95%] | without its teacher | times faster | end to end "
        "| times smaller | p50 | size | CPU |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, report in reports.items():
        final = next(row for row in report["rows"] if row["step"] == FINAL)
        change = -Estimate.model_validate(final["versus_baseline"]["drop_pp"])
        lines.append(
            f"| {DATA[name]} | {summary[f'{name}_teacher_accuracy']:.2%} | {final['quality']['value']:.2%} "
            f"| {bracketed(change, POINTS)} "
            f"| {-summary[f'{name}_no_teacher_drop_pp']:{POINTS}} "
            f"| {summary[f'{name}_speedup']:.1f}x | {_end_to_end(report):.1f}x "
            f"| {summary[f'{name}_size_ratio']:.1f}x | {final['latency_ms']['p50']:.2f} ms "
            f"| {final['size_bytes'] / 1e6:.2f} MB | {summary[f'{name}_cpu_minutes']:.0f} min |"
        )
    return "\n".join([*lines, ""])


def _end_to_end(report: Mapping[str, Any]) -> float:
    """How many times faster the student is with its tokenizer, on rows of their own length."""
    rows = {row.step: row for row in Report.model_validate(report).rows}
    found = end_to_end(rows["teacher"], rows[FINAL])
    assert found is not None
    return found.value


def front(report: Mapping[str, Any]) -> str:
    """Every row of a run: what each step, each student and each chain without a step costs and gives."""
    lines = [
        "| row | score | change [95%] | p50 | times faster | size | CPU | memory |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in report["rows"]:
        against = row["versus_baseline"] or {}
        change = -Estimate.model_validate(against["drop_pp"]) if against else None
        speedup = Estimate.model_validate(against["speedup"]) if against else None
        memory = row["made_in_bytes"]
        lines.append(
            f"| {row['step']} | {row['quality']['value']:.2%} "
            f"| {bracketed(change, POINTS)} | {row['latency_ms']['p50']:.2f} ms | {bracketed(speedup, '.1f')} "
            f"| {row['size_bytes'] / 1e6:.2f} MB | {row['cpu_seconds'] / 60:.1f} min "
            f"| {'' if memory is None else f'{memory / 1e9:.1f} GB'} |"
        )
    return "\n".join([*lines, ""])


def write_table(path: Path, text: str) -> None:
    """Put a text between its marks."""
    readme = path.read_text(encoding="utf-8")
    begin, end = "<!-- headline -->\n", "<!-- /headline -->"
    before, _, rest = readme.partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{begin}{text}{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
