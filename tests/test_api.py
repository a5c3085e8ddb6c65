"""The functions for programs do what the commands do, tell all by callback, and print nothing."""

import logging
import threading
from pathlib import Path

import pytest

from compress import api
from compress.errors import CompressError, InputError, Stopped
from tests.chain import FAST
from tests.fresh import fork_children

TARGETS = {"cpu": {"threads": 1, "sequence_length": 16}}
BENCH = {"warmup": 1, "rounds": 3, "processes": 3, "samples": 2}


pytestmark = pytest.mark.usefixtures("forked")


@pytest.fixture(scope="module")
def recipe(make_model, reviews):
    return {
        "name": "programmed",
        "task": {"train": str(reviews / "train.csv"), "test": str(reviews / "test.csv"), "max_length": 16},
        "steps": [
            {"name": "teacher", "stage": "finetune", "model": str(make_model()), **FAST, "epochs": 2},
            {"name": "onnx", "stage": "export_onnx"},
        ],
        "targets": TARGETS,
        "baselines": "none",
        "bench": BENCH,
        "device": "cpu",
    }


@pytest.fixture(scope="module")
def finished(recipe, tmp_path_factory):
    """A run by a program: its result, its events, and what logging was set to before and after."""
    events, levels = [], [logging.getLogger().level]
    with pytest.MonkeyPatch.context() as patch:
        fork_children(patch)
        result = api.run(recipe, runs_dir=tmp_path_factory.mktemp("runs"), on_event=events.append)
    levels.append(logging.getLogger().level)
    return result, events, levels


def test_a_run_tells_its_steps_by_events(finished):
    result, events, levels = finished
    started = [event.what for event in events if event.kind == "step_started"]
    done = [(event.what, event.made) for event in events if event.kind == "step_done"]
    assert started == ["teacher", "onnx", "bench"]
    assert done == [("teacher", True), ("onnx", True), ("bench", True)]
    progress = [event for event in events if event.kind == "progress"]
    assert all(0 <= event.done <= event.total for event in progress)
    assert {"fine-tuning", "measuring"} <= {event.what for event in progress}
    assert [row.step for row in result.report.rows] == ["teacher", "onnx"]
    assert levels[0] == levels[1]


def test_a_second_run_takes_all_from_the_store_and_prints_nothing(finished, recipe, capfd):
    result, _, _ = finished
    events = []
    again = api.run(recipe, runs_dir=result.folder.parent, on_event=events.append)
    assert again.did_nothing
    assert not any(event.made for event in events if event.kind == "step_done")
    assert api.run(recipe, runs_dir=str(result.folder.parent)).report == again.report
    assert capfd.readouterr() == ("", "")


def test_a_plan_says_what_is_done_and_what_an_override_changes(finished, recipe):
    result, _, _ = finished
    place = result.folder.parent
    assert api.plan(recipe, runs_dir=place).to_do == ()
    changed = api.plan(recipe, runs_dir=place, overrides={"onnx.opset": 18})
    assert changed.to_do == ("onnx",)
    assert list(changed.done) == ["teacher"]
    assert changed.forecast is None
    assert recipe["steps"][1] == {"name": "onnx", "stage": "export_onnx"}  # the caller's own is left as it was


def test_a_recipe_may_be_a_file_or_the_name_of_a_shipped_one(finished):
    result, _, _ = finished
    by_file = api.plan(result.folder / "recipe.yaml", runs_dir=result.folder.parent)
    assert by_file.to_do == ()
    with pytest.raises(InputError, match="there is no recipe 'quickstat'") as caught:
        api.plan("quickstat")
    assert "did you mean 'quickstart'" in caught.value.fix


def test_errors_are_exceptions_that_say_what_where_and_how(recipe, tmp_path):
    with pytest.raises(InputError) as caught:
        api.run({**recipe, "seeds": 3}, runs_dir=tmp_path)
    assert (caught.value.where, "seed" in caught.value.fix) == ("the recipe", True)
    with pytest.raises(InputError) as caught:
        api.run(recipe, runs_dir=tmp_path, overrides={"teacher.epochs": -1})
    assert caught.value.where == "--set teacher.epochs=-1"
    assert not list(tmp_path.iterdir())


