"""A worker for which the folder `dies` is the end of each process but the first."""

import os
import sys
from pathlib import Path
from typing import Any

from compress.benching import worker


def load(folder: Path, *arguments: Any, real: Any = worker.load, **options: Any) -> Any:
    if Path(folder).name == "dies":
        started = Path(sys.argv[1])
        before = started.exists()
        with started.open("a") as log:
            log.write("dies")
        if before:
            os._exit(9)
    return real(folder, *arguments, **options)


worker.SETTLE_SECONDS = 0.0  # nothing here spins
worker.load = load
worker.main()
