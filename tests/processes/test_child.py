"""Processes of our own end with the one that started them, are bounded, and import nothing from where it works."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from compress.benching.process import WorkerProcess
from compress.processes.child import Child, ChildError, start

PYTHON = (sys.executable, "-P")
SOON = 60.0
STARTS = """
import subprocess, sys, threading, time
from compress.processes.child import start

def begin():
    global child
    child = start([sys.executable, "-P", sys.argv[1]], stdout=subprocess.DEVNULL)

{begin}
print(child.pid, flush=True)
time.sleep(1000)
"""
FROM = {"the main thread": "begin()", "a thread that ends": "t = threading.Thread(target=begin); t.start(); t.join()"}
ANSWERS = """
import json, sys, time
sys.stdin.readline()
def say(**value):
    print(json.dumps(value), flush=True)
"""


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], list[str]]:
    def write(text: str) -> list[str]:
        (tmp_path / "script.py").write_text(text)
        return [*PYTHON, str(tmp_path / "script.py")]

    return write


@pytest.fixture
def children() -> Iterator[None]:
    yield
    assert [child for child in psutil.Process().children() if "compress.processes.lifeline" in child.cmdline()] == []


def is_gone(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("begin", FROM.values(), ids=FROM.keys())
def test_a_process_ends_with_the_one_that_started_it_and_not_with_its_thread(
    script: Callable[[str], list[str]], tmp_path: Path, begin: str
) -> None:
    alive = tmp_path / "alive"
    command = script(f"import pathlib, time\npathlib.Path({str(alive)!r}).touch()\ntime.sleep(1000)\n")
    (tmp_path / "parent.py").write_text(STARTS.format(begin=begin))
    parent = subprocess.Popen([*PYTHON, str(tmp_path / "parent.py"), command[-1]], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    deadline = time.monotonic() + SOON
    while not alive.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert alive.exists()
    assert not is_gone(pid, 0.2), "its thread has ended, and it must not"
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert is_gone(pid, SOON)


def test_a_process_whose_parent_has_ended_before_it_could_be_watched_does_nothing(
    script: Callable[[str], list[str]], tmp_path: Path
) -> None:
    command = script(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    line = [*PYTHON, "-m", "compress.processes.lifeline", str(os.getppid()), "-1", command[-1]]
    assert subprocess.run(line, check=False).returncode == 1
    assert not (tmp_path / "ran").exists()


def test_nothing_is_imported_from_the_current_folder_not_even_by_its_own_processes(
    script: Callable[[str], list[str]], tmp_path: Path
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    for name in ("multiprocessing", "runpy", "compress", "numpy"):
        (here / f"{name}.py").write_text("open('ran', 'w')\n")
    program = "import multiprocessing, numpy, subprocess, sys, compress\n"
    command = script(program + f"subprocess.run([sys.executable, '-c', {program!r}], check=True)\n")
    process = start(command, cwd=here, stderr=subprocess.PIPE)
    assert process.communicate()[1] == b""
    assert process.returncode == 0
    assert [path.name for path in here.iterdir() if path.suffix != ".py"] == []


@pytest.mark.usefixtures("children")
def test_signs_of_life_are_no_answers_and_silence_ends_it(script: Callable[[str], list[str]]) -> None:
    text = "for _ in range(8):\n    time.sleep(0.1)\n    say(alive=True)\nsay(five=5)\nsay(six=6)\ntime.sleep(1000)\n"
    with Child(script(ANSWERS + text)) as child:
        assert child.ask({}, 0.7, first=SOON) == {"five": 5}  # after 0.8 s
        assert child.answer(SOON) == {"six": 6}
        with pytest.raises(ChildError, match=r"^stopped: no answer for 0 s$"):
            child.answer(0.1)
        assert is_gone(child.pid, SOON)


@pytest.mark.usefixtures("children")
def test_with_too_much_memory_it_is_stopped(script: Callable[[str], list[str]]) -> None:
    text = "kept = []\nwhile True:\n    kept.append(b'x' * 10_000_000)\n    time.sleep(0.03)\n"
    with (
        Child(script(ANSWERS + text), memory_bytes=100_000_000) as child,
        pytest.raises(ChildError, match=r"^stopped: it had taken 0\.\d GB of memory, and may take 0\.1$"),
    ):
        child.ask({}, SOON)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("sys.exit('no room left')", "exit code 1: no room left"),
        ("sys.stdout.write('{'); sys.stdout.flush(); import os; os._exit(4)", "exit code 4: no message"),
        ("import os; os.kill(os.getpid(), 9)", "killed by signal 9: often for want of memory"),
    ],
)
@pytest.mark.usefixtures("children")
def test_how_it_died_is_told(script: Callable[[str], list[str]], end: str, reason: str) -> None:
    with Child(script(ANSWERS + end)) as child, pytest.raises(ChildError) as caught:
        child.ask({}, SOON)
    assert caught.value.what == reason


@pytest.mark.usefixtures("children")
def test_a_worker_whose_call_does_not_end_fails_with_that_reason(
    script: Callable[[str], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compress.benching.process.ALIVE_SECONDS", 0.0)
    monkeypatch.setattr("compress.benching.process.STARTING", 600)
    text = "time.sleep(0.5)\nsay(alive=True)\nsay(load_ms=1)\nsys.stdin.readline()\ntime.sleep(1000)\n"
    worker = WorkerProcess(script(ANSWERS + text), tmp_path / "log", max_call_s=0.3)
    assert worker.ask({"folder": "x"}) == {"load_ms": 1}  # starting may take longer
    assert worker.ask({"do": "round", "turn": 0}) is None
    assert (worker.status, worker.reason) == ("failed", "stopped: no answer for 0 s")
    assert worker.ask({"do": "memory"}) is None
    worker.end()


def test_a_terminals_interrupt_is_not_heard(script: Callable[[str], list[str]]) -> None:
    process = start(script("import time\ntime.sleep(1000)\n"))
    assert os.getpgid(process.pid) == process.pid != os.getpgid(0)
    process.kill()
    assert process.wait() == -signal.SIGKILL
