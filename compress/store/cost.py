"""What a piece of work has cost: time by the clock, time of processors, memory."""

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from compress.files.strict_json import read_json
from compress.files.whole import write_text

SPENT = "spent.json"


@dataclass(frozen=True)
class Spent:
    """Time that went into a step.

    Attributes:
        seconds: by the clock.
        cpu_seconds: of all threads of the process.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0


class Meter:
    """Counts what a step costs from now on, and what it had cost when it was cut.

    Args:
        work: the step's folder for what survives a cut.
    """

    def __init__(self, work: Path) -> None:
        self._file = work / SPENT
        self._before = _read(self._file)
        self._start, self._cpu_start = time.perf_counter(), time.process_time()

    @property
    def spent(self) -> Spent:
        """Up to now."""
        return Spent(
            self._before.seconds + time.perf_counter() - self._start,
            self._before.cpu_seconds + time.process_time() - self._cpu_start,
        )

    def note(self) -> None:
        """Write it down: a run that goes on from here counts it too."""
        write_text(self._file, json.dumps(asdict(self.spent)))


def _read(file: Path) -> Spent:
    try:
        spent = Spent(**read_json(file))
        return Spent(float(spent.seconds), float(spent.cpu_seconds))
    except (OSError, ValueError, TypeError):
        return Spent()  # the step was not cut, or before its first checkpoint


def peak_memory_bytes() -> int:
    """Largest resident memory of this process so far, or since it was last forgotten.

    Linux's ru_maxrss is inherited from the parent over exec, so the kernel's own high-water mark is read there.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def forget_peak_memory() -> bool:
    """Count the peak anew from now on; False where the system cannot (Linux can: proc(5), clear_refs)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return True
    return False
