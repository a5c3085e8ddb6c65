"""A run's folders in the tools that others load them with: 200 texts, and the answers that measuring had.

The float graph, its int8 form for other runtimes (`compress quantize --form qdq`), a bundle (`compress bundle`) and a
torch model (`compress trim`) are made of the run's steps by commands, as a person would.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import compress
from benchmarks.newcomer.other_loaders import (
    CannotTryError,
    ask_javascript,
    ask_python,
    card_code,
    install_optimum,
    install_transformers_js,
)
from benchmarks.newcomer.workplace import Workplace
from compress.data.sources import Sources
from compress.lineage.model import Data, Lineage, read_lineage
from compress.models.config_file import labels_of
from compress.models.tokenizer import Tokenizer, load_tokenizer
from compress.recipe.schema import Target
from compress.runtimes import Predictor, load
from compress.runtimes.onnxruntime import open_file

EACH = 100
"""Short texts, and long ones."""
SHORT = 0.5
"""Of the tokens that are kept, what a short text has at the most."""
UNBOUNDED = 1_000_000
JS_PIPELINE = "transformers.js' own pipeline, bundle, q8"
"""Only looked at: it cuts the token off that ends a text, whatever the folder says."""
Ask = Callable[[], dict[str, Any]]
"""Gives `answers`, a label for each text, and `versions`."""


@dataclass(frozen=True)
class Loader:
    """One tool on one folder.

    Attributes:
        name: of both.
        ask: how.
        expected: answers as measuring had them, of the same graph or model.
        counts: False for what is only looked at.
    """

    name: str
    ask: Ask
    expected: list[str]
    counts: bool = True


def measure(place: Workplace) -> dict[str, Any]:
    """Every loader's answers held against what measuring said."""
    final = place.run / "final"
    lineage = read_lineage(final)
    assert lineage.data is not None
    texts = _texts(lineage, load_tokenizer(final))
    tried, untried = [], []
    for loader in _loaders(place, lineage, texts):
        try:
            told = loader.ask()
        except CannotTryError as error:
            untried.append({"loader": loader.name, "why": str(error)})
            continue
        differ = [at for at, both in enumerate(zip(told["answers"], loader.expected, strict=True)) if len({*both}) > 1]
        tried.append(
            {
                "loader": loader.name,
                "counts": loader.counts,
                "versions": told["versions"],
                "differ_short": sum(at < EACH for at in differ),
                "differ_long": sum(at >= EACH for at in differ),
            }
        )
    return {"texts": len(texts), "max_length": lineage.data.max_length, "tried": tried, "untried": untried}


def figures(record: dict[str, Any]) -> dict[str, Any]:
    """How many loaders were tried, and how many gave the same 200 answers."""
    differ = {item["loader"]: item["differ_short"] + item["differ_long"] for item in record["tried"]}
    counted = [differ[item["loader"]] for item in record["tried"] if item["counts"]]
    looked_at = {"transformers_js_pipeline_differs": differ[JS_PIPELINE]} if JS_PIPELINE in differ else {}
    return {"loaders": len(counted), "loaders_same_answer": counted.count(0), **looked_at}


def _loaders(place: Workplace, lineage: Lineage, texts: list[str]) -> Iterator[Loader]:
    work, final = place.new_folder("loaders"), place.run / "final"
    made = _made(work, place.run, lineage)
    measured = {name: _measured(folder, texts) for name, folder in {**made, "final": final}.items() if name != "web"}
    python = card_code(final, "python", "onnxruntime")
    yield Loader(
        "onnxruntime by the card's code", lambda: ask_python("card_alone", final, texts, code=python), measured["final"]
    )
    yield Loader("compress.Classifier", lambda: _classified(final, texts), measured["final"])
    for name, folder in (("final", final), ("float", made["float"]), ("qdq", made["qdq"])):
        ask = _bound(ask_python, "auto_tokenizer", folder, texts)
        yield Loader(f"AutoTokenizer and onnxruntime, {name}", ask, measured[name])
    for name in ("float", "qdq"):
        yield Loader(f"OpenVINO, {name}", _bound(ask_python, "openvino", made[name], texts), measured[name])
    code = card_code(made["torch"], "python", "pipeline")
    yield Loader(
        "transformers by the card's code, torch",
        lambda: ask_python("card_together", made["torch"], texts, code=code),
        measured["torch"],
    )
    yield from _with_optimum(work, final, made["web"], texts, measured["final"])
    yield from _with_javascript(work, made["web"], texts)


