"""`compress compare`, `compress report`, and the gates of a pipeline, on reports that are made up."""

import json
import shutil
from pathlib import Path

import pytest

from compress.report.files import read_report, write_report
from compress.report.model import Report
from tests.report.reports import sample_report


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(sample_report(), tmp_path_factory.mktemp("written") / "main")


@pytest.fixture
def saved(written: Path, tmp_path: Path) -> Path:
    """A copy for each test, since some change it."""
    return shutil.copytree(written, tmp_path / "main")


def save(report: Report, folder: Path) -> Path:
    folder.mkdir()
    write_report(report, folder)
    return folder


def test_a_report_reads_back(saved):
    assert read_report(saved / "report.json") == sample_report()


def test_report_prints_the_table_and_the_verdict(cli, saved):
    said = cli("report", saved)
    assert said.code == 0
    assert "int8 against teacher: " in said.out
    assert f"report: {saved / 'report.html'}, .md and .json" in said.out
    assert max(len(line) for line in said.out.splitlines() if str(saved) not in line) <= 120


def test_report_writes_only_where_it_is_asked_to(cli, saved, tmp_path):
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in saved.iterdir()}
    (saved / "report.html").unlink()
    assert f"{saved / 'report.html'}" not in cli("report", saved).out
    said = cli("report", saved, "--out", tmp_path / "new" / "page")
    assert f"report: {tmp_path / 'new' / 'page' / 'report.html'}, .md and .json" in said.out
    assert read_report(tmp_path / "new/page/report.json") == sample_report()
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in saved.iterdir()}
    assert after == {path: content for path, content in before.items() if path.name != "report.html"}


def test_report_in_json_is_the_file(cli, saved):
    said = cli("report", saved, "--json")
    assert (said.code, said.err) == (0, "")
    assert Report.model_validate_json(said.out) == sample_report()


@pytest.mark.parametrize(
    ("limits", "missed"),
    [
        (["--max-drop-pp", "50", "--min-speedup", "2", "--max-size-mb", "20"], None),
        (["--max-drop-pp", "0.1"], "missed: int8: -2.00 points, a drop of at most 0.1 allowed\n"),
        (["--min-end-to-end-speedup", "100"], "missed: int8: 8.83x faster end to end, at least 100x wanted\n"),
        (["--max-size-mb", "1"], "missed: int8: 13.60 MB, at most 1 allowed\n"),
    ],
)
def test_a_missed_gate_ends_with_3_and_one_line(cli, saved, limits, missed):
    said = cli("report", saved, *limits)
    assert (said.code, said.err) == (3 if missed else 0, missed or "")


def test_a_limit_that_an_interval_reaches_past_is_met_in_doubt(cli, saved):
    said = cli("report", saved, "--max-drop-pp", "2.5")
    assert said.code == 0
    assert said.err.startswith("met, in doubt: int8: the change may be as low as -")


@pytest.mark.parametrize(
    ("limits", "missed"),
    [
        (["--max-drop-pp", "50"], "quality not compared, a drop of at most 50 allowed"),
        (["--min-speedup", "0.1"], "speed not compared, at least 0.1x wanted"),
    ],
)
def test_without_a_measured_baseline_no_gate_is_passed(cli, tmp_path, limits, missed):
    folder = save(sample_report(failed={"teacher": "killed by signal 9"}), tmp_path / "lost")
    said = cli("report", folder, *limits)
    assert (said.code, said.err) == (3, f"missed: int8: {missed}\n")


def test_the_table_says_what_no_worse_means_and_no_format(cli, saved):
    said = cli("report", saved).out
    assert "* baseline. score: accuracy on 200 test rows; change in points; no worse: by less than 1 point; " in said


def test_a_missed_speed_is_told_with_what_is_wanted(cli, saved):
    said = cli("report", saved, "--min-speedup", "100")
    assert said.code == 3
    assert said.err.startswith("missed: int8: 1")
    assert said.err.endswith("x faster, at least 100x wanted\n")


def test_the_baseline_of_an_earlier_report_takes_the_place_of_the_teacher(cli, saved, tmp_path):
    earlier = sample_report(steps=("teacher", "student", "pruned"))
    folder = save(earlier.model_copy(update={"recipe": "before"}), tmp_path / "before")
    said = cli("report", saved, "--baseline", folder / "report.json", "--max-drop-pp", "0.1")
    assert said.code == 3
    told, missed = said.err.splitlines()
    assert told.startswith(f"int8 against pruned of {folder / 'report.json'}: 1.")
    assert missed == "missed: int8: -0.50 points, a drop of at most 0.1 allowed"


def test_runs_are_compared_by_their_last_steps(cli, saved, tmp_path):
    earlier = sample_report(steps=("teacher", "student"))
    folder = save(earlier.model_copy(update={"recipe": "before"}), tmp_path / "before")
    said = cli("compare", folder, saved)
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0] == "int8 against before's student, 200 test rows"
    assert lines[1].startswith("  speed    3.")
    assert lines[1].endswith(" faster")
    assert lines[2].endswith(" end to end, with the tokenizer, on texts of their own length")
    assert lines[3] == "  size     4.6x smaller"
    assert "-1.50 (" in lines[5]
    assert "McNemar p = 0.25" in lines[5]  # three of three flipped rows are lost: 2 * (1/2)**3
    assert lines[6] == "  rows     98.50% predicted alike; 3 lost, 0 gained"
    assert lines[7].startswith("note: the two were timed in different runs")


