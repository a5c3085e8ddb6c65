"""How much memory this process has held at most."""

from contextlib import suppress
from pathlib import Path


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
