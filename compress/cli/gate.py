"""Gates for a pipeline: `--max-drop-pp`, `--min-speedup`, `--max-size-mb`, `--baseline report.json`; missed: exit 3."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from compress.cli.help_pages import GATES
from compress.cli.saying import say
from compress.errors import InputError

if TYPE_CHECKING:
    from compress.recipe.schema import Goal
    from compress.report.model import Comparison, Report, Row

MISSED = 3
"""Exit code: done, but the goal is missed."""

MaxDrop: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--max-drop-pp", help="Exit with 3 if more percentage points of quality are lost.", rich_help_panel=GATES
    ),
]
MinSpeedup: TypeAlias = Annotated[
    float | None,
    typer.Option("--min-speedup", help="Exit with 3 if it is not so many times faster.", rich_help_panel=GATES),
]
MaxSize: TypeAlias = Annotated[
    float | None,
    typer.Option("--max-size-mb", help="Exit with 3 if it is larger, in millions of bytes.", rich_help_panel=GATES),
]
Baseline: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--baseline", help="Hold it against the last step of this report.json instead.", rich_help_panel=GATES
    ),
]


@dataclass(frozen=True)
class Gate:
    """What a row must reach.

    Attributes:
        goal: its limits.
        baseline: an earlier report whose last step the row is held against, and its file; None: the row's own
            baseline.
    """

    goal: "Goal"
    baseline: "tuple[Report, Path] | None"

    @property
    def is_relative(self) -> bool:
        """True if it takes another model to judge it."""
        return self.goal.max_drop_pp is not None or self.goal.min_speedup is not None

    def hold(self, report: "Report", rows: "Sequence[Row]") -> None:
        """Hold rows against the limits.

        Raises:
            InputError: the earlier report was scored on other rows, or on other targets.
            typer.Exit: with 3 if a limit is missed; one line on stderr says which. Where none is, but an interval
                reaches past one, a line says that.
        """
        from compress.report.goal import judge
        from compress.report.words import quality_words, speed_words

        missed = [] if rows else ["nothing was measured"]
        doubts = []
        for row in rows:
            against = row.versus_baseline
            if self.baseline is not None:
                earlier, path = self.baseline
                against = compare_rows(earlier, last_row(earlier, report.targets[row.target], path), report, row)
                told = f"{row.step} against {against.against} of {path}"
                say(f"{told}: {speed_words(against)}; {quality_words(against, report.test.metric)}", err=True)
            judged = judge(self.goal, row, against)
            missed += [f"{row.step}: {sentence}" for sentence in judged.missed]
            doubts += [f"{row.step}: {sentence}" for sentence in judged.doubts]
        if missed:
            say(f"missed: {'; '.join(missed)}", err=True)
            raise typer.Exit(MISSED)
        if doubts:
            say(f"met, in doubt: {'; '.join(doubts)}", err=True)


def read_gate(
    max_drop_pp: float | None, min_speedup: float | None, max_size_mb: float | None, baseline: Path | None = None
) -> Gate | None:
    """The limits as they were given, or None if none was; read before any work.

    Raises:
        InputError: a limit makes no sense, or the earlier report cannot be read.
    """
    from compress.recipe.schema import Goal
    from compress.recipe.validation import Origin, validate

    limits = {"max_drop_pp": max_drop_pp, "min_speedup": min_speedup, "max_size_mb": max_size_mb}
    given = {name: value for name, value in limits.items() if value is not None}
    if not given and baseline is None:
        return None
    goal: Goal = validate(Goal, given, Origin(), label="the options")
    return Gate(goal, None if baseline is None else (load_report(baseline, "--baseline"), baseline))


def compare_rows(first: "Report", base: "Row", second: "Report", row: "Row") -> "Comparison":
    """Rows of two reports held against each other.

    Raises:
        InputError: they were not scored on the same test rows.
    """
    from compress.machine.facts import same_machine
    from compress.report.build import compare
    from compress.report.goal import margin_pp

    if (first.test.key, first.test.metric) != (second.test.key, second.test.metric):
        raise InputError(
            f"'{first.recipe}' and '{second.recipe}' were not scored on the same test rows with the same metric",
            fix="measure both on one data set: compress bench A B --data FILE",
        )
    timed = "apart" if same_machine(first.host, second.host) else "elsewhere"
    of_rows = (other.versus_baseline.margin_pp for other in second.rows if other.versus_baseline)
    margin = margin_pp(second.goal.max_drop_pp, first.goal.max_drop_pp, *of_rows)
    return compare(base, row, second.test, margin, timed=timed)


def last_row(report: "Report", target: object, path: Path) -> "Row":
    """The last step that was measured on a target of these settings.

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


def load_report(path: Path, where: str) -> "Report":
    """A report by its file, or by the folder of its run.

    Raises:
        InputError: there is none, or it is of another form.
    """
    from compress.report.files import read_report

    file = path / "report.json" if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"there is no report '{file}'", where=where, fix="name a run's folder, or its report.json")
    report = read_report(file)
    if report is None:
        raise InputError(
            f"'{file}' is not a report of this version of compress", where=where, fix="run or bench it again"
        )
    return report
