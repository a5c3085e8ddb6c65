"""The flat figures of the summary, out of reports."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.hard.chains import BAGS, FINAL, NARROW, SAME_SIZE, TEACHER
from compress.ops.statistics import accuracy_drop

LINEAR = "linear_words"
"""The name of the report's simple baseline that counts words and pairs of them."""
Report = Mapping[str, Any]
Figures = dict[str, float]


def of_sst2(reports: Sequence[Report]) -> Figures:
    """Means over the seeds, of each of which there is a report.

    The interval of a drop is of the rows, each with the mean over the seeds.
    """
    teachers = [teacher_of(report) for report in reports]
    found = {
        "sst2_seeds": len(reports),
        "sst2_teacher_accuracy": round(fmean(row["quality"]["value"] for row in teachers), 5),
    }
    if with_baselines := [report for report in reports if report["baselines"]]:
        found["sst2_linear_accuracy"] = round(fmean(map(linear_accuracy, with_baselines)), 5)
    for name, step in (("student", FINAL), ("same_size", SAME_SIZE), ("ngrams", BAGS["sst2"])):
        if all(has_row(report, step) for report in reports):
            found |= _of_rows(f"sst2_{name}", reports, step)
    if first := [report for report in reports if has_row(report, NARROW)]:
        found |= _of_rows("sst2_narrow", first, NARROW)
    return found


def _of_rows(name: str, reports: Sequence[Report], step: str) -> Figures:
    rows, teachers = [row_of(report, step) for report in reports], [teacher_of(report) for report in reports]
    drop = 100 * pooled_drop(reports, step)
    return {
        f"{name}_accuracy": round(fmean(row["quality"]["value"] for row in rows), 5),
        f"{name}_drop_pp": round(float(drop[0]), 3),
        f"{name}_drop_lo_pp": round(float(drop[1]), 3),
        f"{name}_drop_hi_pp": round(float(drop[2]), 3),
        f"{name}_speedup": round(fmean(row["versus_baseline"]["speedup"]["value"] for row in rows), 2),
        f"{name}_size_ratio": round(
            fmean(teacher["size_bytes"] / row["size_bytes"] for teacher, row in zip(teachers, rows, strict=True)), 2
        ),
        f"{name}_cpu_minutes": round(fmean(cpu_minutes(report, step) for report in reports), 1),
    }


def pooled_drop(reports: Sequence[Report], step: str) -> np.ndarray[Any, Any]:
    """The accuracy that a step loses against the teacher, with its 95% interval, over all seeds: (value, low, high).

    The seeds have their test rows in common, so that a row counts once, with the share of the seeds that have it right.
    """
    both = [(teacher_of(report), row_of(report, step), report["test"]["truth"]) for report in reports]
    base = np.mean([np.equal(teacher["predictions"], truth) for teacher, _, truth in both], axis=0)
    other = np.mean([np.equal(row["predictions"], truth) for _, row, truth in both], axis=0)
    drop = accuracy_drop(base, other)
    return np.array([drop.value, drop.low, drop.high])


def of_ngrams(name: str, report: Report) -> Figures:
    """Of a data set with one seed: the bag of n-grams against the teacher, and the linear model."""
    teacher = teacher_of(report)
    found = {
        f"{name}_teacher_accuracy": round(teacher["quality"]["value"], 5),
        f"{name}_linear_accuracy": round(linear_accuracy(report), 5),
    }
    if not has_row(report, BAGS[name]):
        return found
    row = row_of(report, BAGS[name])
    against = row["versus_baseline"]
    return found | {
        f"{name}_ngrams_accuracy": round(row["quality"]["value"], 5),
        f"{name}_ngrams_drop_pp": round(against["drop_pp"]["value"], 3),
        f"{name}_ngrams_drop_lo_pp": round(against["drop_pp"]["low"], 3),
        f"{name}_ngrams_drop_hi_pp": round(against["drop_pp"]["high"], 3),
        f"{name}_ngrams_speedup": round(against["speedup"]["value"], 2),
        f"{name}_ngrams_size_ratio": round(teacher["size_bytes"] / row["size_bytes"], 2),
        f"{name}_ngrams_cpu_minutes": round(cpu_minutes(report, BAGS[name]), 1),
    }


def of_word_order(report: Report, linear: Mapping[str, Any]) -> Figures:
    """Of the made data set: accuracies, and what the students lose."""
    found = {"word_order_teacher_accuracy": round(teacher_of(report)["quality"]["value"], 5)}
    found |= {f"word_order_{name}_accuracy": round(item["accuracy"], 5) for name, item in linear.items()}
    for name, step in (
        ("student", FINAL),
        ("narrow", NARROW),
        ("same_size", SAME_SIZE),
        ("ngrams", BAGS["word_order"]),
    ):
        if has_row(report, step):
            found[f"word_order_{name}_accuracy"] = round(row_of(report, step)["quality"]["value"], 5)
    return found


def linear_accuracy(report: Report) -> float:
    """The accuracy of the linear model on words."""
    found: float = next(item["quality"]["value"] for item in report["baselines"] if item["name"] == LINEAR)
    return found


def has_row(report: Report, step: str) -> bool:
    """Whether a step was measured."""
    return any(row["step"] == step and row["quality"] is not None for row in report["rows"])


def row_of(report: Report, step: str) -> Mapping[str, Any]:
    """The row of a step."""
    found: Mapping[str, Any] = next(row for row in report["rows"] if row["step"] == step)
    return found


def teacher_of(report: Report) -> Mapping[str, Any]:
    """The row of the fine-tuned teacher."""
    found: Mapping[str, Any] = next(row for row in report["rows"] if row["step"] in TEACHER)
    return found


def cpu_minutes(report: Report, step: str) -> float:
    """Processor time of all steps that a step was made from, the teachers' among them."""
    costs = {row["step"]: row.get("cpu_seconds") or 0.0 for row in report["rows"]}
    made = report.get("made") or {
        item["step"]: {"inputs": item["inputs"].values(), "cpu_seconds": costs.get(item["step"], 0.0)}
        for item in report["lineage"]
    }
    needed, todo = set(), [step]
    while todo:
        name = todo.pop()
        if name in made and name not in needed:
            needed.add(name)
            todo += made[name]["inputs"]
    return float(sum(made[name]["cpu_seconds"] for name in needed)) / 60
