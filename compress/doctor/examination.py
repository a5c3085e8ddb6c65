"""The examination of one artifact in a child process: `python -m compress.doctor.examination`.

It reads a job from standard input as JSON and answers with lines of JSON: {"progress": [WHAT, DONE, TOTAL]} while it
works, and at last {"facts": …, "findings": …}, or {"refused": …} for an artifact that cannot be examined. So a file
that makes a library crash or hang ends only this process; its parent imports none of these libraries.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from compress.context import Progress
from compress.data.sources import Sources
from compress.doctor.advice import Finding
from compress.doctor.examined import Examination, Examined
from compress.errors import CompressError, InputError, printable
from compress.formats import find, format_of
from compress.models.files import folder_of, graphs_in
from compress.processes.child import Child, ChildError, from_parent
from compress.trials.trial import try_tokenizer

ROWS = 2000
"""Number of rows that are tokenized, spread over all rows."""
UNBOUNDED = 1_000_000
SECONDS = 600.0
"""Most seconds between two answers of the process; a graph's first call has fewer: see `doctor.graph.call_ms`."""


def find_artifact(source: str, sources: Sources) -> tuple[Path, Path | None]:
    """The folder of an artifact, and its ONNX file if the user named one.

    Args:
        source: a folder, an .onnx file, hf://… or pypi://….

    Raises:
        InputError: there is no artifact, or there are several.
    """
    path = Path(source).expanduser()
    if path.suffix == ".onnx" and path.is_file():
        return folder_of(path), path
    if not path.is_dir():
        return sources.model(source, "the command line").path, None
    graphs = graphs_in(path)
    if len(graphs) > 1 and graphs[0].parent == path and path / "model.onnx" not in graphs:
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
    """Numbers of tokens of rows that are spread over all rows.

    Raises:
        InputError: the model has no tokenizer that can be read.
    """
    from compress.models.tokenizer import load_tokenizer

    beside = next((place for place in (folder, folder.parent) if (place / "tokenizer.json").is_file()), folder)
    step = max(1, -(-len(texts) // ROWS))
    try_tokenizer(beside, lambda: [*texts[::step], *(pairs or ())[::step]])
    encoded = load_tokenizer(beside).encode(texts[::step], pairs and pairs[::step], UNBOUNDED)
    return [len(row["input_ids"]) for row in encoded]


def examine(job: Examination, progress: Progress) -> Examined:
    """The examination of an artifact in a fresh process.

    Raises:
        InputError: the artifact cannot be read or run, with the reason.
        CompressError: the process died.
    """
    with Child([sys.executable, "-P", "-m", "compress.doctor.examination"]) as process:
        try:
            answer = process.ask(asdict(job), SECONDS)
            while "progress" in answer:
                progress(*answer["progress"])
                answer = process.answer(SECONDS)
        except ChildError as error:
            raise CompressError(
                f"examining the model failed ({error.what})",
                where=job.file or job.folder,
                fix="check that its files are whole, and that a call of it ends",
            ) from error
    if "refused" in answer:
        kind = InputError if answer["input"] else CompressError
        raise kind(**answer["refused"])
    facts = answer["facts"]
    facts |= {  # names of operators are from the file
        "file": printable(facts["file"]),
        "time_by_operator": {printable(op): share for op, share in facts["time_by_operator"].items()},
    }
    findings = [
        Finding(printable(what), printable(evidence), printable(fix), cost)
        for what, evidence, fix, cost in answer["findings"]
    ]
    return Examined(facts, findings)


def main() -> None:
    """Examine the artifact of the job on standard input."""
    job, answer = from_parent()

    def progress(what: str, done: int, total: int) -> None:
        answer({"progress": [what, done, total]})

    try:
        examined = _examined(Examination(**job), progress)
    except CompressError as error:
        job = {"what": error.what, "where": error.where, "fix": error.fix}
        answer({"refused": job, "input": isinstance(error, InputError)})
    else:
        answer({"facts": examined.facts, "findings": examined.findings})


def _examined(job: Examination, progress: Progress) -> Examined:
    """The examination of a graph or of a torch model, in this process.

    Raises:
        InputError: the model is neither, or cannot be read or run.
    """
    name = format_of(Path(job.file or job.folder))
    form = find(name)
    if form.graph is not None:
        from compress.doctor.graph import examine_onnx as examine_it
    elif form.in_transformers:
        from compress.doctor.eager import examine_torch as examine_it
    else:
        raise InputError(
            f"doctor does not know how to look into the format '{name}'",
            where=job.folder,
            fix="give an ONNX graph, or a model that transformers loads",
        )
    examined = examine_it(job, progress)
    return Examined({**examined.facts, "format": name}, examined.findings)


if __name__ == "__main__":
    main()
