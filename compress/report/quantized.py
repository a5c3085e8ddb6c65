"""What is told of a step that quantized."""

from pydantic import Field

from compress.facts import Agreement, Choice, Part, Printable, Quantization, Sensitivity


class Quantized(Part):
    """A step that quantized, and what its manifest tells of it."""

    step: Printable
    stage: Printable
    choice: Choice | None = None
    sensitivity: Sensitivity | None = None
    parity: Agreement | None = None
    left_in_float: list[Printable] = Field([])
    """Nodes that could be rounded and were not."""


def quantized(step: str, stage: str, facts: Quantization) -> Quantized:
    """A step, and what is told of its facts."""
    told = facts.model_dump(include=set(Quantization.model_fields))
    return Quantized.model_validate({"step": step, "stage": stage, **told})
