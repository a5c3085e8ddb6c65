"""What runs a graph and gives what the checks read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from compress.benching.flops import profile
from compress.doctor.executed import ProfiledGraph, read_events
from tests.doctor.subjects import normal, same_rates


@pytest.fixture
def subject(tmp_path: Path) -> Callable[..., ProfiledGraph]:
    """Runs a model on `x` and gives what the checks read; `us` sets the time of operators by their kind."""

    def run(
        model: onnx.ModelProto, x: np.ndarray[Any, Any] | None = None, us: dict[str, float] | None = None, **given: Any
    ) -> ProfiledGraph:
        path = tmp_path / "made.onnx"
        onnx.save(model, path)
        batch = {"x": normal(1, 32, 64) if x is None else x}
        nodes = read_events([profile(path, batch, 1, 2)])
        if us is not None:
            nodes = [item._replace(us=us.get(item.op, 0.0)) for item in nodes]
        settings = {"latency_ms": {1: 1.0}, "rates": same_rates, "operator": lambda *_: 1.0, **given}
        return ProfiledGraph(model=model, nodes=nodes, threads=1, length=32, **settings)

    return run
