"""Runs Python with ONNX Runtime's AVX2 kernels: `python -m avx2_only [--again] -m pytest -m int8`."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence

from avx2_only import NotHereError, Processes, avx2_only, seen
from compress.errors import CompressError

USAGE = """usage: python -m avx2_only [--again] ARGUMENTS OF PYTHON
  Runs Python on a processor that has AVX2 and, as ONNX Runtime sees it, neither AVX-512, VNNI nor AMX.
  --again  the same has been run as the processor is: where nothing is to be hidden, or it cannot be, do not run it
  --seen   run nothing; print what this process sees and computes
"""


def main(arguments: Sequence[str]) -> int:
    """Run Python as asked; its exit code."""
    if list(arguments) == ["--seen"]:
        print(json.dumps(seen()))
        return 0
    again = list(arguments[:1]) == ["--again"]
    command = list(arguments[again:])
    if not command:
        print(USAGE, end="", file=sys.stderr)
        return 2
    try:
        with avx2_only() as processes:
            return _run(command, processes, again=again)
    except NotHereError as error:
        print(f"AVX2 alone cannot be shown here: {error}", file=sys.stderr)
        return 0 if again else 1
    except CompressError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run(command: Sequence[str], processes: Processes, *, again: bool) -> int:
    print(f"AVX2 alone: {processes.how}\nproof: {json.dumps(dict(processes.proof))}", flush=True)
    if again and not processes.environment:
        print("not run again: this is how it has been run", flush=True)
        return 0
    environment = {**os.environ, **processes.environment}
    return subprocess.run([sys.executable, *command], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
