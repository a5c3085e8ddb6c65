"""The facts that a stage writes into its manifest about its work, for reports and cards. Each kind is a type.

A stage names the type that it writes (`Stage.facts`); a report asks for the type. A stage may write further facts.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from compress.errors import printable
from compress.measurement import Estimate

Printable = Annotated[str, AfterValidator(printable)]
"""A text from outside, such as a name in a graph, made safe for a terminal."""


class Facts(BaseModel):
    """The facts of a stage's work; the fields are keys in the manifest."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    def manifest_facts(self) -> dict[str, Any]:
        """The fields that were set, in the form that a manifest has."""
        every = self.model_dump(serialize_as_any=True)
        return {name: every[name] for name in every if name in self.model_fields_set}

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self | None:
        """The facts of this kind in a manifest's facts; None where a required field is missing."""
        if any(field.is_required() and name not in facts for name, field in cls.model_fields.items()):
            return None
        return cls.model_validate({name: value for name, value in facts.items() if value is not None})

    @classmethod
    def part_of(cls, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The entries of a manifest's facts that are fields of this kind, unchanged."""
        return {name: facts[name] for name in cls.model_fields if facts.get(name) is not None}


class Part(BaseModel):
    """A part of facts. In a manifest it may have further keys."""

    model_config = ConfigDict(extra="ignore", defer_build=True)


class Agreement(Part):
    """A model compared with the one that it was made from, on held-back rows."""

    rows: int
    agreement: float
    """Share of rows with the same best class."""
    built_in_texts: bool = False
    """Whether the rows were the few texts that come with compress, because there were no others."""
    drop_pp: float | None = None
    """Loss of the task's metric, in percentage points, with its 95% interval; None where the rows have no labels."""
    drop_low_pp: float | None = None
    drop_high_pp: float | None = None

    @property
    def change(self) -> Estimate | None:
        """The change of the metric in percentage points, with its interval; a loss is negative."""
        drop = estimate(self.drop_pp, self.drop_low_pp, self.drop_high_pp)
        return drop and -drop


class LayerCost(Part):
    """A matrix product or a table, rounded alone."""

    name: Printable
    """The name of its node."""
    bytes: int
    """Size of its weights in float."""
    divergence: float
    """Mean Kullback-Leibler divergence of the outputs from the float model's, in nats."""
    kept_in_float: bool


class TriedSet(Part):
    """A set of layers in float, measured as a whole."""

    kept: int
    """The number of layers in float."""
    drop_pp: float
    agreement: float
    """Share of rows with the same best class as the float model's."""


class Sensitivity(Part):
    """The layers that stay in float so that a budget holds, and the search for them."""

    rows: int
    """Held-back rows that sets of layers were measured on."""
    max_drop_pp: float
    """The budget, in percentage points."""
    layers: list[LayerCost]
    """All layers, in the graph's order."""
    tried: list[TriedSet] = Field(min_length=1)
    """The sets that were measured, in their order; the last one was written."""

    @property
    def kept(self) -> list[LayerCost]:
        """The layers that stay in float, the most sensitive first."""
        return sorted((layer for layer in self.layers if layer.kept_in_float), key=lambda layer: -layer.divergence)


class Candidate(Part):
    """A model among which a choice is made, measured on held-back rows and on the target; None: not measured."""

    name: Printable
    size_bytes: int | None = None
    smaller: float | None = None
    """Size of the float model over this one's."""
    choice_drop_pp: float | None = None
    """Quality lost against the float model on the rows that the choice is made by, in percentage points."""
    drop_pp: float | None = None
    """The same on the other held-back rows, with its 95% interval. For a model that was refused before it was timed:
    on the rows that the choice is made by."""
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
    reason: Printable = ""
    """Why it was not made, or not chosen."""

    @property
    def change(self) -> Estimate | None:
        """The change of the metric in percentage points, with its interval; a loss is negative."""
        drop = estimate(self.drop_pp, self.drop_low_pp, self.drop_high_pp)
        return drop and -drop

    @property
    def faster(self) -> Estimate | None:
        """The latency of the float model over this one's, with its interval."""
        return estimate(self.speedup, self.speedup_low, self.speedup_high)


class ChoiceGoal(Part):
    """The goal of a choice: the largest loss of quality, and what to make small within it."""

    max_drop_pp: float | None = None
    prefer: Literal["latency", "size"] = "latency"


class Choice(Part):
    """The choice among several ways to quantize, with its reasons."""

    rows: int
    """The number of held-back rows on which drops are measured."""
    choice_rows: int | None = None
    """The number of other rows by which the choice was made; None: the same rows."""
    target: dict[str, Any]
    """The target on which latency was measured."""
    goal: ChoiceGoal
    candidates: list[Candidate]
    """All candidates, with the float model."""
    verdict: Printable


class Quantization(Facts):
    """The facts of quantizing."""

    choice: Choice | None = None
    sensitivity: Sensitivity | None = None
    parity: Agreement | None = None
    """The agreement with the float model."""
    left_in_float: list[Printable] = []
    """Nodes that could be rounded but stay in float."""


class Trimming(Facts):
    """The facts of taking tokens out of a vocabulary."""

    tokens_before: int
    tokens_after: int
    validation_split_differently: float | None = None
    """Share of the validation rows' tokens that split in another way than before."""


class Transfer(Facts):
    """The facts of the rows that a student learned beside the task's own."""

    variants: int
    """Number of variants of rows."""
    variants_in_test: int
    """Number of variants that equal a test row, and were left out."""
    variants_test_key: str
    """Fingerprint of those test rows."""


class BundledGraph(Part):
    """One of several graphs in a folder."""

    file: str
    """The graph's path in the folder."""
    dtype: str
    """The name of its number format in transformers.js."""
    size_bytes: int
    parity: Agreement | None = None
    """The agreement with the float graph."""


class Bundle(Facts):
    """Graphs of one model in several number formats, side by side."""

    formats: dict[str, BundledGraph]
    """The graphs by number format."""
    left_out: dict[str, str]
    """The number formats that are left out, each with the reason."""
    main: str
    """The number format that is used where none is named."""
    parity: Agreement | None = None
    """The agreement of the main graph with the float graph."""


def estimate(value: float | None, low: float | None, high: float | None) -> Estimate | None:
    """An estimate from a value and the ends of its interval; None without a value."""
    return None if value is None else Estimate(value=value, low=low, high=high)
