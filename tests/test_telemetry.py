"""Nothing is sent to anybody: onnxruntime leaves no trace of its telemetry behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("given", [None, "0"])
def test_telemetry_is_off_unless_the_user_says_otherwise(tmp_path: Path, given: str | None) -> None:
    surroundings = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    surroundings |= {"TMPDIR": str(tmp_path)} | ({} if given is None else {"ORT_DISABLE_TELEMETRY": given})
    code = "import os, compress, onnxruntime; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    said = subprocess.run(
        [sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, check=True
    ).stdout
    assert said.strip() == (given or "1")
    if given is None:
        assert list(tmp_path.iterdir()) == []  # with telemetry on, onnxruntime keeps a session file there
