"""Gates for a pipeline: missed, a command ends with exit code 3.

`--max-drop-pp`, `--min-speedup`, `--min-end-to-end-speedup`, `--max-size-mb`, `--baseline report.json`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from compress.cli.help_pages import GATES
from compress.cli.saying import say

if TYPE_CHECKING:
    from compress.recipe.schema import Goal
    from compress.report.model import Report, Row

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
MinEndToEndSpeedup: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--min-end-to-end-speedup",
        help="Exit with 3 if it is not so many times faster from text to answer, tokenizer included.",
        rich_help_panel=GATES,
    ),
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
    """The limits that a row must keep.

    Attributes:
        goal: the limits.
        baseline: an earlier report, with whose last step the row is compared, and its file; None: the row's own
            baseline.
    """

    goal: "Goal"
    baseline: "tuple[Report, Path] | None"

    @property
    def is_relative(self) -> bool:
        """Whether a limit compares the row with another model."""
        limits = (self.goal.max_drop_pp, self.goal.min_speedup, self.goal.min_end_to_end_speedup)
        return any(limit is not None for limit in limits)

    def judge(self, report: "Report", rows: "Sequence[Row]") -> None:
        """Judge rows by the limits.

        Raises:
            InputError: the earlier report was scored on other rows, or on other targets.
            typer.Exit: with 3 if a limit is missed; one line on stderr says which. If all are kept, but an
                interval reaches past a limit, a line says that.
        """
        from compress.report.goal import judge
        from compress.report.two_reports import compare_rows, last_row
        from compress.report.words import quality_words, speed_words

        missed = [] if rows else ["nothing was measured"]
        doubts = []
        for row in rows:
            against = row.versus_baseline
            if self.baseline is not None:
                earlier, path = self.baseline
                against = compare_rows(earlier, last_row(earlier, report.targets[row.target], path), report, row)
                subject = f"{row.step} against {against.against} of {path}"
                say(f"{subject}: {speed_words(against)}; {quality_words(against, report.test.metric)}", err=True)
            judged = judge(self.goal, row, against)
            missed += [f"{row.step}: {sentence}" for sentence in judged.missed]
            doubts += [f"{row.step}: {sentence}" for sentence in judged.doubts]
        if missed:
            say(f"missed: {'; '.join(missed)}", err=True)
            raise typer.Exit(MISSED)
        if doubts:
            say(f"met, in doubt: {'; '.join(doubts)}", err=True)


def read_gate(
    max_drop_pp: float | None,
    min_speedup: float | None,
    min_end_to_end_speedup: float | None,
    max_size_mb: float | None,
    baseline: Path | None = None,
) -> Gate | None:
    """The gate of a command's options, or None if there are none; it is read before any work.

    Raises:
        InputError: a limit makes no sense, or the earlier report cannot be read.
    """
    from compress.recipe.schema import Goal
    from compress.recipe.validation import Origin, validate
    from compress.report.two_reports import load_report

    limits = {
        "max_drop_pp": max_drop_pp,
        "min_speedup": min_speedup,
        "min_end_to_end_speedup": min_end_to_end_speedup,
        "max_size_mb": max_size_mb,
    }
    set_limits = {name: value for name, value in limits.items() if value is not None}
    if not set_limits and baseline is None:
        return None
    goal: Goal = validate(Goal, set_limits, Origin(), label="the options")
    return Gate(goal, None if baseline is None else (load_report(baseline, "--baseline"), baseline))
