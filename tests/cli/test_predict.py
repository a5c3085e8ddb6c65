"""`compress predict`: texts and files of rows, to labels with probabilities."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compress.use import asked
from compress.use.classifier import Classifier
from tests.classifiers import TEXTS


@pytest.fixture(autouse=True)
def _graphs_are_taken_as_tried(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Except where a test asks for it: a process of its own takes seconds."""
    if "trials" not in request.fixturenames:
        monkeypatch.setattr(asked, "try_graph_on", lambda *_: None)


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each trial of a graph had; they are done."""
    counts: list[int] = []
    whole = asked.try_graph_on

    def tried(rows: Any, *arguments: Any) -> None:
        counts.append(len(rows))
        whole(rows, *arguments)

    monkeypatch.setattr(asked, "try_graph_on", tried)
    return counts


@pytest.fixture
def run(run_folder: Callable[..., Path]) -> Path:
    return run_folder()


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Twelve rows of a text and an id, the texts in the column that the run's data had."""
    path = tmp_path / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "review", "note"])
        writer.writerows([number, text, 'says "so", é'] for number, text in enumerate(TEXTS * 3))
    return path


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_texts_are_answered_in_a_table(cli: Any, run: Path) -> None:
    answers = Classifier(run)(list(TEXTS))
    said = cli("predict", run, *TEXTS)
    assert said.code == 0, said.err
    told = [line.split(maxsplit=2) for line in said.out.splitlines() if line.strip()]
    assert [line[:2] for line in told if line[0] in {"bad", "good"}] == [
        [answer.label, f"{answer.probability:.1%}"] for answer in answers
    ]


def test_the_json_of_texts_has_as_many_labels_as_asked_for(cli: Any, run: Path) -> None:
    (answer,) = Classifier(run)([TEXTS[0]])
    told = json.loads(cli("predict", run, TEXTS[0], "--json", "--top", "all").out)
    probability = pytest.approx(answer.probability, abs=1e-6)
    other = {"good": "bad", "bad": "good"}[answer.label]
    assert told == [
        {
            "text": TEXTS[0],
            "predicted_label": answer.label,
            "probability": probability,
            "top": [
                {"label": answer.label, "probability": probability},
                {"label": other, "probability": pytest.approx(1 - answer.probability, abs=2e-6)},
            ],
        }
    ]


@pytest.mark.parametrize("folder", ["", "final", "steps/onnx"])
def test_a_file_is_answered_row_by_row_with_its_columns(cli: Any, run: Path, rows: Path, folder: str) -> None:
    answers = Classifier(run)(list(TEXTS) * 3)
    said = cli("predict", run / folder, "--file", rows, "--out", "out.jsonl", "--batch-size", 5)
    assert said.code == 0, said.err
    assert lines_of(Path("out.jsonl")) == [
        {
            "id": str(number),
            "review": text,
            "note": 'says "so", é',
            "predicted_label": answer.label,
            "probability": pytest.approx(answer.probability, abs=1e-6),
        }
        for number, (text, answer) in enumerate(zip(TEXTS * 3, answers, strict=True))
    ]
    assert said.out.splitlines()[-1] == "predictions: out.jsonl"
    assert said.out.startswith("12 rows in ")


@pytest.mark.parametrize(("ending", "delimiter"), [(".csv", ","), (".tsv", "\t")])
def test_a_table_gets_columns_for_each_of_the_best_labels(
    cli: Any, run: Path, rows: Path, ending: str, delimiter: str
) -> None:
    assert cli("predict", run, "--file", rows, "--out", f"out{ending}", "--top", 9).code == 0
    with Path(f"out{ending}").open(newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file, delimiter=delimiter)
    added = ["predicted_label", "probability", "predicted_label_2", "probability_2"]
    assert header == ["id", "review", "note", *added]
    assert [line[1] for line in lines] == list(TEXTS * 3)
    for line, answer in zip(lines, Classifier(run)(list(TEXTS) * 3), strict=True):
        assert line[3] == answer.label
        assert {line[3], line[5]} == {"bad", "good"}
        assert float(line[4]) + float(line[6]) == pytest.approx(1, abs=2e-6)


def test_windows_are_written_in_the_files_order(
    cli: Any, run: Path, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("predict", run, "--file", rows, "--out", "whole.jsonl")
    monkeypatch.setattr("compress.use.predicting.WINDOW", 4)
    said = cli("predict", run, "--file", rows, "--out", "parts.jsonl", "--batch-size", 2, "--json")
    assert [row["id"] for row in lines_of(Path("parts.jsonl"))] == [str(number) for number in range(12)]
    for part, whole in zip(lines_of(Path("parts.jsonl")), lines_of(Path("whole.jsonl")), strict=True):
        assert part == {**whole, "probability": pytest.approx(whole["probability"], abs=2e-6)}
    told = json.loads(said.out)
    assert (told["rows"], told["out"], sum(told["labels"].values())) == (12, "parts.jsonl", 12)


def test_without_out_rows_go_to_stdout_and_lines_come_from_stdin(
    cli: Any, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(TEXTS).encode())))
    said = cli("predict", run, "--file", "-")
    told = [json.loads(line) for line in said.out.splitlines()]
    assert [(row["text"], row["predicted_label"]) for row in told] == [
        (text, answer.label) for text, answer in zip(TEXTS, Classifier(run)(list(TEXTS)), strict=True)
    ]


