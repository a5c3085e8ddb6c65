"""Run the recipes of full strength, each with what it is compared to, and write what they reach to `results/`."""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RECIPES = ROOT / "recipes" / "text-classification"
RESULTS = HERE / "results"
README = ROOT / "README.md"
CHAIN = ("teacher", "trimmed", "student", "onnx", "skipped", "int8")
FINAL = "int8"
UNTAUGHT = {"soft_weight": 0.0, "hard_weight": 1.0, "augment": {"copies": 0}}
"""Settings of the same student trained on the labels alone."""
BESIDE: dict[str, dict[str, dict[str, Any]]] = {
    "r8": {"untaught": {**UNTAUGHT, "epochs": 16}, "unvaried": {"augment": {"copies": 0}, "epochs": 16}},
    "r52": {"untaught": {**UNTAUGHT, "epochs": 16}},
    "news20": {"untaught": UNTAUGHT},
}
"""By data set: name of a branch -> settings of the student in which it differs from the recipe's."""


def main() -> None:
    """Run, print the figures, write raw results, the summary and the README's table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.headline", description=__doc__)
    parser.add_argument("--only", choices=[*BESIDE], action="append", help="data set; may be repeated")
    parser.add_argument("--runs-dir", type=Path, default=ROOT / "runs", help="where runs are kept, and gone on with")
    asked = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for name in asked.only or BESIDE:
        report = run(name, asked.runs_dir)
        summary |= figures(name, report)
        (RESULTS / f"{name}.json").write_text(json.dumps(report) + "\n", encoding="utf-8")
        path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    found = {
        name: json.loads((RESULTS / f"{name}.json").read_text()) for name in BESIDE if f"{name}_drop_pp" in summary
    }
    write_table(table(summary, found))
    print(json.dumps(summary, indent=1))


def run(name: str, runs_dir: Path) -> dict[str, Any]:
    """Run a recipe with all that stands beside it, in a process of its own; its report."""
    recipe = with_branches(yaml.safe_load((RECIPES / f"{name}-strongest.yaml").read_text()), BESIDE[name])
    runs_dir.mkdir(parents=True, exist_ok=True)
    path = runs_dir / f"{recipe['name']}.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "compress", "run", str(path), "--runs-dir", str(runs_dir)]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code not in (0, 3):
        sys.exit(f"the run of {name} failed with exit code {code}")
    report: dict[str, Any] = json.loads((runs_dir / recipe["name"] / "report.json").read_text(encoding="utf-8"))
    return report


def with_branches(recipe: Mapping[str, Any], branches: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The recipe with a student, an export and a quantization of its own for each branch."""
    steps = {step["name"]: step for step in recipe["steps"]}
    added = []
    for branch, settings in branches.items():
        before = {"student": branch, "onnx": f"{branch}_onnx", "skipped": f"{branch}_skipped", "int8": f"{branch}_int8"}
        added.append({**steps["student"], **settings, "name": branch})
        for step, reads in (("onnx", "student"), ("skipped", "onnx"), ("int8", "skipped")):
            added.append({**steps[step], "name": before[step], "model": before[reads]})
    return {**recipe, "name": f"{recipe['name']}-beside", "steps": [*recipe["steps"], *added]}


def figures(name: str, report: Mapping[str, Any]) -> dict[str, float]:
    """What the summary says of one data set."""
    rows = {row["step"]: row for row in report["rows"]}
    final, teacher = rows[FINAL], rows["teacher"]
    against = final["versus_baseline"]
    return {
        f"{name}_teacher_accuracy": round(teacher["quality"]["value"], 5),
        f"{name}_drop_pp": round(against["drop_pp"]["value"], 3),
        f"{name}_drop_hi_pp": round(against["drop_pp"]["high"], 3),
        f"{name}_speedup": round(against["speedup"]["value"], 2),
        f"{name}_size_ratio": round(teacher["size_bytes"] / final["size_bytes"], 2),
        f"{name}_no_teacher_drop_pp": round(rows[f"untaught_{FINAL}"]["versus_baseline"]["drop_pp"]["value"], 3),
        f"{name}_cpu_minutes": round(sum(rows[step]["cpu_seconds"] for step in CHAIN) / 60, 1),
    }


def table(summary: Mapping[str, float], reports: Mapping[str, Mapping[str, Any]]) -> str:
    """What the README says."""
    titles = {"r8": "Reuters R8, 128 tokens", "r52": "Reuters R52, 128 tokens", "news20": "20 Newsgroups, 256 tokens"}
    lines = [
        "| | teacher | student | drop [95%] | without its teacher | times faster | times smaller | p50 | size | CPU |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, report in reports.items():
        final = next(row for row in report["rows"] if row["step"] == FINAL)
        drop = final["versus_baseline"]["drop_pp"]
        lines.append(
            f"| {titles[name]} | {summary[f'{name}_teacher_accuracy']:.2%} | {final['quality']['value']:.2%} "
            f"| {drop['value']:+.2f} [{drop['low']:+.2f}, {drop['high']:+.2f}] "
            f"| {summary[f'{name}_no_teacher_drop_pp']:+.2f} | {summary[f'{name}_speedup']:.1f}x "
            f"| {summary[f'{name}_size_ratio']:.1f}x | {final['latency_ms']['p50']:.2f} ms "
            f"| {final['size_bytes'] / 1e6:.2f} MB | {summary[f'{name}_cpu_minutes']:.0f} min |"
        )
    return "\n".join([*lines, ""])


def write_table(text: str) -> None:
    """Put the table into its place in the README."""
    readme = README.read_text(encoding="utf-8")
    begin, end = "<!-- headline -->\n", "<!-- /headline -->"
    before, _, rest = readme.partition(begin)
    _, _, after = rest.partition(end)
    README.write_text(f"{before}{begin}{text}{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
