"""Models from outside, for workers that do not have their folders: kept in the store by their content."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from compress.data.sources import folder_hashes
from compress.files.whole import link_file
from compress.formats import check_folder
from compress.planning.plan import Plan
from compress.store.artifacts import Artifact, Identity
from compress.store.store import Store


def stored_model(model: Artifact, store: Store, warn: Callable[[str], None] = lambda _: None) -> Artifact:
    """A model from outside in a folder of the store: taken from there, or else copied from its own folder.

    Raises:
        CompressError: it is nowhere.
    """

    def copy(out: Path, _: Path) -> None:
        for name in sorted({*folder_hashes(model.path), *check_folder(model.path)}):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            link_file(model.path / name, out / name, share=False)

    identity = Identity("model", 1, {}, {"content": model.key}, "", 0)
    kept, _ = store.obtain(identity, model.format, copy, host={}, warn=warn)
    return Artifact(kept.path, model.key, model.format)


def models_of(plans: Iterable[Plan]) -> dict[str, Artifact]:
    """The models from outside that steps of plans read, by their keys."""
    inputs = [value for plan in plans for step in plan.steps for value in step.inputs.values()]
    return {value.key: value for value in inputs if isinstance(value, Artifact)}


def with_stored_models(plan: Plan, store: Store) -> Plan:
    """The plan with its models from outside in folders of the store.

    Raises:
        CompressError: one is nowhere.
    """
    stored = {key: stored_model(model, store) for key, model in models_of([plan]).items()}

    def here(value: str | Artifact) -> str | Artifact:
        return stored[value.key] if isinstance(value, Artifact) else value

    steps = [replace(step, inputs={role: here(value) for role, value in step.inputs.items()}) for step in plan.steps]
    return replace(plan, steps=tuple(steps))
