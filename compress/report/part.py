"""The base class of a report's parts; a report.json may come from anywhere."""

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from compress.errors import printable

SHOWN = (
    *("step", "stage", "parent", "target", "status", "reason", "against", "speed_verdict", "quality_verdict"),
    *("missed", "doubts", "recipe", "metric", "targets", "task", "host", "baseline", "notes"),
    *("title", "short", "settings"),
)
"""Fields of a report's parts that are printed on a terminal; test rows are not, and stay as they are."""


class Part(BaseModel):
    """A part of a report, whose names and sentences are safe to print on a terminal."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    @field_validator(*SHOWN, check_fields=False)
    @classmethod
    def _make_printable(cls, value: Any) -> Any:
        return _printable(value)


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if isinstance(value, dict):
        return {_printable(key): _printable(item) for key, item in value.items()}
    return value
