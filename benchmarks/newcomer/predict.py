"""Texts a second of `compress predict` over a file, and of a bare tokenizer and session on the same batches."""

import csv
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from benchmarks.newcomer.workplace import Workplace
from compress.data.readers import read_table
from compress.data.sources import Sources
from compress.files.whole import new_file
from compress.machine.processor import cores_here
from compress.models.expected_texts import expected_columns
from compress.models.tokenizer import load_tokenizer
from compress.recipe.yaml_file import load_recipe
from compress.use.classifier import BATCH_SIZE, WINDOW, Classifier
from compress.use.predicted_files import row_writer
from compress.use.predicting import predict_rows, rows_of_table

SAMPLES = 9
"""Of each way, taken in turns; each goes over all rows."""


def measure(place: Workplace) -> dict[str, Any]:
    """Seconds for all test rows of the run, both ways in turns in this process, both models loaded before."""
    folder, work = place.run / "final", place.new_folder("predict")
    rows, columns = work / "rows.csv", expected_columns(folder)
    texts = _write_rows(place.run / "recipe.yaml", rows, columns["text"])
    threads = cores_here()
    classifier = Classifier(folder, threads=threads)
    batches = _batches(folder, texts, classifier.max_length)
    bare = _bare(folder, classifier.max_length, threads)
    seconds: dict[str, list[float]] = {"bare": [], "predict": []}
    for turn in range(SAMPLES + 1):
        ways: list[tuple[str, Callable[[], Any]]] = [
            ("bare", lambda: [bare(batch) for batch in batches.values()]),
            ("predict", lambda: _predict(classifier, rows, work / "out.jsonl", columns)),
        ]
        for name, run in ways[:: 1 if turn % 2 else -1]:
            start = time.perf_counter()
            answer = run()
            seconds[name].append(time.perf_counter() - start)
            if name == "bare":
                logits = answer
    _check_same(classifier.labels, batches, logits, work / "out.jsonl")
    return {
        "rows": len(texts),
        "mean_letters": sum(map(len, texts)) / len(texts),
        "max_length": classifier.max_length,
        "batch_size": BATCH_SIZE,
        "threads": threads,
        "seconds": {name: samples[1:] for name, samples in seconds.items()},
    }


def figures(record: dict[str, Any]) -> dict[str, Any]:
    """What `compress predict` takes longer, by the median of the turns, and both ways' texts a second."""
    samples = record["seconds"]
    ratios = [own / bare for own, bare in zip(samples["predict"], samples["bare"], strict=True)]
    rates = {name: round(record["rows"] / median(taken)) for name, taken in samples.items()}
    return {
        "predict_overhead_pct": round(100 * (median(ratios) - 1), 1),
        "predict_texts_per_s": rates["predict"],
        "predict_bare_texts_per_s": rates["bare"],
    }


def _write_rows(recipe: Path, out: Path, text_column: str) -> list[str]:
    """The test rows of a run as a csv file, with all their columns; their texts."""
    spec = load_recipe(recipe)[0].task
    assert spec.test is not None
    table = Sources().table(spec.test)
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([table.columns, *table.rows])
    return table.column(text_column, None)


def _batches(folder: Path, texts: Sequence[str], max_length: int) -> dict[tuple[int, ...], list[str]]:
    """The batches that the classifier makes, by their rows: of like length, within a window."""
    tokenizer, batches = load_tokenizer(folder), {}
    for start in range(0, len(texts), WINDOW):
        lengths = [len(row["input_ids"]) for row in tokenizer.encode(texts[start : start + WINDOW], None, max_length)]
        order = sorted(range(len(lengths)), key=lambda place: lengths[place])
        for first in range(0, len(order), BATCH_SIZE):
            chosen = tuple(start + place for place in order[first : first + BATCH_SIZE])
            batches[chosen] = [texts[row] for row in chosen]
    return batches


def _bare(folder: Path, max_length: int, threads: int) -> Callable[[Sequence[str]], np.ndarray[Any, Any]]:
    """What the model's card shows: a batch of texts to logits, by the library's call without offsets."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(max_length)
    tokenizer.enable_padding(pad_id=load_tokenizer(folder).pad_id)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    types = {item.name: item.type[7:-1] for item in session.get_inputs()}

    def logits(texts: Sequence[str]) -> np.ndarray[Any, Any]:
        rows = tokenizer.encode_batch_fast(list(texts))
        arrays = {
            "input_ids": [row.ids for row in rows],
            "attention_mask": [row.attention_mask for row in rows],
            "token_type_ids": [row.type_ids for row in rows],
        }
        inputs = {name: np.array(arrays[name], dtype=kind) for name, kind in types.items()}
        found: np.ndarray[Any, Any] = session.run(None, inputs)[0]
        return found

    return logits


def _predict(classifier: Classifier, rows: Path, out: Path, columns: Mapping[str, str]) -> None:
    """All that `compress predict --file` does once the model is loaded: reads, asks, writes."""
    found = rows_of_table(read_table(rows), columns, None, None)
    with new_file(out) as file:
        predict_rows(classifier, found.rows, found.places, row_writer(file, ".jsonl", found.columns, 1), 1)


def _check_same(
    labels: Sequence[str],
    batches: dict[tuple[int, ...], list[str]],
    logits: Sequence[np.ndarray[Any, Any]],
    out: Path,
) -> None:
    """Both ways must have done the same work."""
    written = [json.loads(line)["predicted_label"] for line in out.read_text(encoding="utf-8").splitlines()]
    for chosen, found in zip(batches, logits, strict=True):
        said = [labels[place] for place in found.argmax(axis=-1)]
        if said != [written[row] for row in chosen]:
            raise AssertionError(f"the labels of the rows {chosen} differ: {said}")
