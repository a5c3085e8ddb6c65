"""A server that has imported the libraries and done nothing else, and the processes that are forked off it.

One of each kind serves all processes of a test session, those that are forked among them. It starts when it is first
asked, and ends with the session.
"""

import gc
import importlib
import os
import pickle
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import psutil
from filelock import FileLock

PRELOADED = {
    "torch": (
        "compress.benching.flops",
        "compress.cli",
        "compress.export.export",
        "compress.models.load",
        "compress.running.make",
        "compress.running.measure",
        "compress.training.loop",
        "tests.fresh",
        "transformers.modeling_utils",
        "transformers.models.bert.modeling_bert",
    ),
    "fitting": (
        "compress.running.baseline_process",
        "sklearn.feature_extraction.text",
        "sklearn.model_selection",
        "sklearn.svm",
        "tests.fresh",
    ),
    "graphs": (
        "compress.benching.worker",
        "compress.formats.onnx",
        "compress.machine.kernels",
        "compress.trials.trial",
        "onnx",
        "onnxruntime",
        "tests.fresh",
    ),
}
"""What the server of each kind has imported: what a process is forked off tells in its memory."""
OWNER = "COMPRESS_TESTS_OWNER"
"""The environment variable with the process that a server ends with: processes that it forks ask the same servers."""
START_SECONDS = 300.0
NUMBER = struct.Struct("i")


class Forked:
    """A process that calls a function, with what `subprocess.Popen` has.

    Args:
        call: the function, with its arguments; it finds this process's environment and folder.
        files: its standard input, output and errors, as Popen takes them.
        passed: open files that it gets, as numbers in `call`'s last argument.
        kind: of the server.
    """

    def __init__(
        self,
        call: tuple[Callable[..., Any], tuple[Any, ...]],
        files: Sequence[Any],
        passed: Sequence[int] = (),
        kind: str = "torch",
    ) -> None:
        self.stdin: Any = None
        self.stdout: Any = None
        self.returncode: int | None = None
        theirs = [self._end_of(number, file) for number, file in enumerate(files)]
        self._server = _connect(kind)
        with self._server.makefile("wb") as stream:
            socket.send_fds(self._server, [b"."], [*theirs, *passed])
            pickle.dump((dict(os.environ), Path.cwd(), *call), stream)
        for file in theirs:
            os.close(file)
        self.pid = self._number()

    def _end_of(self, number: int, file: Any) -> int:
        """What the process gets; of a pipe the other end is kept."""
        if file == subprocess.DEVNULL:
            return os.open(os.devnull, os.O_RDWR)
        if file != subprocess.PIPE:
            return os.dup(file.fileno())
        reads, writes = os.pipe()
        if number == 0:
            self.stdin = os.fdopen(writes, "wb")
            return reads
        self.stdout = os.fdopen(reads, "rb")
        return writes

    def _number(self) -> int:
        number: int = NUMBER.unpack(self._server.recv(NUMBER.size, socket.MSG_WAITALL))[0]
        return number

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._server], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a forked process", timeout or 0.0)
            self.returncode = self._number()
            self._server.close()
        return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def communicate(self) -> None:
        """Until it has ended; what it still says is lost."""
        self.stdin.close()
        self.stdout.read()
        self.stdout.close()
        self.wait()


def owner() -> str:
    """The process that starts all those of a session: this one, or that above a worker of pytest-xdist."""
    return os.environ.setdefault(OWNER, str(os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()))


def _connect(kind: str) -> socket.socket:
    path = f"{tempfile.gettempdir()}/compress-tests-{owner()}-{kind}"
    with FileLock(f"{path}.lock"):
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            _start(path, kind)
            server.connect(path)
    return server


def _start(path: str, kind: str) -> None:
    Path(path).unlink(missing_ok=True)  # of a session that was killed
    program = f"import sys; sys.path[:] = {sys.path!r}; from tests.forking import serve; serve()"
    command = [sys.executable, "-c", program, path, kind, owner()]
    with Path(f"{path}.log").open("wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    deadline = time.monotonic() + START_SECONDS
    while not Path(path).exists():
        assert process.poll() is None, Path(f"{path}.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def serve() -> None:
    """Fork a process for each that asks; `SOCKET KIND OWNER` is the command line, and the owner's end the server's."""
    path, kind, ends_with = sys.argv[1:]
    for name in PRELOADED[kind]:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that keep a process
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{path}.new")
        listening.listen(64)
        Path(f"{path}.new").rename(path)
        listening.settimeout(1.0)
        while psutil.pid_exists(int(ends_with)):
            try:
                connection, _ = listening.accept()
            except TimeoutError:
                continue
            if os.fork() == 0:
                listening.close()
                _keep(connection)
            connection.close()
    for end in ("", ".lock", ".log"):
        Path(f"{path}{end}").unlink(missing_ok=True)


def _keep(connection: socket.socket) -> NoReturn:
    """Start the process, say its number, and its exit code when it has ended; it ends with the one that asked."""
    try:
        connection.settimeout(None)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _, files, _, _ = socket.recv_fds(connection, 1, 64)
        with connection.makefile("rb") as stream:
            environment, folder, function, arguments = pickle.load(stream)  # noqa: S301  of this session
        pid = os.fork()
        if pid == 0:
            connection.close()
            _be(environment, folder, function, arguments, files)
        for file in files:
            os.close(file)
        connection.sendall(NUMBER.pack(pid))
        threading.Thread(target=_end_with, args=(connection, pid), daemon=True).start()
        _, status = os.waitpid(pid, 0)
        connection.sendall(NUMBER.pack(os.waitstatus_to_exitcode(status)))
    finally:
        os._exit(0)


def _end_with(connection: socket.socket, pid: int) -> None:
    if not connection.recv(1):
        os.kill(pid, signal.SIGKILL)


def _be(
    environment: dict[str, str],
    folder: Path,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    files: list[int],
) -> NoReturn:
    code: Any = 1
    try:
        os.setpgid(0, 0)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.path[:0] = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path not in sys.path]
        for number, file in enumerate(files[:3]):
            os.dup2(file, number)
            os.close(file)
        sys.stdin, sys.stdout, sys.stderr = (
            open(number, mode, closefd=False)  # noqa: SIM115  they stay open
            for number, mode in enumerate(("r", "w", "w"))
        )
        function(*arguments, files[3:])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  as Python itself tells it
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
