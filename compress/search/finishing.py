"""The last steps of a finalist: of all ways of quantizing, the one that pays on the target."""

from compress.errors import CompressError
from compress.facts import Choice, Quantization
from compress.ops.choice import FLOAT
from compress.search.race import Looked, Race
from compress.search.space import TRANSFORMERS, ending
from compress.stages.quantize_onnx_auto import Config, ways

QUANTIZATION_DROP_PP = 0.3
"""Points that quantizing may lose."""


def finished(race: Race, looked: Looked) -> Looked:
    """A finalist with the cheaper of two endings that seem to keep the margin: its own, and what `quantize_onnx_auto`
    chooses for it.

    The chosen way is written as the step that makes it, so that the winner is made again bit by bit.
    """
    candidate, facts = looked.candidate, race.facts
    if candidate.family not in TRANSFORMERS or candidate.in_float:
        return looked
    settings = {"max_drop_pp": QUANTIZATION_DROP_PP, "prefer": race.minimize, "target": race.scorer.target}
    step = {"stage": "quantize_onnx_auto", **settings, "target": race.scorer.target.model_dump(mode="json")}
    try:
        artifact = race.maker.make(candidate.with_ending(ending(candidate, facts, step), "every way"))
    except CompressError as error:
        race.failed[f"{candidate.label}, every way of quantizing"] = error.what
        return looked
    quantization = Quantization.read(artifact.facts)
    assert quantization is not None
    name = _chosen(quantization.choice)
    way = None if name == FLOAT else _ways(Config(**settings))[name]
    chosen = None if way is None else {"stage": way[0], **way[1]}
    other = race.look(candidate.with_ending(ending(candidate, facts, chosen), name))
    kept = [one for one in (looked, other) if one.drop.value <= race.margin] or [looked]
    return min(kept, key=lambda one: race.cost(one.standing))


def _chosen(choice: Choice | None) -> str:
    assert choice is not None
    return next(candidate.name for candidate in choice.candidates if candidate.chosen)


def _ways(config: Config) -> dict[str, tuple[str, dict[str, object]]]:
    """The stage and settings of each way of quantizing, by its name."""
    first = ways(config)
    every = [*first, *(instead for way in first for instead in way.instead)]
    return {way.name: (way.stage, way.settings) for way in every}
