"""The cost of a piece of work: wall time, processor time, memory."""

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
    """The time that a step has taken.

    Attributes:
        seconds: wall time.
        cpu_seconds: processor time of all threads of the process.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0


class Meter:
    """The meter of a step's cost from now on, added to its cost before an interruption.

    Args:
        work: the step's folder for files that survive an interruption.
    """

    def __init__(self, work: Path) -> None:
        self._file = work / SPENT
        self._before = _read(self._file)
        self._start, self._cpu_start = time.perf_counter(), time.process_time()

    @property
    def spent(self) -> Spent:
        """The time up to now."""
        return Spent(
            self._before.seconds + time.perf_counter() - self._start,
            self._before.cpu_seconds + time.process_time() - self._cpu_start,
        )

    def note(self) -> None:
        """Write the time into the step's folder, so that a run that continues from here counts it."""
        write_text(self._file, json.dumps(asdict(self.spent)))


def _read(file: Path) -> Spent:
    try:
        spent = Spent(**read_json(file))
        return Spent(float(spent.seconds), float(spent.cpu_seconds))
    except (OSError, ValueError, TypeError):
        return Spent()  # the step was not interrupted, or only before its first checkpoint


def peak_memory_bytes() -> int:
    """Largest resident memory of this process so far, or since `forget_peak_memory`.

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
    """Reset the peak of memory; False if the system cannot (Linux can: proc(5), clear_refs)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return True
    return False
