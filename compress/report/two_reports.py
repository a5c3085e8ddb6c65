"""The comparison of two reports, without measuring again."""

from dataclasses import dataclass
from pathlib import Path

from compress.errors import InputError, proposed
from compress.files.near import similar_name
from compress.machine.facts import same_machine
from compress.report.build import compare
from compress.report.files import read_report
from compress.report.goal import margin_pp
from compress.report.model import Comparison, Report, Row
from compress.report.words import reasons

TIMED_APART = (
    "the two were timed in different runs, so the speed's interval does not hold the machine's drift between "
    "them; to time them side by side: compress compare MODEL MODEL --data FILE"
)


@dataclass(frozen=True)
class Compared:
    """A row with its comparison with another row.

    Attributes:
        comparison: the changes, with intervals and verdicts.
        row: the row that is judged.
        report: the report of that row.
        note: a remark on the figures for readers; None if both were measured side by side.
    """

    comparison: Comparison
    row: Row
    report: Report
    note: str | None = None


def compare_reports(first: Path, second: Path) -> Compared:
    """The comparison of the last steps of two runs, on the first target that both have.

    Args:
        first, second: folders of runs, or their report.json; the first is the baseline.

    Raises:
        InputError: a report is missing, or the two have no target or no test rows in common.
    """
    one, two = load_report(first, str(first)), load_report(second, str(second))
    shared = [spec for spec in two.targets.values() if spec in one.targets.values()]
    if not shared:
        raise InputError(
            "the two runs have no target of the same settings",
            where=str(second),
            fix=f"their targets: {', '.join(one.targets)}; {', '.join(two.targets)}",
        )
    base, row = last_row(one, shared[0], first), last_row(two, shared[0], second)
    comparison = compare_rows(one, base, two, row)
    comparison.against = f"{one.recipe}'s {base.step}"
    return Compared(comparison, row, two, TIMED_APART if comparison.speedup else None)


def compared_pair(report: Report) -> Compared:
    """The first row of a report that has a comparison with its baseline.

    Raises:
        InputError: no row has one.
    """
    for row in report.rows:
        if row.versus_baseline is not None:
            return Compared(row.versus_baseline, row, report)
    raise InputError(
        f"nothing to compare: {'; '.join(reasons(report.rows))}",
        where="compress compare",
        fix="choose with --target what runs both",
    )


def is_report(path: Path) -> bool:
    """Whether a path is a run's folder or its report.json; else it is taken for a model's folder."""
    return path.suffix == ".json" or (path / "report.json").is_file()


def check_one_kind(first: Path, second: Path) -> None:
    """Refuse a comparison of a run with a model folder.

    Raises:
        InputError: one path is a run, the other is not.
    """
    if is_report(first) != is_report(second):
        raise InputError(
            f"'{first}' and '{second}' are not of one kind",
            where="compress compare",
            fix="give two runs (folders with a report.json), or two model folders",
        )


def compare_rows(first: Report, base: Row, second: Report, row: Row) -> Comparison:
    """The comparison of rows of two reports.

    Raises:
        InputError: the two were not scored on the same test rows.
    """
    if (first.test.key, first.test.metric) != (second.test.key, second.test.metric):
        raise InputError(
            f"'{first.recipe}' and '{second.recipe}' were not scored on the same test rows with the same metric",
            fix="measure both on one data set: compress bench A B --data FILE",
        )
    timing = "apart" if same_machine(first.host, second.host) else "elsewhere"
    of_rows = (other.versus_baseline.margin_pp for other in second.rows if other.versus_baseline)
    margin = margin_pp(second.goal.max_drop_pp, first.goal.max_drop_pp, *of_rows)
    return compare(base, row, second.test, margin, timing=timing)


def last_row(report: Report, target: object, path: Path) -> Row:
    """The last measured row on a target with these settings.

    Raises:
        InputError: there is none.
    """
    names = [name for name, spec in report.targets.items() if spec == target]
    rows = [row for row in report.rows if row.target in names and row.status == "measured"]
    if not rows:
        raise InputError(
            "the report has no measured row on a target of the same settings",
            where=str(path),
            fix=f"its targets: {', '.join(report.targets)}; measure on the same runtime, threads, batch and length",
        )
    return rows[-1]


def load_report(path: Path, where: str) -> Report:
    """The report in a file, or in the folder of a run.

    Raises:
        InputError: there is no report, or it has another form.
    """
    file = path / "report.json" if path.is_dir() else path
    if not file.is_file():
        close = similar_name(path)
        fix = proposed(close and str(path.parent / close), "name a run's folder, or its report.json")
        raise InputError(f"there is no report '{file}'", where=where, fix=fix)
    report = read_report(file)
    if report is None:
        raise InputError(
            f"'{file}' is not a report of this version of compress", where=where, fix="run or bench it again"
        )
    return report
