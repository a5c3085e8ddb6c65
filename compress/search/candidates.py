"""Candidates: models that a search may make, each an ordinary recipe after the teacher's steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from compress.recipe.schema import Family, Recipe

RawStep = Mapping[str, Any]
MODEL, ONNX, LAST = "model", "onnx", "final"
"""Names of a candidate's own model, of its graph, and of what is measured."""


@dataclass(frozen=True)
class Candidate:
    """A model that the search may make.

    Attributes:
        name: unique in a search, and short: `layers-4`.
        family: its kind.
        words: what it is, for readers.
        steps: its own steps after the teacher's, as a recipe writes them; the last is named `model`. Empty: the teacher
            itself.
        share: the share of its whole training that it gets, 1 for all of it.
        ending: the steps after the export, the last of them named `final`.
        in_float: whether it stays as it was exported.
        quantized: how it is quantized, where that was chosen for it; empty: as all candidates are at first.
    """

    name: str
    family: Family
    words: str
    steps: tuple[RawStep, ...]
    share: float = 1.0
    ending: tuple[RawStep, ...] = ()
    in_float: bool = False
    quantized: str = ""

    @property
    def label(self) -> str:
        """Its name, with the share of its training if that is not all, and with how it is quantized."""
        name = f"{self.name}, {self.quantized}" if self.quantized else self.name
        return name if self.share == 1 else f"{name}, {self.share:.0%} trained"

    @property
    def is_trained(self) -> bool:
        """Whether anything is trained for it."""
        return any(step["stage"] != "trim_vocabulary" for step in self.steps)

    def with_share(self, share: float) -> "Candidate":
        """The same candidate with another share of its training."""
        return replace(self, share=share)

    def with_ending(self, ending: Sequence[RawStep], quantized: str = "") -> "Candidate":
        """The same candidate with other steps after its export."""
        return replace(self, ending=tuple(ending), quantized=quantized)

    def recipe(self, start: Recipe, folds: Mapping[str, Any] | None = None) -> Recipe:
        """The recipe that makes it.

        Args:
            start: the recipe of the search, whose steps end with the teacher.
            folds: changes of the task: which of the training rows are held out.
        """
        teacher = start.steps[-1].name
        own = [self._trained(step) for step in self.steps]
        exported = MODEL if own else teacher
        steps = [*own, {"name": ONNX, "stage": "export_onnx", "model": exported}, *self.ending]
        data = start.model_dump(mode="json", exclude_unset=True)
        data.pop("search", None)
        data["steps"] = [*data["steps"], *(dict(step) for step in steps)]
        data["task"] = {**data["task"], **(folds or {})}
        return Recipe.model_validate(data)

    def _trained(self, step: RawStep) -> RawStep:
        """A step with its share of the passes over the rows."""
        if self.share == 1:
            return step
        shorter = {"epochs": round(step["epochs"] * self.share, 4)} if "epochs" in step else {}
        return {**step, **shorter} | ({"recover": self._trained(step["recover"])} if "recover" in step else {})
