"""`compress bench`: what it refuses before it measures."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.plans import model_like
from tests.waiting import NEVER, until


@pytest.fixture
def labelled(make_model, tmp_path):
    return model_like(make_model(), tmp_path / "labelled", id2label={"0": "bad", "1": "good"})


def test_without_test_rows_there_is_nothing_to_measure_on(refused, labelled):
    error = refused("bench", labelled)
    assert (error.what, error.fix) == ("there are no test rows", "add --data FILE")


@pytest.mark.parametrize(
    ("line", "what", "where"),
    [
        ("bench nowhere --test TEST", "the model 'nowhere' does not exist", "the command line"),
        ("bench LABELLED nowhere --test TEST", "the model 'nowhere' does not exist", "the command line"),
        ("bench LABELLED --test none.csv", "the data file 'none.csv' does not exist", "the command line"),
        ("bench LABELLED --test ugly.csv", "1 of 2 test rows have unknown labels: 'ugly'", "the command line"),
        ("bench LABELLED --test TEST --text-column body", "test.csv has no column 'body'", "the command line"),
        ("bench LABELLED --test TEST --runtime x", "in the options: 'runtime' is 'x': input", "the command line"),
        ("bench LABELLED --test TEST --samples 0", "in the options: 'samples' is 0: input", "the command line"),
        ("bench LABELLED --test TEST --train TEST", "no such option: --train", "compress bench"),
    ],
)
def test_wrong_options_are_refused(refused, labelled, reviews, line, what, where):
    Path("ugly.csv").write_text("text,label\na b,ugly\nc d,good\n")
    words = {"LABELLED": labelled, "TEST": reviews / "test.csv"}
    error = refused(*[words.get(word, word) for word in line.split()])
    assert error.what.startswith(what)
    assert error.where == where


def test_a_model_of_other_labels_fails_and_the_others_are_measured(cli, chain, reviews, tmp_path):
    onnx = chain.artifacts["onnx"].path
    stars = model_like(onnx, tmp_path / "stars", id2label={"0": "1 star", "1": "5 stars"})
    said = cli(
        "bench", stars, onnx, "--data", reviews / "test.csv", "--sequence-length", "16", "--rounds", "1", "--json"
    )
    reason = "the model 'stars' knows the labels '1 star', '5 stars', the data has 'bad', 'good'"
    fix = "  fix:   check that model's files, or leave it out\n"
    assert (said.code, said.err) == (1, f"error: 'stars' on onnxruntime failed: {reason}\n{fix}")
    rows = json.loads(said.out)["rows"]
    assert [(row["status"], row["reason"]) for row in rows] == [("failed", reason), ("measured", None)]


def test_models_that_all_have_other_labels_are_refused(refused, make_model, reviews, tmp_path):
    stars = model_like(make_model(), tmp_path / "stars", id2label={"0": "1 star", "1": "5 stars"})
    error = refused("bench", stars, "--data", reviews / "test.csv")
    assert error.what == "32 of 32 test rows have unknown labels: 'bad', 'good'"
    assert error.fix == "known labels: '1 star', '5 stars'"


def test_rows_of_one_class_tell_nothing(refused, labelled):
    Path("same.csv").write_text("text,label\na b,good\nc d,good\n")
    error = refused("bench", labelled, "--data", "same.csv")
    assert error.what == "all 2 test rows have the label 'good'"
    Path("one.csv").write_text("text,label\na b,good\n")
    error = refused("bench", labelled, "--data", "one.csv")
    assert error.what == "the only test row has the label 'good'"


@pytest.mark.parametrize("out", ["file/below", "/proc/nowhere"])
def test_a_report_that_cannot_be_written_is_refused_before_measuring(refused, labelled, reviews, out):
    Path("file").touch()
    error = refused("bench", labelled, "--data", reviews / "test.csv", "--out", out)
    assert error.what.startswith("cannot write: ")
    assert error.where == f"--out {out}"


def test_no_rows_tell_nothing(refused, labelled):
    Path("none.csv").write_text("text,label\n")
    assert "no row" in refused("bench", labelled, "--data", "none.csv").what


def test_a_bench_that_measured_nothing_fails_and_says_why(cli, labelled, reviews):
    said = cli("bench", labelled, "--test", reviews / "test.csv", "--runtime", "onnxruntime")
    assert said.code == 1
    first, fix = said.err.splitlines()
    assert first == "error: 'labelled' on bench skipped: the runtime 'onnxruntime' does not run the format 'torch'"
    assert fix.startswith("  fix:   name a --target that runs it")
    assert "labelled on bench skipped: the runtime 'onnxruntime' does not run the format 'torch'" in said.out


def test_one_folder_alone_passes_no_gate_that_compares(refused, labelled, reviews):
    error = refused("bench", labelled, "--data", reviews / "test.csv", "--max-drop-pp", "0.5")
    assert error.what == "one folder has nothing to be held against"


def test_a_model_of_fewer_positions_than_asked_for_fails_before_it_is_started(cli, chain, reviews):
    said = cli("bench", chain.artifacts["onnx"].path, "--data", reviews / "test.csv", "--sequence-length", "4096")
    assert said.code == 1
    assert "it has positions for 256 tokens, 4096 are asked for (--sequence-length, --max-length)" in said.err


def test_every_pair_that_was_asked_for_has_a_row(cli, chain, reviews):
    folders = [chain.artifacts["onnx"].path, chain.artifacts["nf4"].path]
    line = [
        "--data",
        reviews / "test.csv",
        "--sequence-length",
        "16",
        "--rounds",
        "1",
        "--samples",
        "1",
        "--warmup",
        "1",
    ]
    said = cli("bench", *folders, *line, "--target", "onnxruntime", "--json")
    rows = json.loads(said.out)["rows"]
    assert [row["status"] for row in rows] == ["measured", "skipped"]
    assert rows[1]["reason"] == "the runtime 'onnxruntime' does not run the format 'torch_bnb'"


def test_data_that_is_a_folder_is_said_to_be_one(refused, labelled, tmp_path):
    (tmp_path / "folder").mkdir()
    assert refused("bench", labelled, "--data", tmp_path / "folder").what == "cannot read 'folder': it is a folder"


@pytest.mark.parametrize("sent", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_a_signal_leaves_no_worker_and_no_scratch_behind(sent, chain, reviews, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    line = [sys.executable, "-m", "compress", "bench", chain.artifacts["onnx"].path, "--data", reviews / "test.csv"]
    line += ["--sequence-length", "16", "--rounds", "1000"]
    with subprocess.Popen(
        line, env={**os.environ, "TMPDIR": str(scratch)}, stderr=subprocess.PIPE, text=True
    ) as process:
        command = psutil.Process(process.pid)
        workers = until(command.children, "worker", alive=lambda: process.poll() is None)
        process.send_signal(sent)
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 128 + sent
    assert said.endswith(f"stopped by {sent.name}\n")
    assert len(workers) == 1
    psutil.wait_procs(workers, timeout=NEVER)
    assert not workers[0].is_running()
    assert list(scratch.iterdir()) == []