def test_models_are_measured_beside_each_other_and_nothing_is_printed(finished, reviews, capfd):
    result, _, _ = finished
    folders = [result.artifacts["onnx"].path, result.artifacts["onnx"].path]
    task = {"test": str(reviews / "test.csv"), "max_length": 16}
    events = []
    report = api.bench(folders, task, TARGETS, settings=BENCH, goal={"max_drop_pp": 2}, on_event=events.append)
    assert [row.status for row in report.rows] == ["measured", "measured"]
    comparison = report.rows[1].versus_baseline
    assert (comparison.drop_pp.value, comparison.margin_pp, comparison.lost) == (0, 2, 0)
    assert {event.what for event in events} == {"measuring"}
    assert capfd.readouterr() == ("", "")
    with pytest.raises(InputError, match="threads") as caught:
        api.bench(folders, task, {"cpu": {"threads": 0}})
    assert caught.value.where == "the target cpu"
    with pytest.raises(Stopped):
        api.bench(folders, task, TARGETS, settings=BENCH, stop=lambda: True)


def test_two_runs_are_compared_by_their_reports(finished):
    result, _, _ = finished
    compared = api.compare(result.folder, result.folder / "report.json")
    assert compared.row.step == "onnx"
    assert (compared.comparison.agreement, compared.comparison.lost) == (1, 0)
    assert "timed in different runs" in compared.note
    with pytest.raises(InputError, match="there is no report"):
        api.compare(result.folder, result.folder / "final")


def test_a_torch_artifact_is_loaded_as_a_module(finished):
    import torch

    result, _, _ = finished
    assert isinstance(api.load(result.folder / "steps" / "teacher"), torch.nn.Module)


def test_a_program_stops_a_run_and_goes_on_later(recipe, tmp_path):
    events = []

    def enough():
        return any(event.what == "fine-tuning" and event.done for event in events)

    with pytest.raises(Stopped):
        api.run(recipe, runs_dir=tmp_path, on_event=events.append, stop=enough)
    assert not any(event.kind == "step_done" for event in events)
    result = api.run({**recipe, "targets": {}}, runs_dir=tmp_path)
    assert set(result.artifacts) == {"teacher", "onnx"}


def test_what_a_callback_raises_ends_the_run(recipe, tmp_path):
    def refuse(event):
        raise RuntimeError(event.what)

    with pytest.raises(RuntimeError, match="teacher"):
        api.run({**recipe, "targets": {}}, runs_dir=tmp_path, on_event=refuse)
    assert not (tmp_path / "programmed" / "steps").exists()


def test_a_run_works_in_a_thread(recipe, finished):
    result, _, _ = finished
    answers = []
    thread = threading.Thread(target=lambda: answers.append(api.run(recipe, runs_dir=result.folder.parent)))
    thread.start()
    thread.join()
    assert answers[0].did_nothing


def test_a_step_that_fails_is_an_error_of_the_tool(recipe, tmp_path):
    broken = {**recipe, "targets": {}, "steps": [{**recipe["steps"][0], "learning_rate": 1e30}]}
    with pytest.raises(CompressError):
        api.run(broken, runs_dir=tmp_path)


def test_no_room_hides_a_public_name():
    import compress
    import compress.running.runner

    rooms = {path.stem for path in Path(compress.__file__).parent.iterdir()}
    assert "running" in rooms
    assert not rooms & set(compress.__all__)
    for function in (compress.run, compress.plan):
        with pytest.raises(InputError, match=r"nowhere\.yaml"):
            function("nowhere.yaml")
    with pytest.raises(InputError, match="nowhere"):
        compress.bench(["nowhere"], {"test": "nowhere.csv"})
