"""The workers of a Ray cluster, or of a local one that is started. The extra `ray` installs it.

Workers have this package installed. Without a shared store, they share the store's folder, the models' folders and the
cache of what was fetched, under the same paths. With one, they share no folder: each machine keeps a store of its own,
and models from outside go through the shared one too, by their content.

Each piece of work asks for as many processors as this process would use, and uses as many, so that a training gives the
same weights as here. A worker that is lost is made up for: its work starts again elsewhere, from the checkpoints in the
store, which a shared store does not have. Models are timed on a node with the resource `compress_target`, where the
cluster has one, so that their times are those of the target's kind of machine; else on any.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.errors import CompressError, InputError, Stopped
from compress.extras import need
from compress.machine.facts import host_facts
from compress.planning.plan import Plan
from compress.running.journal import Observer, Silent
from compress.running.make import make_steps
from compress.running.where import RAY
from compress.running.where.outside import models_of, stored_model, with_stored_models
from compress.store.artifacts import Artifact
from compress.store.shared import OPTION, SharedStore
from compress.store.store import Store

TARGET = "compress_target"
"""The resource of nodes that are of the target's kind."""
RETRIES = 4
"""How often work that was lost with its worker starts again."""
EVERY_SECONDS = 0.5
MAKING = "making on Ray"


@dataclass(frozen=True)
class _StorePlace:
    """Where a worker's store is.

    Attributes:
        root: the folder, where all machines have it.
        shared: the shared store; the worker then has a folder of its own.
    """

    root: str
    shared: SharedStore | None

    @classmethod
    def of(cls, store: Store) -> "_StorePlace":
        """The place for the workers of a process with this store."""
        return cls(str(store.root.resolve()), store.shared and SharedStore(store.shared.url))

    def open(self) -> Store:
        """The store of this worker."""
        return Store(Path(self.root) if self.shared is None else self.shared.local_folder(), self.shared)


class OnRay:
    """A Ray cluster; see `compress.running.where.Place`.

    Args:
        address: of the form ray://HOST:PORT. None: the cluster that the environment names, or a local one.

    Raises:
        InputError: Ray is not installed, or the cluster cannot be reached.
    """

    makes_ahead = True

    def __init__(self, address: str | None) -> None:
        need(RAY, "work on other machines", "--on")
        import ray
        import torch

        self._ray: Any = ray
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # leaves CUDA_VISIBLE_DEVICES as it is
        self._threads = torch.get_num_threads()
        self._was_there = ray.is_initialized()
        options: dict[str, Any] = {"log_to_driver": False, "include_dashboard": False} if address is None else {}
        try:
            if not self._was_there:
                self._ray.init(address=address, ignore_reinit_error=True, logging_level="ERROR", **options)
        except Exception as error:
            raise InputError(
                f"no Ray cluster answers at {address or 'this machine'}: {str(error).splitlines()[0]:.200}",
                where="--on",
                fix="start one with `ray start --head`, or name its address: ray://HOST:10001",
            ) from error

    def make(self, plans: Sequence[Plan], store: Store, observer: Observer) -> None:
        """Make the steps of plans on the cluster's workers, one plan each, as many at a time as it has processors."""
        ray = self._ray
        remote = ray.remote(max_retries=RETRIES, num_cpus=self._processors())(_make)
        if store.shared is not None:
            _share(plans, store, observer)
        place = _StorePlace.of(store)
        waiting = [remote.remote(plan, place, self._threads) for plan in plans]
        total = len(waiting)
        warnings: set[str] = set()
        while waiting:
            done, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=EVERY_SECONDS)
            if observer.stopping():
                for task in waiting:
                    ray.cancel(task, force=True)
                raise Stopped
            for task in done:
                with suppress(ray.exceptions.RayError):
                    warnings |= set(ray.get(task))
            observer.progress(MAKING, total - len(waiting), total)
        for warning in sorted(warnings):
            observer.warned(f"on a worker: {warning}")

    def timed(self, store: Store, function: Callable[..., Any], *arguments: Any) -> Any:
        """The function's result on a node of the target's kind, or on any."""
        ray = self._ray
        resources = {TARGET: 1} if ray.cluster_resources().get(TARGET) else {}
        remote = ray.remote(max_retries=RETRIES, num_cpus=self._processors(), resources=resources)(_call)
        return ray.get(remote.remote(function, arguments, _StorePlace.of(store)))

    def close(self) -> None:
        """Let go of the cluster."""
        if not self._was_there:
            self._ray.shutdown()

    def _processors(self) -> float:
        """Processors that a piece of work asks for: no more than the largest node has."""
        nodes = [node["Resources"].get("CPU", 0) for node in self._ray.nodes() if node["Alive"]]
        return min(self._threads, max(nodes, default=1))


def _share(plans: Sequence[Plan], store: Store, observer: Observer) -> None:
    """Put what workers would otherwise make again, or cannot reach, into the shared store."""
    for model in models_of(plans).values():
        stored_model(model, store, observer.warned)
    for identity in {step.identity.key: step.identity for plan in plans for step in plan.steps}.values():
        store.share(identity, observer.warned)


def _make(plan: Plan, place: _StorePlace, threads: int) -> list[str]:
    """Make a plan's steps in a worker, and return what the shared store warned of.

    An error of the user's or of a stage is left to be found again.
    """
    import torch

    torch.set_num_threads(threads)
    store = place.open()
    with suppress(CompressError):
        make_steps(plan if store.shared is None else with_stored_models(plan, store), store, host_facts(), Silent())
    return [] if store.shared is None else store.shared.warnings


def _call(function: Callable[..., Any], arguments: Sequence[Any], place: _StorePlace) -> Any:
    store = place.open()
    if store.shared is not None:
        arguments = [_taken(value, store) if isinstance(value, Artifact) else value for value in arguments]
    return function(*arguments)


def _taken(artifact: Artifact, store: Store) -> Artifact:
    """An artifact of another machine, in this worker's store.

    Raises:
        CompressError: the shared store does not have it.
    """

    def refuse(_: Path, __: Path) -> None:
        raise CompressError("a model to be timed is not in the shared store", where=OPTION, fix="run again")

    if artifact.manifest is None:
        return stored_model(artifact, store)
    return store.obtain(artifact.manifest.identity, artifact.format, refuse, host={})[0]
