"""The first code that runs in a child process: it makes the child end with its parent.

`python -P -m compress.processes.lifeline PARENT PIPE MODULE_OR_FILE …` runs a module (`-m NAME`) or a file as Python
itself would. Linux ends the process with its parent, whatever it is at (prctl(2), PR_SET_PDEATHSIG). Where PIPE is
given, a thread reads it, and ends the process when it closes with the parent: on other systems, and where the parent's
thread that starts it may end before the parent, since Linux takes that thread for the parent.
"""

import os
import runpy
import signal
import sys
import threading

PR_SET_PDEATHSIG = 1
NO_PIPE = -1


def main() -> None:
    """Tie this process to its parent, then run what the command line says."""
    parent, pipe = int(sys.argv[1]), int(sys.argv[2])
    if pipe == NO_PIPE:
        _end_with_parent()
    else:
        threading.Thread(target=_end_with_pipe, args=(pipe,), daemon=True, name="lifeline").start()
    if os.getppid() != parent:  # it ended before it could be watched
        os._exit(1)
    if sys.argv[3] == "-m":
        name = sys.argv[4]
        del sys.argv[1:5]
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    else:
        del sys.argv[:3]
        runpy.run_path(sys.argv[0], run_name="__main__")


def _end_with_parent() -> None:
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def _end_with_pipe(pipe: int) -> None:
    os.read(pipe, 1)  # nobody writes: it returns when the last end for writing is closed
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
