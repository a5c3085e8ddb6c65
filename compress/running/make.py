"""The making of a plan's artifacts, step by step; those that the store has are taken from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress import stages
from compress.context import Context, Rehearsal
from compress.errors import CompressError, Stopped
from compress.facts import Facts
from compress.formats import find
from compress.planning.feasibility import training_device
from compress.planning.outside import check_outside
from compress.planning.plan import Plan, PlannedStep, artifact_of
from compress.recipe.schema import role_of
from compress.running.journal import Observer
from compress.store.artifacts import Artifact, DamagedArtifactError, Identity
from compress.store.store import Store
from compress.trials.trial import try_graph


def stored_artifact(step: PlannedStep, store: Store) -> Artifact | None:
    """The step's artifact, if it is in the store and not damaged."""
    try:
        return store.get(step.identity)
    except DamagedArtifactError:
        return None


def make_steps(
    plan: Plan,
    store: Store,
    host: Mapping[str, Any],
    observer: Observer,
    *,
    done: Mapping[str, Artifact] | None = None,
    rehearsal: Rehearsal | None = None,
) -> tuple[dict[str, Artifact], bool]:
    """The artifact of each planned step, by the step's name, and whether any had to be made.

    Args:
        done: artifacts by step that are used as they are, in whatever folder.
        rehearsal: the limits, where the steps are made only for a rehearsal, into a store that is thrown away.

    Raises:
        CompressError: a step failed; the steps before it are kept.
        Stopped: the user has asked to stop; the steps before it, and checkpoints of the one at work, are kept.
    """
    maker = _Maker(plan, store, host, observer, rehearsal, dict(done or {}))
    made_any = False
    for step in plan.steps:
        if step.name not in maker.artifacts:
            made_any |= maker.obtain(step)
    return maker.artifacts, made_any


@dataclass(frozen=True)
class _Maker:
    """The maker of one plan's steps; it adds each artifact to `artifacts`."""

    plan: Plan
    store: Store
    host: Mapping[str, Any]
    observer: Observer
    rehearsal: Rehearsal | None
    artifacts: dict[str, Artifact]

    def obtain(self, step: PlannedStep) -> bool:
        """Take or make a step's artifact, and say whether it was made."""

        def make(out: Path, work: Path) -> Mapping[str, Any] | None:
            if self.observer.stopping():
                raise Stopped
            self.observer.step_started(step.name, step.stage_name)
            self._try_graphs(step)
            self._check_outside(step)
            facts = step.stage.run(config=step.config, context=self._context(step, work), out=out, **self._inputs(step))
            return _manifest_facts(facts, step)

        try:
            artifact, made = self._obtain(step.identity, step.stage.output, make)
        except Exception as error:
            failure = _failure(step, error)
            if failure is None:
                raise
            raise failure from error
        self.artifacts[step.name] = artifact
        seconds = artifact.manifest.seconds if artifact.manifest else 0.0
        self.observer.step_done(step.name, step.stage_name, seconds, made)
        return made

    def _try_graphs(self, step: PlannedStep) -> None:
        """Try graphs from outside in another process, before a stage runs them in this one."""
        for value in step.inputs.values():
            if isinstance(value, Artifact) and (graph := find(value.format).graph) is not None:
                try_graph(graph(value.path), self.plan.task, self.plan.recipe.bench.max_call_s)

    def _check_outside(self, step: PlannedStep) -> None:
        """Compare the models from outside that a step reads with plain transformers."""
        for name, value in step.inputs.items():
            requirement = step.stage.inputs[role_of(name)]
            if not isinstance(value, Artifact) or requirement.head == "own":
                continue
            remark = check_outside(
                value,
                self.plan.task,
                makes_head=requirement.head == "made",
                trust_remote_code=self.plan.recipe.trust_remote_code,
            )
            if remark:
                self.observer.warned(f"step '{step.name}': {remark}")

    def _inputs(self, step: PlannedStep) -> dict[str, Artifact | tuple[Artifact, ...] | None]:
        """The artifacts that a stage's `run` takes, by role."""
        inputs: dict[str, Artifact | tuple[Artifact, ...] | None] = {}
        for role, requirement in step.stage.inputs.items():
            values = [value for name, value in step.inputs.items() if role_of(name) == role]
            artifacts = tuple(artifact_of(value, self.artifacts) for value in values)
            inputs[role] = artifacts if requirement.many else next(iter(artifacts), None)
        return inputs

    def _obtain(self, identity: Identity, output_format: str, make: Any) -> tuple[Artifact, bool]:
        return self.store.obtain(
            identity,
            output_format,
            make,
            host=self._host(identity),
            warn=self.observer.warned,
            stopping=self.observer.stopping,
        )

    def _host(self, identity: Identity) -> Mapping[str, Any]:
        """The facts of this machine, with the version of the plug-in that a stage comes from."""
        plugin = stages.REGISTRY.plugin(identity.stage) if identity.package else None
        if plugin is None:
            return self.host
        return {**self.host, "versions": {**self.host.get("versions", {}), plugin.package: plugin.version}}

    def _context(self, step: PlannedStep, work: Path) -> Context:
        task, recipe = self.plan.task, self.plan.recipe

        def cached(name: str, config: Mapping[str, Any], inputs: Mapping[str, str], make: Any) -> Artifact:
            identity = Identity(name, 1, config, inputs, step.identity.data, 0, step.identity.package)
            return self._obtain(identity, "arrays", lambda out, _: make(out))[0]

        return Context(
            task=task,
            seed=recipe.seed,
            device=training_device(recipe),
            trust_remote_code=recipe.trust_remote_code,
            work=work,
            progress=self.observer.progress,
            cached=cached,
            stopping=self.observer.stopping,
            rehearsal=self.rehearsal,
            host=self.host,
        )


def _manifest_facts(facts: Facts | Mapping[str, Any] | None, step: PlannedStep) -> Mapping[str, Any] | None:
    """The facts that a stage returned, in the form that a manifest has.

    Raises:
        CompressError: it is of another type than the stage said.
    """
    returned, expected = type(facts) if isinstance(facts, Facts) else Facts, step.stage.facts
    if returned is not expected:
        raise CompressError(
            f"the stage {step.stage_name} gives {returned.__name__}, and says that it gives {expected.__name__}",
            fix=f"let its Stage say facts={returned.__name__}, or its run return {expected.__name__}",
        )
    return facts.manifest_facts() if isinstance(facts, Facts) else facts


def _failure(step: PlannedStep, error: Exception) -> CompressError | None:
    """The error to show for a step's failure; None if it is a bug of this program."""
    if isinstance(error, CompressError):
        what = f"step '{step.name}' failed: {error.what}"
        return type(error)(what, where=error.where or step.where, fix=error.fix)
    if _is_out_of_memory(error):
        return CompressError(
            f"step '{step.name}' ran out of memory",
            where=step.where,
            fix="lower batch_size (gradient_accumulation makes up for it) or max_length",
        )
    if step.identity.package is None:
        return None
    first = next(iter(str(error).splitlines()), "")
    return CompressError(
        f"step '{step.name}' failed in the package {step.identity.package}: {type(error).__name__}: {first[:300]}",
        where=step.where,
        fix=f"run again with --debug, and report it to those who make {step.identity.package}",
    )


def _is_out_of_memory(error: Exception) -> bool:
    """Whether the error says that memory of a processor or a GPU has run out."""
    if not isinstance(error, RuntimeError):
        return isinstance(error, MemoryError)
    return "out of memory" in str(error) or "can't allocate memory" in str(error)
