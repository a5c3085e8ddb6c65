"""Apply each technique alone to one teacher, train all alike, and write what each cost and bought to `results/`."""

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
RECIPE = ROOT / "recipes" / "text-classification" / "r8-strongest.yaml"
RESULTS = HERE / "results"

TRAINING = {"epochs": 2, "batch_size": 32, "learning_rate": 3.0e-4, "attention_dropout": 0.0}
RATES = {"learning_rate": 3.0e-4, "head_learning_rate": 3.0e-3}
PRUNE = {"stage": "prune_structured", "model": "teacher", "teacher": "teacher"}
HALF = {"heads": 0.5, "ffn": 0.5}
FACTORIZE = {"stage": "factorize_low_rank", "model": "teacher", "teacher": "teacher"}
DISTILL = {"stage": "distill", "teacher": "teacher", **TRAINING, **RATES}
TECHNIQUES: dict[str, dict[str, Any]] = {
    "taylor": {**PRUNE, **HALF},
    "fisher": {**PRUNE, **HALF, "importance": "fisher"},
    "activation": {**PRUNE, **HALF, "importance": "activation"},
    "magnitude": {**PRUNE, **HALF, "importance": "magnitude"},
    "most_uniform": {**PRUNE, "heads": 0.75, "ffn": 0.875},
    "most_global": {**PRUNE, "heads": 0.75, "ffn": 0.875, "budget": "global"},
    "most_in_cuts": {**PRUNE, "heads": 0.75, "ffn": 0.875, "cuts": 4, "cut_epochs": 0.5},
    "three_times_faster": {**PRUNE, "min_speedup": 3, "importance": "fisher"},
    "half_the_width": {**PRUNE, "heads": 0, "ffn": 0, "hidden": 0.5},
    "half_the_layers": {**PRUNE, "heads": 0, "ffn": 0, "layers": 0.5},
    "embedding_rank_64": {**FACTORIZE, "embedding_rank": 64},
    "ffn_rank_96": {**FACTORIZE, "ffn_rank": 96},
    "two_layers": {**DISTILL, "layers": 2},
    "two_layers_hidden": {**DISTILL, "layers": 2, "hidden_weight": 1.0},
    "two_layers_relations": {**DISTILL, "layers": 2, "relation_weight": 1.0},
}
"""Name -> a step that reads the teacher."""


def main() -> None:
    """Run, print the figures, write the raw results and the summary."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.techniques", description=__doc__)
    parser.add_argument("--runs-dir", type=Path, default=ROOT / "runs", help="where runs are kept, and gone on with")
    asked = parser.parse_args()
    asked.runs_dir.mkdir(parents=True, exist_ok=True)
    path = asked.runs_dir / "techniques.yaml"
    path.write_text(yaml.safe_dump(recipe(), sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "compress", "run", str(path), "--runs-dir", str(asked.runs_dir)]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code != 0:
        sys.exit(f"the run failed with exit code {code}")
    report = json.loads((asked.runs_dir / "techniques" / "report.json").read_text(encoding="utf-8"))
    summary = figures(report)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "r8.json").write_text(json.dumps(report) + "\n", encoding="utf-8")
    (RESULTS / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(summary, indent=1))


def recipe() -> dict[str, Any]:
    """The headline's task, teacher and target, and each technique as a step from that teacher."""
    whole = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    teacher = next(step for step in whole["steps"] if step["name"] == "teacher")
    steps = [
        {"name": name, **step}
        if step["stage"] == "distill"
        else {"name": name, **step, "recover": {**TRAINING, **RATES}}
        for name, step in TECHNIQUES.items()
    ]
    kept = {key: whole[key] for key in ("seed", "task", "targets")}
    return {"name": "techniques", **kept, "steps": [teacher, *steps]}


def figures(report: Mapping[str, Any]) -> dict[str, float]:
    """What the summary says."""
    rows = {row["step"]: row for row in report["rows"]}
    teacher = rows["teacher"]
    summary = {"teacher_accuracy": round(teacher["quality"]["value"], 5)}
    for name in TECHNIQUES:
        row = rows[name]
        against = row["versus_baseline"]
        summary |= {
            f"{name}_drop_pp": round(against["drop_pp"]["value"], 3),
            f"{name}_drop_hi_pp": round(against["drop_pp"]["high"], 3),
            f"{name}_speedup": round(against["speedup"]["value"], 2),
            f"{name}_size_ratio": round(teacher["size_bytes"] / row["size_bytes"], 2),
            f"{name}_cpu_minutes": round(row["cpu_seconds"] / 60, 1),
        }
    return summary


if __name__ == "__main__":
    main()