def test_rows_without_a_text_get_no_label_and_are_told(cli: Any, run: Path, tmp_path: Path) -> None:
    (tmp_path / "gaps.csv").write_text(f"review,id\n{TEXTS[0]},1\n,2\n  ,3\n{TEXTS[1]},4\n")
    said = cli("predict", run, "--file", "gaps.csv", "--out", "out.jsonl", "--top", 2)
    assert said.code == 0
    assert "warning: 2 of 4 rows have no text, and got no label: 2, 3" in said.err
    told = lines_of(Path("out.jsonl"))
    assert [row["id"] for row in told] == ["1", "2", "3", "4"]
    assert [row["predicted_label"] is None for row in told] == [False, True, True, False]
    assert (told[1]["probability"], told[1]["top"]) == (None, [])


def test_pairs_are_read_from_the_columns_of_the_run(cli: Any, run_folder: Any, refused: Any, tmp_path: Path) -> None:
    run = run_folder(text_pair="reply")
    (tmp_path / "pairs.csv").write_text(f"reply,review\n{TEXTS[1]},{TEXTS[0]}\n,{TEXTS[2]}\n")
    assert cli("predict", run, "--file", "pairs.csv", "--out", "out.jsonl").code == 0
    answers = Classifier(run)([(TEXTS[0], TEXTS[1]), (TEXTS[2], "")])
    assert [row["probability"] for row in lines_of(Path("out.jsonl"))] == [
        pytest.approx(answer.probability, abs=1e-6) for answer in answers
    ]
    said = cli("predict", run, TEXTS[0], "--text-pair", TEXTS[1], "--json")
    assert json.loads(said.out)[0]["text_pair"] == TEXTS[1]
    assert json.loads(said.out)[0]["probability"] == pytest.approx(answers[0].probability, abs=1e-6)
    assert refused("predict", run, "a").what == "the model is made for pairs of texts"
    assert refused("predict", run, "a", "b", "--text-pair", "c").what == "2 texts and 1 second texts"
    assert "pairs of texts" in refused("predict", run, "--file", "-").what
    (tmp_path / "single.csv").write_text("review,id\na,1\n")
    assert "no column 'reply'" in refused("predict", run, "--file", "single.csv").what


def test_the_only_column_and_a_named_one_are_taken(cli: Any, run: Path, tmp_path: Path, refused: Any) -> None:
    (tmp_path / "one.csv").write_text(f"body\n{TEXTS[0]}\n")
    (tmp_path / "two.csv").write_text(f"body,id\n{TEXTS[0]},1\n")
    assert cli("predict", run, "--file", "one.csv", "--no-keep").code == 0
    said = cli("predict", run, "--file", "two.csv", "--text-column", "body", "--no-keep")
    assert set(json.loads(said.out)) == {"predicted_label", "probability"}
    error = refused("predict", run, "--file", "two.csv")
    assert error.what == "two.csv has no column 'review'"
    assert "--text-column" in error.fix


def test_what_is_there_is_written_over_only_if_asked(cli: Any, run: Path, rows: Path, refused: Any) -> None:
    Path("out.jsonl").write_text("mine")
    assert refused("predict", run, "--file", rows, "--out", "out.jsonl").what == "'out.jsonl' is there already"
    assert Path("out.jsonl").read_text() == "mine"
    assert cli("predict", run, "--file", rows, "--out", "out.jsonl", "--force").code == 0
    assert len(lines_of(Path("out.jsonl"))) == 12


