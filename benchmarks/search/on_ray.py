"""Is a search on Ray's workers the same as on one machine, and is a worker that is lost made up for?"""

import argparse
import json
import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.search.__main__ import MODEL, RESULTS, SOURCES
from compress.machine.facts import host_facts
from compress.recipe.schema import Recipe
from compress.recipe.validation import Origin
from compress.running.journal import Silent
from compress.search.run import Found, run_search

NODES = 3
AT_WORK = "ray::_make"
"""How Ray names the process of a worker that makes a candidate."""
EVERY_SECONDS = 0.05


def main() -> None:
    """Search here and on a local cluster of several workers, one of which is killed; compare what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.on_ray", description=__doc__)
    parser.add_argument("--rows", type=int, default=600, help="training rows of Reuters R8")
    asked = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    found: dict[str, Found] = {}
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch, local_cluster() as killer:
        for place in (None, "ray"):
            name = place or "here"
            start = time.monotonic()
            if place is not None:
                killer.start()
            runs = Path(scratch) / name
            found[name] = run_search(_recipe(asked.rows), Origin(), runs, Silent(), lambda _: None, on=place)
            seconds[name] = time.monotonic() - start
        graphs = [one.result.artifacts[one.plan.recipe.steps[-1].name].path / "model.onnx" for one in found.values()]
        same = (
            found["here"].plan.recipe == found["ray"].plan.recipe and len({path.read_bytes() for path in graphs}) == 1
        )
    raw = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": host_facts(),
        "nodes": NODES,
        "workers_killed": len(killer.killed),
        "seconds": seconds,
        "winners": {name: one.plan.recipe.model_dump(mode="json", exclude_unset=True) for name, one in found.items()},
        "same_bytes": same,
    }
    RESULTS.write("on_ray", raw, indent=1)
    recovered = bool(killer.killed) and same
    RESULTS.write(
        "summary",
        {**RESULTS.read("summary"), "ray_same_result": int(same), "ray_lost_worker_recovered": int(recovered)},
        indent=1,
    )
    print(json.dumps({key: raw[key] for key in ("workers_killed", "seconds", "same_bytes")}, indent=1))


class Killer(threading.Thread):
    """A thread that kills the first worker that makes a candidate.

    Attributes:
        killed: the number of the process, once it is killed.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.killed: list[int] = []
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Look for one, and kill it."""
        while not self._stop_asked.is_set() and not self.killed:
            for process in psutil.process_iter(["cmdline"]):
                command = process.info["cmdline"]
                if command and command[0].startswith(AT_WORK):
                    os.kill(process.pid, signal.SIGKILL)
                    self.killed.append(process.pid)
                    break
            time.sleep(EVERY_SECONDS)

    def stop(self) -> None:
        """Look no longer."""
        self._stop_asked.set()


@contextmanager
def local_cluster() -> Iterator[Killer]:
    """A cluster of Ray on this machine, of nodes with one processor each; gives a killer, which is not yet started."""
    import ray
    from ray.cluster_utils import Cluster

    nodes: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "resources": {"compress_target": 1}})
    for _ in range(NODES - 1):
        nodes.add_node(num_cpus=1)
    ray.init(address=nodes.address, log_to_driver=False, logging_level=logging.ERROR)
    killer = Killer()
    try:
        yield killer
    finally:
        killer.stop()
        ray.shutdown()
        nodes.shutdown()


def _recipe(rows: int) -> Recipe:
    train, test = SOURCES["r8"]
    teacher = {"name": "teacher", "stage": "finetune", "model": MODEL, "epochs": 2, "train_length": 48}
    return Recipe.model_validate(
        {
            "name": "on-ray",
            "task": {
                "train": train,
                "test": test,
                "columns": {"text": "Text", "label": "Category"},
                "train_rows": rows,
                "overlap": "allow",
            },
            "steps": [{**teacher, "learning_rate": 1e-4, "head_learning_rate": 3e-3}],
            "targets": {"cpu": {"threads": 1}},
            "goal": {"max_drop_pp": 5.0},
            "baselines": "none",
            "search": {"folds": 2, "families": ["linear", "convolution"]},
        }
    )


if __name__ == "__main__":
    main()
