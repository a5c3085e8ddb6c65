"""A whole search on tiny models: what is looked at, what wins, and that it goes on and is made again."""

import pytest
import torch

from compress import api
from compress.errors import CompressError, InputError
from compress.models.load import load
from compress.planning.planner import make_plan
from compress.recipe.schema import Recipe
from compress.recipe.validation import Origin
from compress.report.files import read_report
from compress.running.runner import run_plan
from compress.search import run
from compress.search.run import run_search
from tests.chain import Silent

from .conftest import ROWS


def test_a_linear_model_that_is_as_good_wins_and_is_made_again_bit_by_bit(start, tmp_path):
    looked, observer = [], Silent()
    found = run_search(start(), Origin(), tmp_path / "runs", observer, looked.append)
    assert [one.candidate.name for one in looked] == ["linear-1"]  # the table of pairs is larger than the tiny model
    assert found.plan.recipe.search is None
    report = found.result.report
    assert report.rows[-1].quality.value > 0.9
    assert report.search.selection.winner == "linear-1"
    assert report.search.selection.rows == ROWS - 2, "all training rows but one of each label are selected on"
    assert report.search.test_score == report.rows[-1].quality
    drops = (report.search.test_drop_pp.value, report.search.winner.drop_pp.value)
    assert report.search.optimism_pp == pytest.approx(drops[0] - drops[1])
    assert read_report(found.result.folder / "report.json") == report
    again, silent = [], Silent()
    other = run_search(start(), Origin(), tmp_path / "runs", silent, again.append)
    assert (silent.made, again[0].standing) == ([], looked[0].standing)
    assert other.plan.recipe == found.plan.recipe
    events = []
    raw = start().model_dump(mode="json", exclude_unset=True)
    result = api.run(raw, runs_dir=tmp_path / "runs", on_event=lambda event: events.append((event.kind, event.what)))
    assert result.report.search == found.result.report.search
    assert ("candidate", "linear-1") in events
    elsewhere = run_plan(make_plan(found.plan.recipe, Origin()), tmp_path / "elsewhere", Silent())
    files = [result.artifacts["final"].path / "model.onnx" for result in (found.result, elsewhere)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_fine_tuned_teacher_is_the_baseline_as_it_is_and_one_for_all_parts(chain, start, tmp_path):
    recipe = start(model=chain.artifacts["teacher"].path, epochs=0)
    found = run_search(recipe, Origin(), tmp_path / "runs", Silent(), lambda _: None)
    assert len(list((tmp_path / "runs/store").glob("finetune-*"))) == 1
    assert found.result.report.search.teacher_as_it_is
    folders = (found.result.artifacts["teacher"].path, chain.artifacts["teacher"].path)
    taken, given = (load(folder).state_dict() for folder in folders)
    assert all(torch.equal(taken[name], given[name]) for name in given)


@pytest.mark.slow
@pytest.mark.int8
def test_where_the_simple_model_fails_after_all_students_are_tried_at_what_is_left_of_the_level(
    start, tmp_path, monkeypatch
):
    monkeypatch.setattr(run, "_is_simple", lambda *_: False)
    looked = []
    found = run_search(start(families=["linear", "layers"]), Origin(), tmp_path / "runs", Silent(), looked.append)
    labels = [one.candidate.label for one in looked]
    assert labels[:3] == ["linear-1", "layers-1, 25% trained", "layers-1"]
    assert all(label.startswith("layers-1, ") for label in labels[3:]), "another way of quantizing it"
    assert found.result.report.search.selection.confidence == pytest.approx(0.98)


def test_a_budget_too_short_for_one_candidate_is_refused(start, tmp_path):
    with pytest.raises(InputError, match="too short for one candidate"):
        run_search(start(budget_minutes=1e-6), Origin(), tmp_path / "runs", Silent(), lambda _: None)


def test_no_candidate_that_can_be_made_is_an_error_with_the_reasons(start, tmp_path):
    with pytest.raises(CompressError, match=r"no candidate could be made: ngrams-fast: .*table"):
        run_search(start(families=["ngrams"]), Origin(), tmp_path / "runs", Silent(), lambda _: None)


@pytest.mark.parametrize(
    ("targets", "what"), [({}, "needs a target"), ({"cpu": {"runtime": "torch"}}, "ONNX graphs, and torch runs none")]
)
def test_a_search_needs_a_target_that_runs_graphs(start, tmp_path, targets, what):
    recipe = Recipe.model_validate({**start().model_dump(mode="json"), "targets": targets})
    with pytest.raises(InputError, match=what):
        run_search(recipe, Origin(), tmp_path / "runs", Silent(), lambda _: None)
    assert not (tmp_path / "runs").exists()
