"""Tiny models of many families, written once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults.tiny_models import write_family

ALIKE = [pytest.param(family, marks=pytest.mark.slow) for family in ("roberta", "electra", "xlm-roberta")]
"""Families with bert's layers, for tests of nothing but layers: bert is tried by default beside them."""
FAMILIES = ["bert", "distilbert", "modernbert", *ALIKE]
"""The families whose layers are known."""
POSITIONED = ["mpnet", "deberta-v2", "deberta-v3"]
"""Families whose attention reads the distance between tokens."""


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
