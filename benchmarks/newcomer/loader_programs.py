"""What a stranger writes to load a model's folder with a library that is not this one; runs without `compress`.

`python loader_programs.py NAME FOLDER [CODE]` reads texts from standard input as a list of JSON, and answers with one
line: {"versions": …, "answers": […]}, a label for each text, asked one by one. CODE is a file with a card's own code.
"""

import contextlib
import importlib.metadata
import io
import json
import os
import sys
from ast import literal_eval
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXAMPLE = '["a text", "another"]'
"""The rows of a card's code."""
ALONE = '["a text"]'
PACKAGES = ("tokenizers", "transformers", "onnxruntime", "openvino", "torch", "optimum", "optimum-onnx")
GRAPH = "model.onnx"


@dataclass(frozen=True)
class Asked:
    """Texts, and a card's code; the folder is the current one."""

    texts: list[str]
    code: str


def card_alone(asked: Asked) -> Iterator[str]:
    """A card's code: what stands before its rows once, and the rest for each text."""
    start = asked.code.rindex("\n", 0, asked.code.index(EXAMPLE)) + 1
    names: dict[str, Any] = {}
    exec(asked.code[:start], names)  # noqa: S102  it is what a user would run
    for text in asked.texts:
        yield _printed(asked.code[start:].replace(EXAMPLE, repr([text])), names)[0]


def card_together(asked: Asked) -> Iterator[str]:
    """A card's code that takes all texts, and asks one by one itself, as a pipeline does."""
    for answer in _printed(asked.code.replace(ALONE, repr(asked.texts)).replace(EXAMPLE, repr(asked.texts)), {}):
        yield answer["label"]


def _printed(code: str, names: dict[str, Any]) -> list[Any]:
    """What the code prints, run with these names."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, names)  # noqa: S102
    printed: list[Any] = literal_eval(out.getvalue())
    return printed


def auto_tokenizer(asked: Asked) -> Iterator[str]:
    """AutoTokenizer before an onnxruntime session."""
    import onnxruntime
    from transformers import AutoTokenizer

    session = onnxruntime.InferenceSession(GRAPH, providers=["CPUExecutionProvider"])
    tokenizer = AutoTokenizer.from_pretrained(".")
    names = [item.name for item in session.get_inputs()]
    for text in asked.texts:
        row = tokenizer(text, truncation=True, return_tensors="np")
        yield _label(session.run(None, {name: row[name].astype("int64") for name in names})[0][0])


def openvino(asked: Asked) -> Iterator[str]:
    """AutoTokenizer before OpenVINO, in fp32: left to itself it takes bf16 where it can."""
    from openvino import Core
    from transformers import AutoTokenizer

    model = Core().compile_model(GRAPH, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    tokenizer = AutoTokenizer.from_pretrained(".")
    names = [item.any_name for item in model.inputs]
    for text in asked.texts:
        row = tokenizer(text, truncation=True, return_tensors="np")
        yield _label(model({name: row[name].astype("int64") for name in names})[0][0])


def optimum(asked: Asked) -> Iterator[str]:
    """optimum's model for onnxruntime, in the pipeline of transformers."""
    from optimum.onnxruntime import ORTModelForSequenceClassification
    from transformers import AutoTokenizer, pipeline

    model = ORTModelForSequenceClassification.from_pretrained(".")
    classify = pipeline("text-classification", model=model, tokenizer=AutoTokenizer.from_pretrained("."))
    for answer in classify(asked.texts, truncation=True):
        yield answer["label"]


PROGRAMS: dict[str, Callable[[Asked], Iterator[str]]] = {
    program.__name__: program for program in (card_alone, card_together, auto_tokenizer, openvino, optimum)
}


def _label(logits: Any) -> str:
    named: dict[str, str] = json.loads(Path("config.json").read_text(encoding="utf-8"))["id2label"]
    return named[str(logits.argmax())]


def versions() -> dict[str, str]:
    """Of the packages that may be in use and are there."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def main() -> None:
    """Run the program that is named."""
    name, folder, *code = sys.argv[1:]
    os.chdir(folder)
    written = Path(code[0]).read_text(encoding="utf-8") if code else ""
    answers = list(PROGRAMS[name](Asked(json.load(sys.stdin), written)))
    print(json.dumps({"versions": versions(), "answers": answers}))


if __name__ == "__main__":
    main()
