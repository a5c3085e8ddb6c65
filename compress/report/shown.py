"""The rows that tables and pictures show: steps measured as one artifact, as a model and its export, share a row."""

from collections.abc import Sequence

from compress.report.model import Report, Row


class ShownRow(Row):
    """A row for one step or for several; its `step` and `stage` name all of them."""

    names: list[str]
    """Names of the steps, in their order."""


def shown_rows(report: Report, target: str) -> list[ShownRow]:
    """The rows of a target, each artifact once, in the place of its last step."""
    by_artifact: dict[str, list[Row]] = {}
    for row in report.on(target):
        by_artifact[row.artifact] = [*by_artifact.pop(row.artifact, []), row]
    return [_together(rows) for rows in by_artifact.values()]


def _together(rows: Sequence[Row]) -> ShownRow:
    """One row for all steps of an artifact, with the gains of the first one and the costs of all."""
    first, names = rows[0], [row.step for row in rows]
    seconds = [row.seconds for row in rows if row.seconds is not None]
    cpu_seconds = [row.cpu_seconds for row in rows if row.cpu_seconds is not None]
    made_in_bytes = [row.made_in_bytes for row in rows if row.made_in_bytes is not None]
    merged = {
        "step": ", ".join(names),
        "stage": ", ".join(dict.fromkeys(row.stage for row in rows)),
        "names": names,
        "seconds": sum(seconds) if seconds else None,
        "cpu_seconds": sum(cpu_seconds) if cpu_seconds else None,
        "made_in_bytes": max(made_in_bytes, default=None),
    }
    return ShownRow.model_construct(**(dict(first) | merged))
