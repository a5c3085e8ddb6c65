"""The figures of searches: of each report, of each data set, and the README's table."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

Report = Mapping[str, Any]
HEAD = (
    "| | seed | teacher | winner | claim | change | times faster | end to end | times smaller | CPU | tried |",
    "| --- | ---: | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
)


def of_report(report: Report) -> dict[str, float]:
    """The figures of one search: those of its last row on test rows, and its cost."""
    rows, search = report["rows"], report["search"]
    last = [row for row in rows if row["status"] == "measured"][-1]
    baseline = next(row for row in rows if row["is_baseline"])
    against = last["versus_baseline"]
    final = sum(row["cpu_seconds"] or 0.0 for row in rows) / 60
    return {
        "teacher_accuracy": baseline["quality"]["value"],
        "drop_pp": against["drop_pp"]["value"],
        "drop_hi_pp": against["drop_pp"]["high"],
        "speedup": against["speedup"]["value"],
        "size_ratio": baseline["size_bytes"] / last["size_bytes"],
        "end_to_end_speedup": against["end_to_end"]["value"],
        "cpu_minutes": (search["cpu_minutes"] or 0.0) + final,
        "candidates": len(search["candidates"]) + search["sub_models"],
    }


def of_data(name: str, figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The means over the seeds of a data set, by the summary's names."""
    return {f"{name}_{key}": round(fmean(one[key] for one in figures), 4) for key in figures[0]}


def table(
    name: str, seeds: Sequence[int], reports: Sequence[Report], figures: Sequence[Mapping[str, float]]
) -> list[str]:
    """The lines of a table with a row for each seed of a data set."""
    lines = [*HEAD]
    for seed, report, one in zip(seeds, reports, figures, strict=False):
        selection = report["search"]["selection"]
        winner = selection["winner"] or selection["nearest"]
        claim = "proved" if selection["winner"] else "not proved"
        lines.append(
            f"| {name} | {seed} | {one['teacher_accuracy']:.2%} | {winner} | {claim} "
            f"| {-one['drop_pp']:+.2f} [at least {-one['drop_hi_pp']:+.2f}] | {one['speedup']:.1f}x "
            f"| {one['end_to_end_speedup']:.1f}x | {one['size_ratio']:.1f}x | {one['cpu_minutes']:.0f} min "
            f"| {one['candidates']:.0f} |"
        )
    return [*lines, ""]