def _with_optimum(work: Path, final: Path, web: Path, texts: list[str], expected: list[str]) -> Iterator[Loader]:
    found: dict[str, str] = {}

    def ask(program: str, folder: Path, code: str = "") -> dict[str, Any]:
        if not found:
            found["python"] = str(install_optimum(work / "optimum"))
        return ask_python(program, folder, texts, code=code, python=found["python"])

    yield Loader("optimum, final", lambda: ask("optimum", final), expected)
    code = card_code(web, "python", "optimum")
    yield Loader(
        "optimum by the card's code, bundle",
        lambda: ask("card_together", web, code),
        _measured_graphs(web, texts)["q8"],
    )


def _with_javascript(work: Path, web: Path, texts: list[str]) -> Iterator[Loader]:
    found: list[Path] = []

    def ask(dtype: str, code: str) -> dict[str, Any]:
        if not found:
            found.append(install_transformers_js(work / "javascript"))
        return ask_javascript(found[0], web, texts, dtype, code)

    code = card_code(web, "js", "AutoTokenizer")
    expected = _measured_graphs(web, texts)
    for dtype, answers in expected.items():
        yield Loader(f"transformers.js by the card's code, bundle, {dtype}", _bound(ask, dtype, code), answers)
    yield Loader(JS_PIPELINE, _bound(ask, "q8", ""), expected["q8"], counts=False)


def _bound(function: Callable[..., dict[str, Any]], *arguments: Any) -> Ask:
    return lambda: function(*arguments)


def _made(work: Path, run: Path, lineage: Lineage) -> dict[str, Path]:
    """Final folders that commands write, by name."""
    data = lineage.data
    assert data is not None
    made = {name: work / name for name in ("float", "qdq", "web", "torch")}
    rows = ["--train", _table(lineage, "task.train"), "--max-length", str(data.max_length)]
    rows += ["--text-column", data.columns.get("text", "text"), "--label-column", data.columns.get("label", "label")]
    for command, model, more, name in (
        ("export", run / "steps" / "pruned", [], "float"),
        ("quantize", made["float"], ["--form", "qdq"], "qdq"),
        ("bundle", made["float"], [], "web"),
        ("trim", run / "steps" / "student", [], "torch"),
    ):
        line = [sys.executable, "-m", "compress", command, str(model), *rows, *more, "-o", str(made[name])]
        line += ["--runs-dir", str(work / f"runs-{name}")]
        subprocess.run(line, cwd=work, check=True, capture_output=True, text=True)
    return made


def _table(lineage: Lineage, place: str) -> str:
    return next(source.pinned for source in lineage.sources if place in source.places)


def _texts(lineage: Lineage, tokenizer: Tokenizer) -> list[str]:
    """The first short texts of the test rows, and the first that are cut."""
    data = lineage.data
    assert data is not None
    sources = Sources(announce=lambda _: None)
    every = sources.table(_table(lineage, "task.test"), "task.test").column(data.columns["text"], "task.columns.text")
    lengths = [len(row["input_ids"]) for row in tokenizer.encode(every, None, UNBOUNDED)]
    both = list(zip(every, lengths, strict=True))
    short = [text for text, length in both if length <= SHORT * data.max_length][:EACH]
    long = [text for text, length in both if length > data.max_length][:EACH]
    assert (len(short), len(long)) == (EACH, EACH)
    return short + long


def _measured(folder: Path, texts: list[str]) -> list[str]:
    """Answers of a folder as measuring has them: by the bench's own tokenizer and runtime, one by one."""
    runtime = "onnxruntime" if read_lineage(folder).final.format == "onnx" else "torch"
    return _answers(load(folder, Target.model_validate({"runtime": runtime}), _data(folder).hub_task), folder, texts)


def _measured_graphs(web: Path, texts: list[str]) -> dict[str, list[str]]:
    """The same of each graph of a bundle, by its dtype."""
    formats = read_lineage(web).final.facts["formats"].values()
    return {
        item["dtype"]: _answers(open_file(web / item["file"], ["CPUExecutionProvider"], 1), web, texts)
        for item in formats
    }


def _answers(predict: Predictor, folder: Path, texts: list[str]) -> list[str]:
    tokenizer, labels = load_tokenizer(folder), labels_of(folder)
    rows = tokenizer.encode(texts, None, _data(folder).max_length)
    return [labels[int(np.argmax(predict(tokenizer.pad([row]))[0]))] for row in rows]


def _data(folder: Path) -> Data:
    data = read_lineage(folder).data
    assert data is not None
    return data


def _classified(folder: Path, texts: list[str]) -> dict[str, Any]:
    classifier = compress.Classifier(folder, batch_size=1)
    return {
        "versions": {"compress-models": compress.__version__},
        "answers": [item.label for item in classifier(texts)],
    }


if __name__ == "__main__":
    print(json.dumps(measure(Workplace(Path(sys.argv[1]), Path(sys.argv[2]))), indent=1))