def test_a_failure_on_the_way_leaves_what_was_there(
    cli: Any, run: Path, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from compress.errors import InputError

    Path("out.jsonl").write_text("mine")
    whole, calls = Classifier.predict_proba, []

    def fails_later(self: Classifier, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) > 1:
            raise InputError("the graph fails while it runs")
        return whole(self, *arguments)

    monkeypatch.setattr("compress.use.predicting.WINDOW", 4)
    monkeypatch.setattr(Classifier, "predict_proba", fails_later)
    said = cli("predict", run, "--file", rows, "--out", "out.jsonl", "--force", "--batch-size", 4)
    assert (said.code, Path("out.jsonl").read_text()) == (2, "mine")
    assert sorted(path.name for path in Path().iterdir()) == ["out.jsonl", "rows.csv", "runs"]


@pytest.mark.parametrize(
    ("line", "what", "fix"),
    [
        ((), "there is nothing to predict", "--file"),
        (("",), "text 1 is empty", "leave it out"),
        (("a", "--file", "rows.csv"), "TEXT is not for --file", "leave TEXT out"),
        (("a", "--out", "x.csv"), "--out is for --file alone", "leave --out out"),
        (("a", "--sheet", "x"), "--sheet is for --file alone", "leave --sheet out"),
        (("a", "--top", "few"), "'few' is no number of labels", "or all"),
        (("a", "--text-pair", "b"), "the model is made for single texts", "leave it out"),
        (("a", "--max-length", 300), "positions for 256 tokens, max_length is 300", "at most 256"),
        (("--file", "no.csv"), "the data file 'no.csv' does not exist", "path"),
        (("--file", "rows.csv", "--out", "x.parquet"), "unknown ending '.parquet'", ".jsonl, .csv, .tsv"),
        (("--file", "rows.csv", "--out", "x/y.csv"), "the folder 'x' is not there", "mkdir -p x"),
        (("--file", "rows.csv", "--out", "rows.csv", "--force"), "is the file that is read", "another"),
        (("--file", "rows.csv", "--out", "runs.csv"), "'runs.csv' is a folder", "predictions.jsonl"),
        (("--file", "rows.csv", "--text-column", "reviews"), "no column 'reviews'", "did you mean 'review'?"),
        (("--file", "rows.csv", "--text-pair-column", "note"), "made for single texts", "leave the option out"),
        (("--file", "rows.csv", "--encoding", "cp99"), "cp99", ""),
        (("--file", "-", "--encoding", "cp1252"), "--encoding is not for standard input", "leave --encoding out"),
    ],
)
def test_wrong_lines_are_told(refused: Any, run: Path, rows: Path, line: Any, what: str, fix: str) -> None:
    Path("runs.csv").mkdir()
    error = refused("predict", run, *line)
    assert what in error.what
    assert fix in error.fix


@pytest.mark.parametrize(
    ("content", "line", "what"),
    [
        ("review,probability\na,1\n", (), "the column 'probability' would stand there twice"),
        ("review,x,x\na,1,2\n", (), "the column 'x' would stand there twice"),
        ("review,predicted_label_2\na,1\n", ("--top", 2, "--out", "out.csv"), "'predicted_label_2' would stand there"),
        ("review,id\n,1\n , \n", (), "no row of odd.csv has a text in the column 'review'"),
    ],
)
def test_tables_that_cannot_be_answered_are_told(
    refused: Any, run: Path, tmp_path: Path, content: str, line: Any, what: str
) -> None:
    (tmp_path / "odd.csv").write_text(content)
    assert what in refused("predict", run, "--file", "odd.csv", *line).what
    assert not Path("out.csv").exists()


def test_standard_input_that_is_no_text_is_told(refused: Any, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for content, what in ((b"", "standard input has no text"), (b"a\n\xe9\n", "standard input is not UTF-8 text")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert refused("predict", run, "--file", "-").what == what


def test_what_is_no_classifier_is_told(refused: Any, run: Path, make_model: Any, tmp_path: Path) -> None:
    assert "'nowhere' does not exist" in refused("predict", "nowhere", "a").what
    assert "hf://org/name" in refused("predict", "org/name", "a").fix
    error = refused("predict", tmp_path / "runs", "a")
    assert error.what.endswith("runs' has no config.json")
    assert str(run / "final") in error.fix
    assert "weights" in refused("predict", make_model(), "a").what
    graph = next((run / "final").glob("*.onnx"))
    graph.write_bytes(b"no graph")
    assert "ONNX" in refused("predict", run, "a").what


def test_a_graph_is_tried_on_the_longest_texts_once(
    cli: Any, run: Path, trials: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "final" / "onnx").mkdir()
    (run / "final" / "model.onnx").rename(run / "final" / "onnx" / "model.onnx")
    for _ in range(2):
        assert cli("predict", run, *TEXTS).code == 0
    assert trials == [5], "the shortest, and up to eight of the longest"


def test_a_folder_from_outside_is_held_against_transformers_and_one_as_made_is_not(
    cli: Any, run: Path, onnx_folder: Path, torch_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(asked, "check_tokenizer", lambda folder, pairs: told.append(folder.name))
    assert cli("predict", run, "a").code == 0
    assert told == []
    monkeypatch.setenv("COMPRESS_CACHE", str(tmp_path / "another cache"))
    outside = shutil.copytree(onnx_folder, tmp_path / "outside")
    changed = shutil.copytree(run / "final", tmp_path / "changed")
    settings = changed / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "do_lower_case": False}))
    for folder in (outside, changed, torch_folder):
        assert cli("predict", folder, "a").code == 0
    assert told == ["outside", "changed", torch_folder.name]


@pytest.mark.slow
def test_a_broken_pipe_is_no_traceback(run: Path, rows: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "compress", "predict", str(run), "--file", str(rows)]
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
