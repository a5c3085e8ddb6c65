"""Other tools than this one's packages: installed in places of their own, and asked in processes of their own."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).parent / "loader_programs.py"
OPTIMUM = ("optimum-onnx[onnxruntime]", "torch==2.13.*")
TRANSFORMERS_JS = "@huggingface/transformers@4"
SECONDS = 1200
JS_END = 'console.log(await classify("a text"));'
JS_HEAD = """\
import { env, pipeline } from "@huggingface/transformers";
import fs from "node:fs";
env.allowRemoteModels = false;
env.localModelPath = "PARENT/";
const texts = JSON.parse(fs.readFileSync(0));
const answers = [];
"""
JS_TAIL = """\
for (const text of texts) answers.push(await classify(text));
console.log(JSON.stringify({ versions: { "@huggingface/transformers": env.version }, answers }));
"""
JS_PIPELINE = """\
const asked = await pipeline("text-classification", "NAME", { dtype: "DTYPE" });
const classify = async (text) => (await asked(text))[0].label;
"""


class CannotTryError(Exception):
    """A tool cannot be installed here, or its program failed; the message says why."""


def card_code(folder: Path, language: str, containing: str) -> str:
    """The one block of a card's code in a language that holds a text."""
    card = (folder / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(rf"```{language}\n(.*?)```", card, flags=re.DOTALL)
    (found,) = (block for block in blocks if containing in block)
    return str(found)


def install_optimum(folder: Path) -> Path:
    """A virtual environment with optimum-onnx, which pins an older transformers; returns its Python.

    Raises:
        CannotTryError: it cannot be installed.
    """
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    _run([str(python), "-m", "pip", "install", "--quiet", *OPTIMUM])
    return python


def install_transformers_js(folder: Path) -> Path:
    """A folder with transformers.js, without its packages' scripts: one of them fetches libraries for CUDA alone.

    Raises:
        CannotTryError: there is no node, or it cannot be installed.
    """
    if shutil.which("npm") is None:
        raise CannotTryError("there is no npm here")
    folder.mkdir(exist_ok=True)
    (folder / "package.json").write_text('{"type": "module"}\n', encoding="utf-8")
    _run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", TRANSFORMERS_JS], cwd=folder)
    return folder


def ask_python(
    program: str, folder: Path, texts: Sequence[str], *, code: str = "", python: str = sys.executable
) -> dict[str, Any]:
    """Answers of a program of `loader_programs.py`.

    Raises:
        CannotTryError: it failed.
    """
    extra: list[str] = []
    if code:
        written = folder.parent / f"{folder.name}-{program}.txt"
        written.write_text(code, encoding="utf-8")
        extra = [str(written.resolve())]
    said = _run([python, str(PROGRAMS), program, str(folder.resolve()), *extra], texts)
    return dict(json.loads(said.splitlines()[-1]))


def ask_javascript(place: Path, folder: Path, texts: Sequence[str], dtype: str, code: str = "") -> dict[str, Any]:
    """Answers in node of a folder with `onnx/`, by a card's code; without code, by transformers.js' own pipeline.

    Args:
        place: where transformers.js is installed.
        dtype: the graph, as transformers.js calls it.

    Raises:
        CannotTryError: it failed.
    """
    body = code.replace(JS_END, "") if code else JS_PIPELINE
    body = re.sub(r'dtype: "\w+"', f'dtype: "{dtype}"', body).replace('"NAME"', json.dumps(folder.name))
    head = JS_HEAD.replace("PARENT", str(folder.resolve().parent))
    program = place / "ask.mjs"
    program.write_text(head + body + JS_TAIL, encoding="utf-8")
    return dict(json.loads(_run(["node", str(program)], texts).splitlines()[-1]))


def _run(command: Sequence[str], texts: Sequence[str] | None = None, cwd: Path | None = None) -> str:
    """Standard output of a process that is told texts as JSON."""
    given = None if texts is None else json.dumps(list(texts))
    settings = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run(
        command, input=given, cwd=cwd, env=settings, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if done.returncode:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise CannotTryError(f"{Path(command[0]).name} ended with {done.returncode}: {' '.join(lines[-3:])[-400:]}")
    return done.stdout
