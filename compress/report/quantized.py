"""What quantizing did, as the manifest of a step tells it: what each layer costs, what was chosen, what stays float."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from compress.errors import printable
from compress.measurement import Estimate
from compress.ops import choice

FACTS = ("choice", "sensitivity", "parity", "left_in_float")
"""The facts of a manifest that are told."""
VERB = "quantize_"
"""How the names of stages begin that round."""

Said = Annotated[str, AfterValidator(printable)]
"""A name out of a graph, which may hold anything."""


class _Told(BaseModel):
    """A part of a manifest's facts, which may say more than is shown."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)


class Layer(_Told):
    """A matrix product or a table, rounded alone."""

    name: Said
    """Of its node."""
    bytes: int
    """Of its weights in float."""
    divergence: float
    """Mean Kullback-Leibler divergence of the outputs from the float model's, in nats."""
    kept_in_float: bool


class Tried(_Told):
    """A set of layers in float, measured as a whole."""

    kept: int
    """How many layers."""
    drop_pp: float
    agreement: float
    """Share of rows with the same best class as the float model's."""


class Sensitivity(_Told):
    """Which layers stay in float so that a budget holds, and how that was found."""

    rows: int
    """Held-back rows that sets of layers were measured on."""
    max_drop_pp: float
    """The budget, in percentage points."""
    layers: list[Layer]
    """In the graph's order."""
    tried: list[Tried] = Field(min_length=1)
    """The search, in its order; the last one was written."""

    @property
    def kept(self) -> list[Layer]:
        """The layers that stay in float, the most sensitive first."""
        return sorted((layer for layer in self.layers if layer.kept_in_float), key=lambda layer: -layer.divergence)


class Candidate(choice.Candidate):
    """As `compress.ops.choice` has it, read from a manifest."""

    name: Said
    reason: Said = ""

    @property
    def change(self) -> Estimate | None:
        """In percentage points; a loss is negative."""
        drop = estimate(self.drop_pp, self.drop_low_pp, self.drop_high_pp)
        return drop and -drop

    @property
    def faster(self) -> Estimate | None:
        """How many times as fast as the float model."""
        return estimate(self.speedup, self.speedup_low, self.speedup_high)


class Wanted(_Told):
    """What a choice was to reach."""

    max_drop_pp: float | None = None
    prefer: Literal["latency", "size"] = "latency"


class Choice(_Told):
    """Which of several ways to quantize was taken, and why."""

    rows: int
    """Held-back rows of which drops are told."""
    choice_rows: int | None = None
    """Others, by which the choice was made; None: these."""
    target: dict[str, Any]
    """What the latency was taken on."""
    goal: Wanted
    candidates: list[Candidate]
    """The float model among them."""
    verdict: Said


class Agreed(_Told):
    """The quantized model held against its float parent on held-back rows."""

    rows: int
    agreement: float
    """Share of rows with the same best class."""
    built_in_texts: bool = False
    """Whether the rows were a few texts that come with compress, for want of any."""
    drop_pp: float | None = None
    """With its 95% interval; None where the rows have no labels."""
    drop_low_pp: float | None = None
    drop_high_pp: float | None = None

    @property
    def change(self) -> Estimate | None:
        """In percentage points; a loss is negative."""
        drop = estimate(self.drop_pp, self.drop_low_pp, self.drop_high_pp)
        return drop and -drop


class Quantized(_Told):
    """A step that quantized, and what its manifest tells of it."""

    step: Said
    stage: Said
    choice: Choice | None = None
    sensitivity: Sensitivity | None = None
    parity: Agreed | None = None
    left_in_float: list[Said] = []
    """Nodes that could be rounded and were not."""


def estimate(value: float | None, low: float | None, high: float | None) -> Estimate | None:
    """The three as one, or None without a value."""
    return None if value is None else Estimate(value=value, low=low, high=high)


def quantized_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Those facts of a manifest that are told here, as they stand there."""
    return {name: facts[name] for name in FACTS if facts.get(name) is not None}


def read_quantized(step: str, stage: str, facts: Mapping[str, Any]) -> Quantized | None:
    """What a manifest's facts tell of a step's rounding; None for a stage that rounds nothing."""
    if not stage.startswith(VERB):
        return None
    return Quantized.model_validate({"step": step, "stage": stage, **quantized_facts(facts)})
