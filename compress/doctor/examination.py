"""One artifact, taken apart in a process of its own: `python -m compress.doctor.examination`.

It reads a job from standard input as JSON and answers with lines of JSON: {"progress": [WHAT, DONE, TOTAL]} while it
works, and at last {"facts": …, "findings": …}, or {"refused": …} for an artifact that cannot be examined. So a file
that makes a library crash ends this process and not its parent, which imports none of them.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from compress.context import Progress
from compress.data.sources import Sources
from compress.doctor.advice import Finding
from compress.doctor.examined import Examination, Examined
from compress.errors import CompressError, InputError, printable

ROWS = 2000
"""Rows that are tokenized, spread over all of them."""
UNBOUNDED = 1_000_000


def find_artifact(source: str, sources: Sources) -> tuple[Path, Path | None]:
    """The folder of an artifact, and its ONNX file where the user named one.

    Args:
        source: a folder, an .onnx file, hf://… or pypi://….

    Raises:
        InputError: there is none, or several.
    """
    path = Path(source).expanduser()
    if path.suffix == ".onnx" and path.is_file():
        return path.parent, path
    if not path.is_dir():
        return sources.model(source, "the command line").path, None
    graphs = sorted(path.glob("*.onnx"))
    if len(graphs) > 1 and path / "model.onnx" not in graphs:
        raise InputError(
            f"{len(graphs)} .onnx files, and none is called model.onnx",
            where=str(path),
            fix=f"give one of the files themselves: {', '.join(map(str, graphs[:3]))}, …",
        )
    if graphs:
        return path, None
    if not (path / "config.json").is_file():
        inside = {str(item.parent) for depth in ("*", "*/*") for item in path.glob(f"{depth}/config.json")}
        near = sorted(inside, key=lambda name: (name.count("/"), name))[:4]
        raise InputError(
            f"the folder '{source}' holds no model: no .onnx file, no config.json",
            where="the command line",
            fix=f"give one of {', '.join(near)}"
            if near
            else "give a folder with model.onnx, or with config.json and model.safetensors",
        )
    return sources.model(source, "the command line").path, None


def row_tokens(folder: Path, texts: Sequence[str], pairs: Sequence[str] | None) -> list[int]:
    """Tokens of rows spread over all, each as long as it is.

    Raises:
        InputError: the model has no tokenizer that can be read.
    """
    from compress.models.tokenizer import load_tokenizer

    beside = next((place for place in (folder, folder.parent) if (place / "tokenizer.json").is_file()), folder)
    step = max(1, -(-len(texts) // ROWS))
    encoded = load_tokenizer(beside).encode(texts[::step], pairs and pairs[::step], UNBOUNDED)
    return [len(row["input_ids"]) for row in encoded]


def examine(job: Examination, progress: Progress) -> Examined:
    """Examine an artifact in a fresh process.

    Raises:
        InputError: it cannot be read or run, with the reason.
        CompressError: the process died.
    """
    command = [sys.executable, "-P", "-m", "compress.doctor.examination"]
    answer: dict[str, Any] = {}
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(BrokenPipeError):  # it died at once: its exit code says more
                process.stdin.write(json.dumps(asdict(job)))
                process.stdin.close()
            for line in process.stdout:
                answer = json.loads(line)
                if "progress" in answer:
                    progress(*answer["progress"])
        errors.seek(0)
        last = next(iter(reversed(errors.read().strip().splitlines())), "no message")
    if "refused" in answer:
        kind = InputError if answer["input"] else CompressError
        raise kind(**answer["refused"])
    if "facts" not in answer:
        code = process.returncode
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}: {last[:300]}"
        raise CompressError(
            f"examining the model failed ({how})", where=job.file or job.folder, fix="check that its files are whole"
        )
    facts = answer["facts"]
    facts |= {  # names of operators come out of the file
        "file": printable(facts["file"]),
        "time_by_operator": {printable(op): share for op, share in facts["time_by_operator"].items()},
    }
    findings = [
        Finding(printable(what), printable(told), printable(fix), cost) for what, told, fix, cost in answer["findings"]
    ]
    return Examined(facts, findings)


def main() -> None:
    """Examine the artifact of the job on standard input."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print must not mix with the answers

    def answer(value: Mapping[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    def progress(what: str, done: int, total: int) -> None:
        answer({"progress": [what, done, total]})

    job = Examination(**json.load(sys.stdin))
    try:
        if job.file is not None or any(Path(job.folder).glob("*.onnx")):
            from compress.doctor.graph import examine_onnx as examine_it
        else:
            from compress.doctor.eager import examine_torch as examine_it
        examined = examine_it(job, progress)
    except CompressError as error:
        told = {"what": error.what, "where": error.where, "fix": error.fix}
        answer({"refused": told, "input": isinstance(error, InputError)})
    else:
        answer({"facts": examined.facts, "findings": examined.findings})


if __name__ == "__main__":
    main()
