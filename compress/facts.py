"""What a stage says of its work in the manifest, for rooms that tell of it: each kind has a type.

A stage names the type that it writes (`Stage.facts`); who tells of it asks for the type. A stage may say more beside.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from compress.errors import printable
from compress.measurement import Estimate

Said = Annotated[str, AfterValidator(printable)]
"""A name out of a graph, which may hold anything."""


class Facts(BaseModel):
    """What a stage says of its work: its fields are keys in the manifest."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True, defer_build=True)

    def written(self) -> dict[str, Any]:
        """What of it was given, as it stands in a manifest."""
        every = self.model_dump(serialize_as_any=True)
        return {name: every[name] for name in every if name in self.model_fields_set}

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self | None:
        """That kind of facts out of a manifest's; None where they lack what the kind cannot be without."""
        if any(field.is_required() and name not in facts for name, field in cls.model_fields.items()):
            return None
        return cls.model_validate({name: value for name, value in facts.items() if value is not None})

    @classmethod
    def part_of(cls, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Those of a manifest's facts that this kind has a name for, as they stand there."""
        return {name: facts[name] for name in cls.model_fields if facts.get(name) is not None}


class Part(BaseModel):
    """A part of facts. A manifest may say more of it."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True, defer_build=True)


class Agreement(Part):
    """A model held against the one that it was made from, on held-back rows."""

    rows: int
    agreement: float
    """Share of rows with the same best class."""
    built_in_texts: bool = False
    """Whether the rows were a few texts that come with compress, for want of any."""
    drop_pp: float | None = None
    """Loss of the task's metric, in percentage points, with its 95% interval; None where the rows have no labels."""
    drop_low_pp: float | None = None
    drop_high_pp: float | None = None

    @property
    def change(self) -> Estimate | None:
        """In percentage points; a loss is negative."""
        drop = estimate(self.drop_pp, self.drop_low_pp, self.drop_high_pp)
        return drop and -drop


class LayerCost(Part):
    """A matrix product or a table, rounded alone."""

    name: Said
    """Of its node."""
    bytes: int
    """Of its weights in float."""
    divergence: float
    """Mean Kullback-Leibler divergence of the outputs from the float model's, in nats."""
    kept_in_float: bool


class Tried(Part):
    """A set of layers in float, measured as a whole."""

    kept: int
    """How many layers."""
    drop_pp: float
    agreement: float
    """Share of rows with the same best class as the float model's."""


class Sensitivity(Part):
    """Which layers stay in float so that a budget holds, and how that was found."""

    rows: int
    """Held-back rows that sets of layers were measured on."""
    max_drop_pp: float
    """The budget, in percentage points."""
    layers: list[LayerCost]
    """In the graph's order."""
    tried: list[Tried] = Field(min_length=1)
    """The search, in its order; the last one was written."""

    @property
    def kept(self) -> list[LayerCost]:
        """The layers that stay in float, the most sensitive first."""
        return sorted((layer for layer in self.layers if layer.kept_in_float), key=lambda layer: -layer.divergence)


class Candidate(Part):
    """A model that may be taken, measured on held-back rows and on the target; None where it could not be."""

    name: Said
    size_bytes: int | None = None
    smaller: float | None = None
    """Size of the float model over this one's."""
    choice_drop_pp: float | None = None
    """Quality lost against the float model on the rows that the choice is made by, in percentage points."""
    drop_pp: float | None = None
    """The same on the other held-back rows, with its 95% interval; of one that was refused before it was timed, on the
    rows that the choice is made by."""
    drop_low_pp: float | None = None
    drop_high_pp: float | None = None
    agreement: float | None = None
    """Share of the other rows with the same best class as the float model's."""
    latency_ms: float | None = None
    """Median at the target's length."""
    speedup: float | None = None
    """Latency of the float model over this one's, with its 95% interval."""
    speedup_low: float | None = None
    speedup_high: float | None = None
    chosen: bool = False
    reason: Said = ""
    """Why it was not made, or not chosen."""

    @property
    def change(self) -> Estimate | None:
        """In percentage points; a loss is negative."""
        drop = estimate(self.drop_pp, self.drop_low_pp, self.drop_high_pp)
        return drop and -drop

    @property
    def faster(self) -> Estimate | None:
        """How many times as fast as the float model."""
        return estimate(self.speedup, self.speedup_low, self.speedup_high)


class Wanted(Part):
    """What a choice was to reach."""

    max_drop_pp: float | None = None
    prefer: Literal["latency", "size"] = "latency"


class Choice(Part):
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


class Quantization(Facts):
    """What quantizing did."""

    choice: Choice | None = None
    sensitivity: Sensitivity | None = None
    parity: Agreement | None = None
    """Against the float model."""
    left_in_float: list[Said] = []
    """Nodes that could be rounded and were not."""


class Trimming(Facts):
    """What taking tokens out of a vocabulary did."""

    tokens_before: int
    tokens_after: int
    validation_split_differently: float | None = None
    """Share of the validation rows' tokens that split in another way than before."""


class BundledGraph(Part):
    """One of several graphs in a folder."""

    file: str
    """Its path in the folder."""
    dtype: str
    """What transformers.js calls it."""
    size_bytes: int
    parity: Agreement | None = None
    """Against the float graph."""


class Bundle(Facts):
    """Graphs of one model in several number formats, side by side."""

    formats: dict[str, BundledGraph]
    """By number format."""
    left_out: dict[str, str]
    """Number format -> why it is not there."""
    main: str
    """The one that others take where none is named."""
    parity: Agreement | None = None
    """Of the main one."""


def estimate(value: float | None, low: float | None, high: float | None) -> Estimate | None:
    """The three as one, or None without a value."""
    return None if value is None else Estimate(value=value, low=low, high=high)
