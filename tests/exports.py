"""Graphs of networks that tests export again and again: each network is traced and fused once a session."""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import once


@pytest.fixture(scope="module")
def exported_once(shared: Path) -> Iterator[None]:
    """For tests of what is done with a graph, not of how it is made: equal networks give one graph.

    Networks are equal if their classes, configurations, layers and weights are.
    """
    from compress.export import export as exporting

    (shared / "exports").mkdir(exist_ok=True)
    real = exporting.export

    def export(network: Any, path: Path, **settings: Any) -> Any:
        def make(folder: Path) -> None:
            counts = real(network, folder / "model.onnx", **settings)
            (folder / "counts.json").write_text(json.dumps(counts))

        made = once(shared / "exports" / key_of(network, settings), make)
        shutil.copyfile(made / "model.onnx", path)
        return json.loads((made / "counts.json").read_text())

    with pytest.MonkeyPatch.context() as patch:
        for module in list(sys.modules.values()):
            if getattr(module, "export", None) is real:
                patch.setattr(module, "export", export)
        yield


def key_of(network: Any, settings: dict[str, Any]) -> str:
    """What a graph depends on, as a name of a folder."""
    key = hashlib.sha256(repr((network, network.config.to_json_string(), sorted(settings.items()))).encode())
    for name, tensor in network.state_dict().items():
        key.update(f"{name} {tensor.dtype}".encode())
        key.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return key.hexdigest()[:32]
