"""`compress doctor`: what it prints of the machine and of a model, as text and as JSON, and what it refuses."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.doctor import advice, surroundings
from compress.doctor.advice import Finding
from compress.doctor.examined import Examination, Examined

FACTS = {
    "format": "onnx",
    "file": "model.onnx",
    "sequence_length": 128,
    "threads": 2,
    "latency_ms": {"1": 4.0, "2": 2.5, "4": 6.0},
    "operations": {"fp32": 2e8},
    "peak_gflops": {"fp32": 200.0},
    "floor_ms": 1.0,
    "share_of_peak": 0.4,
    "busy_cores": 0.0,
    "rows": {"count": 1200, "median_tokens": 30, "max_tokens": 90},
    "time_by_operator": {"MatMul": 0.7, "Add": 0.1, "Softmax": 0.1, "Erf": 0.05, "Cast": 0.05},
}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    """A machine whose kernels take no time: int8 is three times as fast as anything else."""

    def time_fake(kernels, seconds, progress):
        progress(1, 1)
        return [(3.0 if item.kind.startswith("int8_") else 1.0) * 100 * item.threads for item in kernels]

    monkeypatch.setattr(advice, "time_kernels", time_fake)
    monkeypatch.setattr(surroundings, "LOAD_SECONDS", 0.01)


@pytest.fixture
def examined(monkeypatch):
    """Makes examinations end at once with these findings; returns the jobs that were asked for."""
    jobs = []

    def use(*findings, **facts):
        def examine(job, progress):
            jobs.append(job)
            return Examined({**FACTS, **facts}, list(findings))

        monkeypatch.setattr("compress.doctor.examination.examine", examine)
        return jobs

    return use


@pytest.fixture
def exported(make_model, tmp_path):
    """A folder with a tokenizer, a config.json that knows 256 positions, and a graph of one lookup and one product."""
    folder = tmp_path / "exported"
    shutil.copytree(make_model(), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    drawn = np.random.default_rng(0)
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
            helper.make_node("MatMul", ["rows", "w"], ["y"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "tokens", 32])],
        [
            numpy_helper.from_array(drawn.standard_normal(shape, np.float32), name)
            for name, shape in {"table": (100, 32), "w": (32, 32)}.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    return folder


def test_without_an_artifact_the_machine_is_told_in_80_columns(cli):
    said = cli("doctor", "--threads", 2)
    assert said.code == 0
    assert max(map(len, said.out.splitlines())) <= 80
    assert "…" not in said.out
    for words in (
        "GFLOP/s",
        "384x1536",
        "3.0x",
        "static",
        "/0",
        "/4",
        "int8     dynamic 3.0x, static 3.0x fp32's speed",
    ):
        assert words in said.out
    assert "timing this machine's kernels" in said.err


def test_json_is_one_object_and_nothing_else(cli):
    said = cli("doctor", "--threads", 2, "--json")
    told = json.loads(said.out)
    assert (said.code, said.err) == (0, "")
    assert set(told) == {"machine", "artifact", "advice", "findings"}
    assert (told["artifact"], told["findings"]) == (None, [])
    assert {rate["threads"] for rate in told["machine"]["rates"]} == {1, 2}
    assert {"int8", "4-bit", "fp16", "bf16", "threads"} <= {item["topic"] for item in told["advice"]}


def test_findings_are_told_with_their_cost_evidence_and_fix(cli, exported, examined):
    known = Finding("the products run in fp32", "they take 70% [of the time]", "compress quantize", 0.46)
    jobs = examined(known, Finding("the graph is old", "opset 9", "export it again"))
    said = cli("doctor", exported, "--threads", 2, "--sequence-length", 64)
    assert said.code == 0, said.err
    assert (jobs[0].folder, jobs[0].threads, jobs[0].length) == (str(exported), 2, 64)
    lines = [line.rstrip() for line in said.out.splitlines()]
    assert max(map(len, lines)) <= 80
    assert "latency  2.50 ms on 2 threads, 4.00 ms on 1, 6.00 ms on 4" in lines
    assert "rows     1,200; half have at most 30 tokens, all 90" in lines
    start = lines.index("2 findings, by the share of the time that its fix could save at most:")
    assert lines[start + 1 :] == [
        "46%  the products run in fp32",
        "     they take 70% [of the time]",
        "     fix: compress quantize",
        "  ?  the graph is old",
        "     opset 9",
        "     fix: export it again",
    ]


def test_where_nothing_is_found_the_share_of_the_peak_is_told(cli, exported, examined):
    examined()
    out = " ".join(cli("doctor", exported).out.split())
    assert "Nothing found that makes it slow. 40% of what the arithmetic of 2 threads can do here" in out


def test_work_of_others_during_the_examination_is_warned_of(cli, exported, examined):
    examined(busy_cores=99.0)
    assert "warning: other work kept 99.0 of " in cli("doctor", exported).out


def test_rows_are_counted_with_the_usual_column_options(cli, exported, examined, reviews):
    jobs = examined()
    said = cli("doctor", exported, "--test", reviews / "test.csv", "--text-column", "text", "--label-column", "label")
    assert said.code == 0, said.err
    assert len(jobs[0].row_tokens) == 32
    assert min(jobs[0].row_tokens) >= 8


def test_a_model_is_examined_for_real(cli, exported, monkeypatch):
    briefly = partial(Examination, call_seconds=0.02, kernel_seconds=0.02)
    monkeypatch.setattr("compress.doctor.examined.Examination", briefly)
    said = cli("doctor", exported / "model.onnx", "--threads", 1, "--sequence-length", 16, "--json")
    assert (said.code, said.err) == (0, "")
    told = json.loads(said.out)
    assert told["artifact"]["file"] == "model.onnx"
    assert told["artifact"]["sequence_length"] == 16
    assert told["artifact"]["share_of_peak"] > 0
    assert all(set(item) == {"what", "evidence", "fix", "cost"} for item in told["findings"])


@pytest.mark.parametrize("keep", [0, 10, 1000])
def test_a_file_that_is_cut_off_is_refused(refused, exported, keep):
    path = exported / "model.onnx"
    path.write_bytes(path.read_bytes()[:keep])
    error = refused("doctor", exported)
    assert error.what.startswith(("not a readable ONNX file", "the ONNX file holds no graph"))
    assert error.where == str(path)


def test_lost_weights_are_named(refused, exported):
    path = exported / "model.onnx"
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="model.onnx.data", size_threshold=0)
    (exported / "model.onnx.data").unlink()
    error = refused("doctor", exported)
    assert error.what == "the graph's weights stand in 'model.onnx.data', which is not there"


def test_a_folder_without_a_model_is_refused_with_those_inside(refused, exported):
    Path("empty").mkdir()
    error = refused("doctor", "empty")
    assert error.what == "the folder 'empty' holds no model: no .onnx file, no config.json"
    assert error.fix.startswith("give a folder with model.onnx")
    assert refused("doctor", exported.parent).fix == f"give one of {exported}"


def test_several_graphs_must_be_named(refused, exported):
    (exported / "model.onnx").rename(exported / "a.onnx")
    shutil.copyfile(exported / "a.onnx", exported / "b.onnx")
    error = refused("doctor", exported)
    assert error.what == "2 .onnx files, and none is called model.onnx"
    assert str(exported / "a.onnx") in error.fix


@pytest.mark.parametrize(
    ("line", "what", "where"),
    [
        ("doctor nowhere", "the model 'nowhere' does not exist", "the command line"),
        ("doctor nowhere/model.onnx", "the model 'nowhere/model.onnx' does not exist", "the command line"),
        ("doctor TEST", "the model 'TEST' is not a folder", "the command line"),
        ("doctor --test TEST", "without an artifact there is nothing to hold", "compress doctor"),
        ("doctor FOLDER --threads 0", "invalid value for '--threads'", "compress doctor"),
        ("doctor FOLDER --test TEST --text-column body", "test.csv has no column 'body'", "--text-column"),
        ("doctor FOLDER --test none.csv", "the data file 'none.csv' does not exist", "--test"),
        ("doctor FOLDER --sequence-length 8000", "the model takes at most 256 tokens, not 8000", "--sequence-length"),
    ],
)
def test_wrong_input_is_refused(refused, exported, reviews, line, what, where):
    words = {"FOLDER": exported, "TEST": reviews / "test.csv"}
    error = refused(*[words.get(word, word) for word in line.split()])
    assert error.what.startswith(what.replace("TEST", str(words["TEST"])))
    assert error.where == where


def test_what_a_model_is_called_reaches_the_terminal_written_out(cli, refused, exported, examined):
    assert refused("doctor", "x\x1b[2J\n/model").what.startswith("the model 'x\\x1b[2J\\n/model' does not exist")
    folder = exported.rename(exported.parent / "a\x1b[2Jb")
    examined()
    said = cli("doctor", folder)
    assert said.code == 0
    assert "\x1b" not in said.out
    assert "a\\x1b[2Jb: onnx" in "".join(said.out.split("\n"))
