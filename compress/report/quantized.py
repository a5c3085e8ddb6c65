"""The part of a report about a step that quantized."""

from pydantic import Field

from compress.facts import Agreement, Choice, Part, Printable, Quantization, Sensitivity


class Quantized(Part):
    """A step that quantized, with the facts of its manifest."""

    step: Printable
    stage: Printable
    choice: Choice | None = None
    sensitivity: Sensitivity | None = None
    parity: Agreement | None = None
    left_in_float: list[Printable] = Field([])
    """Names of nodes that could be rounded and were not."""


def quantized(step: str, stage: str, facts: Quantization) -> Quantized:
    """The part about a step, from the facts of its manifest."""
    values = facts.model_dump(include=set(Quantization.model_fields))
    return Quantized.model_validate({"step": step, "stage": stage, **values})