@pytest.mark.parametrize(
    ("first", "second", "margin"), [(2.0, 0.0, 0.0), (0.0, None, 0.0), (2.0, None, 2.0), (0.0, 3.0, 3.0)]
)
def test_the_margin_is_the_seconds_goal_or_else_the_firsts_and_may_be_zero(cli, tmp_path, first, second, margin):
    folders = []
    for name, largest in (("first", first), ("second", second)):
        report = sample_report()
        goal = report.goal.model_copy(update={"max_drop_pp": largest})
        folders.append(tmp_path / f"{name}.json")
        folders[-1].write_text(report.model_copy(update={"goal": goal}).model_dump_json())
    found = json.loads(cli("compare", *folders, "--json").out)
    assert (found["margin_pp"], found["drop_pp"]["value"]) == (margin, 0)
    assert found["drop_pp"]["high"] > 0
    assert (found["quality_verdict"] == "inconclusive") is (found["drop_pp"]["high"] > margin)


def test_a_comparison_in_json(cli, saved):
    said = cli("compare", saved, saved, "--json")
    found = json.loads(said.out)
    assert (found["step"], found["lost"], found["gained"], found["agreement"]) == ("int8", 0, 0, 1.0)
    assert found["speedup"]["low"] < 1 < found["speedup"]["high"]
    assert found["speed_verdict"] in {"as fast", "inconclusive"}


def test_runs_of_two_machines_are_not_compared_in_speed(cli, saved, tmp_path):
    other = sample_report()
    folder = save(other.model_copy(update={"host": {**other.host, "cpu": "another"}}), tmp_path / "other")
    said = cli("compare", folder, saved, "--min-speedup", "1")
    assert "  speed    not compared: not timed on one machine" in said.out
    assert (said.code, said.err) == (3, "missed: int8: speed not compared, at least 1x wanted\n")


def test_runs_on_other_rows_are_refused(refused, saved, tmp_path):
    other = sample_report()
    test = other.test.model_copy(update={"key": "8" * 64})
    folder = save(other.model_copy(update={"test": test}), tmp_path / "other")
    error = refused("compare", folder, saved)
    assert error.what.endswith("were not scored on the same test rows with the same metric")
    assert error.fix == "measure both on one data set: compress bench A B --data FILE"


@pytest.mark.parametrize(
    ("line", "what", "fix"),
    [
        ("report nowhere", "there is no report 'nowhere'", "name a run's folder, or its report.json"),
        ("report old.json", "'old.json' is not a report of this version of compress", "run or bench it again"),
        ("report SAVED --baseline nowhere.json --min-speedup 1", "there is no report 'nowhere.json'", "name a run's"),
        ("report SAVED --min-speedup 0", "in the options: 'min_speedup' is 0", ""),
        ("compare SAVED nowhere", "'SAVED' and 'nowhere' are not of one kind", "give two runs"),
        ("compare nowhere nowhere2 --data x.csv", "the model 'nowhere' does not exist", "checked"),
        ("compare nowhere nowhere2", "there are no test rows", "add --data FILE"),
        ("bench nowhere --data x.csv --target torch,thread=2", "in the target: unknown key 'thread'", "did you mean"),
        ("bench nowhere --data x.csv --target torch,2", "'2' is no setting", "write RUNTIME,key=value,key=value"),
        ("bench nowhere --data x.csv --target tensorrt", "in the target: tensorrt runs on device: cuda alone", ""),
        ("bench nowhere --data x.csv --target torch --target torch", "the target 'torch' is given twice", "leave"),
    ],
)
def test_wrong_options_are_refused(refused, saved, line, what, fix):
    Path("old.json").write_text('{"recipe": "old", "rows": []}')
    error = refused(*[str(saved) if word == "SAVED" else word for word in line.split()])
    assert error.what.startswith(what.replace("SAVED", str(saved)))
    assert error.fix.startswith(fix)


def test_folders_that_no_target_runs_both_are_not_compared(refused, chain, reviews):
    folders = [chain.artifacts[name].path for name in ("teacher", "onnx")]
    rounds = ["--sequence-length", "16", "--rounds", "1", "--samples", "1"]
    error = refused("compare", *folders, "--data", reviews / "test.csv", "--target", "onnxruntime", *rounds)
    reason = "skipped: the runtime 'onnxruntime' does not run the format 'torch'"
    assert error.what == f"nothing to compare: {folders[0].name} on onnxruntime {reason}"
    assert error.fix == "choose with --target what runs both"


def test_what_a_report_from_elsewhere_says_reaches_the_terminal_written_out(cli, saved):
    path = saved if saved.suffix == ".json" else saved / "report.json"
    written = path.read_text()
    evil = json.dumps("\x1b[2J\nerror: forged\x9b")[1:-1]
    last = json.loads(written)["rows"][-1]["step"]
    written = written.replace(f'"step":"{last}"', f'"step":"{evil}"').replace(f'"step": "{last}"', f'"step": "{evil}"')
    path.write_text(written.replace('"notes": []', f'"notes": ["{evil}"]'))
    said = cli("report", saved)
    assert said.code == 0
    shown = said.out + said.err
    assert "\x1b" not in shown
    assert "\x9b" not in shown
    assert "\nerror: forged" not in shown
    assert "\\x1b[2J" in shown
