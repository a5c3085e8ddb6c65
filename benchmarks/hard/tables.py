"""The README's tables, written from the results' files."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from benchmarks.hard.ablation_settings import SETTINGS
from benchmarks.headline.__main__ import front
from compress.measurement import Estimate
from compress.ops.statistics import accuracy_drop
from compress.report.words import POINTS, bracketed

ABLATED = {"sst2": "SST-2, 872 validation rows", "word_order": "Word order, 1,000 validation rows"}

CLAIMED = {
    "sst2_student": "SST-2, layers of the teacher",
    "sst2_same_size": "SST-2, a convolution, smaller than r8-strongest's student",
    "sst2_narrow": "SST-2, a transformer of the size of r8-strongest's student (one seed)",
    "sst2_ngrams": "SST-2, bag of n-grams under the teacher",
    "r8_ngrams": "R8, bag of n-grams, fitted to the labels",
    "news20_ngrams": "20 Newsgroups, bag of n-grams, fitted to the labels",
}
"""The first part of the figures' names in the summary -> what the table calls it."""


def claims(summary: Mapping[str, float]) -> str:
    """What is claimed of each student, as far as the summary has its figures."""
    lines = [
        "| | teacher | linear model on words | student | change [95%] | times faster | times smaller | CPU |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, title in CLAIMED.items():
        data = name.partition("_")[0]
        if f"{name}_accuracy" in summary:
            ends = {
                end: summary.get(f"{name}_drop{key}_pp")
                for end, key in {"value": "", "low": "_lo", "high": "_hi"}.items()
            }
            lines.append(
                f"| {title} | {summary[f'{data}_teacher_accuracy']:.2%} | {summary[f'{data}_linear_accuracy']:.2%} "
                f"| {summary[f'{name}_accuracy']:.2%} | {bracketed(-Estimate.model_validate(ends), POINTS)} "
                f"| {summary[f'{name}_speedup']:.1f}x | {summary[f'{name}_size_ratio']:.1f}x "
                f"| {summary[f'{name}_cpu_minutes']:.0f} min |"
            )
    return "\n".join(["", *lines, "", ""])


def fronts(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """Every row of every run, and the simple baselines under each."""
    return "".join(f"\n{title}:\n\n{front(report)}\n{_baselines(report)}" for title, report in reports.items()) + "\n"


def _baselines(report: Mapping[str, Any]) -> str:
    lines = ["| simple baseline | score | change [95%] | from text to label | size | CPU |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    for item in report["baselines"]:
        if item["quality"] is not None:
            change = -Estimate.model_validate(item["versus_baseline"]["drop_pp"])
            lines.append(
                f"| {item['short']} | {item['quality']['value']:.2%} | {bracketed(change, POINTS)} "
                f"| {item['text_ms']['p50']:.3f} ms | {item['size_bytes'] / 1e6:.2f} MB "
                f"| {item['cpu_seconds'] / 60:.1f} min |"
            )
    return "\n".join([*lines, ""])


def ablations(results: Mapping[str, Mapping[str, Any]]) -> str:
    """A table for each data set: one row for each setting, the seeds' means."""
    parts = [f"\n{ABLATED[data]}:\n\n{_ablation(rows)}" for data, rows in results.items()]
    return "".join(parts) + "\n"


def _ablation(rows: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [
        "| | setting | accuracy | against its reference [95%] | agrees with the teacher | divergence | parameters "
        "| of tokens | CPU |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    teachers = _seeds("teacher", rows)
    if teachers:
        lines.append(f"| teacher | | {_share(teachers, 'accuracy')} | | | | {_counts(teachers[0])} | |")
    group = ""
    for name, setting in SETTINGS.items():
        found = _seeds(name, rows)
        if not found:
            continue
        title = setting.group if setting.group != group else ""
        group = setting.group
        lines.append(
            f"| {title} | {_words(name)} | {_share(found, 'accuracy')} | {_against(name, rows)} "
            f"| {_share(found, 'agreement')} | {np.mean([row['divergence'] for row in found]):.3f} "
            f"| {_counts(found[0])} | {np.mean([row['cpu_seconds'] for row in found]) / 60:.1f} min |"
        )
    return "\n".join([*lines, ""])


def _words(name: str) -> str:
    setting = SETTINGS[name]
    return setting.words if setting.beside == name else f"{setting.beside}: {setting.words}"


def _seeds(name: str, rows: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """A setting's rows, one for each seed."""
    return [row for entry, row in rows.items() if entry.rpartition("-")[0] == name]


def _share(found: Iterable[Mapping[str, Any]], key: str) -> str:
    values = [row[key] for row in found]
    spread = f" ({min(values):.2%} to {max(values):.2%})" if len(values) > 1 else ""
    return f"{np.mean(values):.2%}{spread}"


def _counts(row: Mapping[str, Any]) -> str:
    return f"{row['parameters'] / 1e6:.2f}M | {(row['token_parameters'] or 0) / 1e6:.2f}M"


def _against(name: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The change in points against the setting's reference, on the same rows and seeds."""
    beside = SETTINGS[name].beside
    pairs = [
        (rows[f"{beside}-{seed}"]["right"], row["right"])
        for entry, row in rows.items()
        for named, _, seed in [entry.rpartition("-")]
        if named == name and f"{beside}-{seed}" in rows
    ]
    if not pairs or beside == name:
        return ""
    base, other = (np.mean([pair[side] for pair in pairs], axis=0) for side in (0, 1))
    drop = accuracy_drop(base, other)
    points = {end: None if value is None else 100 * value for end, value in drop.model_dump().items()}
    return bracketed(-Estimate.model_validate(points), POINTS)
