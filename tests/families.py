"""Tiny models of many families, written once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults.tiny_models import write_family


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a model: `family("gpt2", head=True)`; the same folder for the same arguments, not to be changed."""
    made: dict[str, Path] = {}

    def write(name: str, **settings: Any) -> Path:
        key = f"{name} {settings}"
        if key not in made:
            made[key] = write_family(tmp_path_factory.mktemp("family") / name, name, **settings)
        return made[key]

    return write
