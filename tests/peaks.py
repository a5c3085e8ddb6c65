"""What this machine's arithmetic can do at most: measured once a session, by the process that asks first."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock

from compress.machine import kernels

FILE = "COMPRESS_TESTS_PEAKS"
"""The environment variable with the file of the peaks that are known: processes that are forked read it, too."""


def known_peaks(kinds: Iterable[str], threads: int, device: kernels.Device) -> dict[str, float]:
    """What `peak_gflops` gives; it does not change from test to test."""
    path = Path(os.environ[FILE])
    names = {kind: f"{kind} {threads} {device}" for kind in kinds}
    with FileLock(f"{path}.lock"):
        known: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
        new = {kind for kind, name in names.items() if name not in known}
        if new:
            rates = kernels.peak_gflops(new, threads, device)
            known.update({names[kind]: rate for kind, rate in rates.items()})
            path.write_text(json.dumps(known))
    return {kind: known[name] for kind, name in names.items()}
