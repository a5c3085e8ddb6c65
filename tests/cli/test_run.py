"""`compress run` from end to end on a tiny model, with real workers: one run, read by all tests."""

import contextlib
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import compress
from compress.cli import main
from compress.files.whole import file_sha256
from compress.store.artifacts import Manifest
from tests.fresh import fork_children

from .conftest import Said

pytestmark = pytest.mark.int8

FAST = {"epochs": 5, "learning_rate": 5e-3, "head_learning_rate": 5e-3, "batch_size": 8}
STEPS = ["teacher", "student", "pruned", "onnx", "int8"]
BENCH = {"warmup": 1, "rounds": 2, "samples": 3}  # of one process: more are tried in tests/bench


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, what it printed, and its report."""

    home: Path
    said: Said
    report: dict[str, Any]

    def row(self, step: str) -> dict[str, Any]:
        (row,) = [row for row in self.report["rows"] if row["step"] == step]
        return row

    def again(self, *arguments: str) -> Said:
        return compress_in(self.home, ["run", "tiny.yaml", *arguments])


def compress_in(folder: Path, arguments: Sequence[str]) -> Said:
    """What a command prints in a folder. (capsys lives for one test alone, this run for the module.)"""
    out, err = io.StringIO(), io.StringIO()
    before = Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as exit_:
            main(arguments)
    finally:
        os.chdir(before)
    assert isinstance(exit_.value.code, int)
    return Said(exit_.value.code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, make_model: Callable[..., Path], reviews: Path) -> Run:
    home = tmp_path_factory.mktemp("run")
    steps = [
        {"name": "teacher", "stage": "finetune", "model": str(make_model()), **FAST, "epochs": 10},
        {"name": "student", "stage": "distill", "layers": 1, **FAST},
        {"name": "pruned", "stage": "prune_structured", "teacher": "teacher", "recover": FAST},
        {"name": "onnx", "stage": "export_onnx"},
        {"name": "int8", "stage": "quantize_onnx_dynamic", "min_agreement": 0.1},
    ]
    task = {"train": str(reviews / "train.csv"), "test": str(reviews / "test.csv"), "max_length": 32}
    recipe = {
        "name": "tiny",
        "seed": 1,
        "task": {**task, "validation_fraction": 0.25},
        "steps": steps,
        "targets": {"cpu": {"threads": 1, "sequence_length": 16}},
        "goal": {"max_drop_pp": 60, "max_size_mb": 0.1},
        "bench": BENCH,
        "device": "cpu",
    }
    (home / "tiny.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch:
        fork_children(patch)
        said = compress_in(home, ["run", "tiny.yaml", "--json"])
    assert said.code == 0, said.err
    return Run(home, said, json.loads(said.out))


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder but logs, by its path."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix not in {".lock", ".log", ".jsonl"}]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_run_in_json_prints_its_report_and_nothing_else(run):
    assert run.said.code == 0
    assert run.report == json.loads((run.home / "runs/tiny/report.json").read_text())


def test_the_report_says_what_ran_where(run):
    assert (run.report["recipe"], run.report["seed"]) == ("tiny", 1)
    assert run.report["compress_version"] == compress.__version__
    assert run.report["baseline"] == "teacher"
    goal = run.report["goal"]
    assert (goal["max_drop_pp"], goal["max_size_mb"], goal["met"], goal["missed"]) == (60.0, 0.1, True, [])
    assert (run.report["test"]["labels"], run.report["test"]["metric"]) == (["bad", "good"], "accuracy")
    assert len(run.report["test"]["truth"]) == 32
    assert [run.report["task"][f"{part}_rows"] for part in ("train", "validation", "test")] == [48, 16, 32]
    assert run.report["targets"]["cpu"] == {
        "runtime": "onnxruntime",
        "device": "cpu",
        "precision": "fp32",
        "threads": 1,
        "batch_size": 1,
        "sequence_length": 16,
    }
    host = run.report["host"]
    assert host["cores"] >= 1
    assert host["cpu"]
    assert set(host["versions"]) >= {"onnxruntime", "torch", "transformers"}


def test_there_is_a_row_for_each_step(run):
    stages = ["finetune", "distill", "prune_structured", "export_onnx", "quantize_onnx_dynamic"]
    assert [(row["step"], row["stage"]) for row in run.report["rows"]] == list(zip(STEPS, stages, strict=True))
    for row in run.report["rows"]:
        assert (row["target"], row["status"], row["reason"]) == ("cpu", "measured", None)
        assert (row["measured_as"], len(row["artifact"])) == ("onnx", 64)
        assert row["seconds"] > 0
        assert row["peak_memory_bytes"] > 10_000_000
    assert run.row("pruned")["artifact"] == run.row("onnx")["artifact"]  # a torch model is measured by its export


def test_the_report_tells_what_quantizing_did(run):
    (told,) = run.report["rounded"]
    assert (told["step"], told["stage"]) == ("int8", "quantize_onnx_dynamic")
    content = (run.home / "runs/tiny/steps/int8/manifest.json").read_bytes()
    facts = Manifest.model_validate_json(content).facts
    assert told["parity"] == {name: facts["parity"][name] for name in told["parity"]}
    assert told["parity"]["rows"] == 16
    assert told["left_in_float"] == facts["left_in_float"]
    assert told["choice"] is told["sensitivity"] is None


def test_latencies_are_all_samples_and_their_quantiles(run):
    base = run.row("teacher")["latency_ms"]
    for row in run.report["rows"]:
        for name in ("latency_ms", "real_latency_ms", "tokenize_ms"):
            latency = row[name]
            assert np.shape(latency["rounds"]) == (BENCH["rounds"], BENCH["samples"])
            quantiles = [latency["p50"], latency["p90"], latency["p99"]]
            assert quantiles == pytest.approx(np.quantile(latency["rounds"], [0.5, 0.9, 0.99]))
            assert latency["rows_per_second"] == pytest.approx(1000 / np.mean(latency["rounds"]))
        if not row["is_baseline"]:
            speedup = row["versus_baseline"]["speedup"]
            assert speedup["value"] == pytest.approx(base["p50"] / row["latency_ms"]["p50"])
            assert speedup["low"] is None  # of one process, no interval can be told
            assert row["versus_baseline"]["speed_verdict"] == "inconclusive"


def test_the_baseline_is_the_teacher_and_drops_are_against_it(run):
    teacher = run.row("teacher")
    assert teacher["versus_baseline"] is None
    assert [row["is_baseline"] for row in run.report["rows"]] == [True, False, False, False, False]
    for row in run.report["rows"][1:]:
        found, quality = row["versus_baseline"], row["quality"]["value"]
        assert found["drop_pp"]["value"] == pytest.approx(100 * (teacher["quality"]["value"] - quality))
        assert found["drop_pp"]["value"] == pytest.approx(100 * (found["lost"] - found["gained"]) / 32)
        assert quality * 32 == pytest.approx(round(quality * 32))


def test_each_step_is_held_against_the_one_before(run):
    parents = [row["parent"] for row in run.report["rows"]]
    assert parents == [None, "teacher", "student", "pruned", "onnx"]
    assert [row["bought"] and row["bought"]["against"] for row in run.report["rows"]] == parents
    onnx = run.row("onnx")["bought"]  # the same artifact as pruned's
    assert (onnx["speedup"]["value"], onnx["drop_pp"]["value"], onnx["smaller"]) == (1.0, 0.0, 1.0)


def test_the_report_says_where_everything_came_from(run):
    made = {item["step"]: item for item in run.report["lineage"]}
    assert set(made) >= set(STEPS)
    assert made["pruned"]["inputs"] == {"model": "student", "teacher": "teacher"}
    assert made["student"]["config"]["layers"] == 1
    assert "compress run" in run.report["command"]
    assert yaml.safe_load(run.report["recipe_text"])["steps"][1]["layers"] == 1


def test_the_page_and_the_markdown_stand_beside_the_report(run):
    page = (run.home / "runs/tiny/report.html").read_text()
    assert page.lower().startswith("<!doctype html>")
    assert "goal met" in page.lower()
    assert "# tiny\n\n**Goal met" in (run.home / "runs/tiny/report.md").read_text()


def test_report_shows_a_run_again_and_leaves_it_as_it_is(run):
    said = compress_in(run.home, ["report", "runs/tiny"])
    assert said.code == 0
    assert "int8 against teacher" in said.out.replace("\n", " ")
    assert "report: runs/tiny/report.html, .md and .json" in said.out


@pytest.mark.int8
def test_ablation_says_what_each_step_is_worth(run):
    said = run.again("--ablate", "--set", "name=ablated", "--json")
    assert said.code == 0, said.err
    found = {item["step"]: item for item in json.loads(said.out)["ablations"]}
    assert list(found) == STEPS
    assert found["teacher"]["reason"] == "it is the baseline"
    assert found["onnx"]["reason"] == "step 'int8' reads format 'onnx', but 'pruned' gives 'torch'"
    worth = {step: found[step]["worth"] for step in ("student", "pruned", "int8")}
    assert all(item["against"] == f"without {step}" for step, item in worth.items())
    assert worth["student"]["smaller"] > 1
    assert worth["int8"]["smaller"] > 1.5
    assert found["int8"]["quality"] == run.row("onnx")["quality"]  # without int8, the chain ends in onnx
    again = run.again("--ablate", "--set", "name=ablated")
    assert again.out.startswith("nothing to do")


def test_the_models_have_learned(run):
    assert run.row("teacher")["quality"]["value"] >= 0.8
    assert all(run.row(step)["quality"]["value"] > 0.6 for step in STEPS)


def test_each_step_is_smaller_than_the_one_before(run):
    parameters = [run.row(step)["parameters"] for step in ("teacher", "student", "pruned")]
    sizes = [run.row(step)["size_bytes"] for step in ("teacher", "student", "pruned", "int8")]
    assert parameters == sorted(parameters, reverse=True)
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(parameters)) == 3
    assert len(set(sizes)) == 4


def test_the_folder_of_a_run_links_to_each_artifact(run):
    steps = run.home / "runs/tiny/steps"
    assert sorted(path.name for path in steps.iterdir()) == sorted(STEPS)
    for step, file in zip(STEPS, ["model.safetensors"] * 3 + ["model.onnx"] * 2, strict=True):
        assert (steps / step / file).stat().st_size > 1000
        key = json.loads((steps / step / "manifest.json").read_text())["key"]
        assert (steps / step).resolve().name.endswith(key[:16])


def test_a_second_run_does_nothing_and_changes_no_file(run):
    before = contents(run.home)
    said = run.again()
    assert said.code == 0, said.err
    assert said.out.startswith("nothing to do: every step and measurement is done\n")
    assert "goal met" in said.out
    done = [line.split("  ")[0] for line in said.err.splitlines() if line.endswith("done before")]
    assert done[:7] == [f"✓ {step}" for step in [*STEPS, "teacher as onnx", "student as onnx"]]
    assert all(line.endswith("done before") for line in said.err.splitlines() if line.startswith("✓"))
    assert contents(run.home) == before


def test_a_run_that_is_done_needs_no_store_that_can_be_written(run, tmp_path):
    home = tmp_path / "copy"
    shutil.copytree(run.home, home, symlinks=True)
    shutil.rmtree(home / "runs/store/locks")
    (home / "runs/store/locks").write_text("no folder: no lock can be made here")
    said = compress_in(home, ["run", "tiny.yaml"])
    assert said.code == 0, said.err
    assert said.out.startswith("nothing to do: every step and measurement is done\n")


def test_an_artifact_that_was_made_again_and_came_out_otherwise_is_measured_anew(run, tmp_path):
    home = tmp_path / "copy"
    shutil.copytree(run.home, home, symlinks=True)
    folder = (home / "runs/tiny/steps/int8").resolve()
    assert folder.is_relative_to(home)
    config = folder / "config.json"
    config.write_text(config.read_text() + "\n")
    manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    manifest = manifest.model_copy(update={"files": {**manifest.files, "config.json": file_sha256(config)}})
    (folder / "manifest.json").write_text(manifest.sealed().model_dump_json(indent=1))
    kept = (home / "runs/tiny/measurements.json").read_text()
    said = compress_in(home, ["run", "tiny.yaml"])
    assert said.code == 0, said.err
    assert (home / "runs/tiny/measurements.json").read_text() != kept


def test_a_kept_figure_that_is_not_as_it_was_written_is_measured_anew(run, tmp_path):
    home = tmp_path / "copy"
    shutil.copytree(run.home, home, symlinks=True)
    path = home / "runs/tiny/measurements.json"
    content = json.loads(path.read_text())
    (session,) = content["sessions"]
    next(iter(session["measurements"].values()))["load_ms"] /= 2
    path.write_text(json.dumps(content))
    said = compress_in(home, ["run", "tiny.yaml", "--json"])
    assert said.code == 0, said.err
    measured = [row["quality"]["value"] for row in json.loads(said.out)["rows"]]
    assert measured == [row["quality"]["value"] for row in run.report["rows"]]
    (anew,) = json.loads(path.read_text())["sessions"]
    assert anew["created"] >= session["created"]
    assert anew["digest"] != session["digest"]


def test_a_step_that_is_added_is_measured_beside_what_it_is_compared_with_and_nothing_else_is(run, tmp_path):
    home = tmp_path / "copy"
    shutil.copytree(run.home, home, symlinks=True)
    recipe = yaml.safe_load((home / "tiny.yaml").read_text())
    recipe["steps"].append(
        {"name": "four", "stage": "quantize_onnx_4bit", "model": "onnx", "block_size": 16, "min_agreement": 0.1}
    )
    (home / "tiny.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    said = compress_in(home, ["run", "tiny.yaml", "--json"])
    assert said.code == 0, said.err
    report = json.loads(said.out)
    rows = {row["step"]: row for row in report["rows"]}
    sessions = {"teacher": 2, "student": 1, "pruned": 2, "onnx": 2, "int8": 1, "four": 2}  # pruned is measured as onnx
    assert {step: row["session"] for step, row in rows.items()} == sessions
    assert [rows[step]["versus_baseline"]["session"] for step in STEPS[1:]] == [1, 2, 2, 1]
    for name in ("student", "int8"):
        before = run.row(name)
        assert {**rows[name], "flips": []} == {**before, "flips": []}
    for name in ("versus_baseline", "bought"):
        assert rows["four"][name]["session"] == 2
    before, now = run.row("teacher"), rows["teacher"]
    assert rows["int8"]["versus_baseline"]["speedup"]["value"] == pytest.approx(
        before["latency_ms"]["p50"] / rows["int8"]["latency_ms"]["p50"]
    )
    assert rows["four"]["versus_baseline"]["speedup"]["value"] == pytest.approx(
        now["latency_ms"]["p50"] / rows["four"]["latency_ms"]["p50"]
    )
    (note,) = [note for note in report["notes"] if "session" in note]
    assert "teacher, pruned, onnx, four" in note
    assert compress_in(home, ["run", "tiny.yaml"]).out.startswith("nothing to do")


def test_the_recipe_beside_the_report_runs_to_the_same_from_any_folder(run, tmp_path):
    said = compress_in(tmp_path, ["plan", f"{run.home}/runs/tiny/recipe.yaml", f"--runs-dir={run.home}/runs", "--json"])
    assert [step["done"] for step in json.loads(said.out)["steps"]] == [True] * 7


def test_a_missed_goal_ends_with_3(run, tmp_path):
    home = tmp_path / "copy"
    shutil.copytree(run.home, home, symlinks=True)
    said = compress_in(home, ["run", "tiny.yaml", "--set", "goal={min_speedup: 1000}"])
    assert said.code == 3
    assert "x faster, at least 1000x wanted" in said.out
    report = json.loads((home / "runs/tiny/report.json").read_text())
    assert report["goal"]["met"] is False
    (missed,) = report["goal"]["missed"]
    assert missed.endswith("x faster, at least 1000x wanted")
    assert "# tiny\n\n**Goal missed: " in (home / "runs/tiny/report.md").read_text()


def test_a_step_that_fails_ends_with_1_and_leaves_the_report_of_before(run):
    before = contents(run.home / "runs/tiny")
    said = run.again("--set", "onnx.tolerance=1e-30")
    assert (said.code, said.out) == (1, "")
    assert "Traceback" not in said.err
    lines = said.err[said.err.index("error: ") :].splitlines()
    assert lines[0].startswith("error: step 'onnx' failed: the exported model differs from torch by ")
    line = (run.home / "tiny.yaml").read_text().splitlines().index("- name: onnx") + 1
    assert (lines[1], len(lines)) == (f"  where: tiny.yaml:{line}", 3)
    after = contents(run.home / "runs/tiny")
    assert after.pop("needs.json") != before.pop("needs.json")  # it names what the failed run has made, too
    assert after == before


def test_cleaning_up_takes_nothing_that_a_run_needs(run):
    before = contents(run.home / "runs/store")
    said = compress_in(run.home, ["store", "gc", "--yes"])
    assert said.code == 0
    gone = set(before) - set(contents(run.home / "runs/store"))
    assert any(name.startswith("teacher_logits") for name in gone)  # a by-product, made again where it is wanted
    assert run.again().out.startswith("nothing to do")


@pytest.mark.int8
def test_a_damaged_artifact_is_told_set_aside_and_made_again(run):
    path = (run.home / "runs/tiny/steps/int8").resolve()
    before = (path / "model.onnx").read_bytes()
    (path / "model.onnx").chmod(0o644)
    (path / "model.onnx").write_bytes(before[:-1])
    plan = json.loads(compress_in(run.home, ["plan", "tiny.yaml", "--json", "--no-forecast"]).out)
    assert {step["step"] for step in plan["steps"] if not step["done"]} == {"int8"}
    said = run.again()
    assert said.code == 0
    assert "warning: 'model.onnx' is missing or changed" in said.err
    assert (path / "model.onnx").read_bytes() == before


def test_bench_measures_folders_side_by_side_against_the_first(run, reviews):
    steps = [f"runs/tiny/steps/{step}" for step in ("int8", "onnx")]
    options = ["--threads", "1", "--sequence-length", "16", "--warmup", "1", "--rounds", "1", "--samples", "2"]
    said = compress_in(
        run.home, ["bench", *steps, "--test", str(reviews / "test.csv"), "--max-length=32", *options, "--json"]
    )
    assert (said.code, said.err) == (0, "")
    int8, onnx = json.loads(said.out)["rows"]
    assert (int8["step"], int8["is_baseline"], int8["versus_baseline"]) == ("int8", True, None)
    assert (int8["quality"], onnx["quality"]) == (run.row("int8")["quality"], run.row("onnx")["quality"])
    assert (onnx["size_bytes"], onnx["versus_baseline"]["speed_verdict"]) == (
        run.row("onnx")["size_bytes"],
        "inconclusive",
    )


def test_simple_baselines_stand_beside_the_steps(run):
    found = {item["name"]: item for item in run.report["baselines"]}
    assert list(found) == ["commonest_label", "linear_characters", "linear_words"]
    teacher, last = run.row("teacher"), run.row("int8")
    for name, item in found.items():
        assert item["reason"] is None
        assert (item["rows"], item["of_rows"]) == (64, 64)  # those held back for validation too
        right = np.mean(np.array(item["predictions"]) == np.array(run.report["test"]["truth"]))
        assert item["quality"]["value"] == pytest.approx(right)
        assert np.shape(item["text_ms"]["rounds"]) == (BENCH["rounds"], BENCH["samples"])
        for row, against in ((teacher, "versus_baseline"), (last, "versus_last")):
            drop = 100 * (row["quality"]["value"] - right)
            assert item[against]["drop_pp"]["value"] == pytest.approx(drop), name
            assert item[against]["against"] == row["step"]
            assert item[against]["smaller"] == pytest.approx(row["size_bytes"] / item["size_bytes"])
            assert item[against]["end_to_end"]["value"] > 0
            assert item[against]["speedup"] is None  # it has no fixed length
    assert found["commonest_label"]["quality"]["value"] == 0.5
    assert found["linear_words"]["quality"]["value"] > 0.9
    assert found["linear_words"]["cpu_seconds"] > 0
    assert found["linear_words"]["settings"]["folds"] == 3


def test_simple_baselines_are_shown_wherever_the_report_is(run):
    told = compress_in(run.home, ["report", "runs/tiny"]).out
    page, markdown = ((run.home / f"runs/tiny/report.{kind}").read_text() for kind in ("html", "md"))
    for text in (told, page, markdown):
        assert "simple baselines" in text.lower()
        assert "linear on words" in text
        assert "a linear model on" in text.lower().replace("\n", " ")  # as good as the teacher: these rows are easy
    assert 'id="baselines"' in page


def test_without_baselines_none_are_fitted(run, tmp_path):
    home = tmp_path / "copy"
    shutil.copytree(run.home, home, symlinks=True)
    for folder in (home / "runs/store").glob("baseline_*"):
        shutil.rmtree(folder)
    (home / "runs/tiny/baselines.json").unlink()
    said = compress_in(home, ["run", "tiny.yaml", "--set", "baselines=none"])
    assert said.out.startswith("nothing to do")
    assert "simple baselines" not in said.out
    assert json.loads((home / "runs/tiny/report.json").read_text())["baselines"] == []
    assert not list((home / "runs/store").glob("baseline_*"))


def test_a_report_of_an_earlier_version_has_no_baselines_and_is_still_read(run, tmp_path):
    content = {name: value for name, value in run.report.items() if name != "baselines"}
    (tmp_path / "report.json").write_text(json.dumps(content))
    said = compress_in(tmp_path, ["report", "report.json"])
    assert said.code == 0
    assert "simple baselines" not in said.out
    assert compress_in(tmp_path, ["compare", "report.json", str(run.home / "runs/tiny")]).code == 0
