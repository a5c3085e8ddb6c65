"""The workers of a Ray cluster, or of a local one that is started. The extra `ray` installs it.

Workers share the store's folder, the model's folders and the cache of what was fetched, under the same paths, and have
this package installed. Each piece of work asks for as many processors as this process would use, and uses as many, so
that a training gives the same weights as here. A worker that is lost is made up for: its work starts again elsewhere,
from the checkpoints in the store. Models are timed on a node with the resource `compress_target`, where the cluster has
one, so that their times are those of the target's kind of machine; else on any.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from compress.context import Progress
from compress.errors import CompressError, InputError, Stopped
from compress.extras import need
from compress.machine.facts import host_facts
from compress.planning.plan import Plan
from compress.running.journal import Silent
from compress.running.make import make_steps
from compress.running.where import RAY
from compress.store.store import Store

TARGET = "compress_target"
"""The resource of nodes that are of the target's kind."""
RETRIES = 4
"""How often work that was lost with its worker starts again."""
EVERY_SECONDS = 0.5
MAKING = "making on Ray"


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

    def make(self, plans: Sequence[Plan], store: Store, progress: Progress, stopping: Callable[[], bool]) -> None:
        """Make the steps of plans on the cluster's workers, one plan each, as many at a time as it has processors."""
        ray = self._ray
        remote = ray.remote(max_retries=RETRIES, num_cpus=self._processors())(_make)
        root = str(store.root.resolve())
        waiting = [remote.remote(plan, root, self._threads) for plan in plans]
        total = len(waiting)
        while waiting:
            _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=EVERY_SECONDS)
            if stopping():
                for task in waiting:
                    ray.cancel(task, force=True)
                raise Stopped
            progress(MAKING, total - len(waiting), total)

    def timed(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The function's result on a node of the target's kind, or on any."""
        ray = self._ray
        resources = {TARGET: 1} if ray.cluster_resources().get(TARGET) else {}
        remote = ray.remote(max_retries=RETRIES, num_cpus=self._processors(), resources=resources)(_call)
        return ray.get(remote.remote(function, arguments))

    def close(self) -> None:
        """Let go of the cluster."""
        if not self._was_there:
            self._ray.shutdown()

    def _processors(self) -> float:
        """Processors that a piece of work asks for: no more than the largest node has."""
        nodes = [node["Resources"].get("CPU", 0) for node in self._ray.nodes() if node["Alive"]]
        return min(self._threads, max(nodes, default=1))


def _make(plan: Plan, root: str, threads: int) -> None:
    """Make a plan's steps in a worker; an error of the user's or of a stage is left to be found again."""
    import torch

    torch.set_num_threads(threads)
    with suppress(CompressError):
        make_steps(plan, Store(Path(root)), host_facts(), Silent())


def _call(function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    return function(*arguments)
