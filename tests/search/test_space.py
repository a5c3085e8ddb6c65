"""Which candidates a teacher and its data give, and that each is a recipe that plans."""

from dataclasses import replace

import pytest

from compress.errors import InputError
from compress.models.architectures import Shape
from compress.planning.planner import make_plan
from compress.recipe.schema import Recipe
from compress.recipe.validation import Origin
from compress.search.candidates import ONNX
from compress.search.making import BASELINE, held_out
from compress.search.space import FAMILIES, MOST_PASSES, SEEN_ROWS, Facts, candidates, ending, quick_ending
from tests.chain import FAST

MINILM = Shape("bert", 6, 384, 32, (12,) * 6, (1536,) * 6)
FACTS = Facts("teacher", MINILM, rows=6920, counts=(3610, 3310), are_pairs=False, cut=0.0)


def test_every_family_has_candidates_and_no_name_is_given_twice():
    found = candidates(FACTS, None)
    elastic_shows = {"narrow", "pruned"}
    assert {candidate.family for candidate in found} == set(FAMILIES) - elastic_shows
    unsorted = replace(FACTS, shape=replace(MINILM, model_type="mpnet"))
    assert {candidate.family for candidate in candidates(unsorted, None)} == set(FAMILIES)
    names = [candidate.name for candidate in found]
    assert len(names) == len(set(names))
    assert next(candidate.family for candidate in candidates(FACTS, ["layers", "linear"])) == "linear"


def test_sizes_are_below_the_teachers():
    for candidate in candidates(FACTS, ["layers", "narrow"]):
        student = candidate.steps[-1]
        assert student.get("layers", 0) < MINILM.layers
        assert student.get("hidden", MINILM.hidden) <= MINILM.hidden
    assert candidates(replace(FACTS, shape=None), ["layers", "pruned", "narrow"]) == []


@pytest.mark.parametrize(("rows", "copies"), [(100, 12), (6920, 12), (30_000, 2), (500_000, 1)])
def test_few_rows_are_varied_often_and_many_are_read_in_part(rows, copies):
    facts = replace(FACTS, rows=rows, counts=(rows // 2, rows // 2))
    assert facts.copies == copies
    seen = facts.passes * facts.seen_rows
    assert facts.passes == MOST_PASSES or seen == pytest.approx(max(SEEN_ROWS, rows), rel=1e-3)


def test_rare_labels_get_more_variants():
    assert "per_label" not in FACTS.augment
    assert replace(FACTS, counts=(6915, 5)).augment["per_label"] > 0


def test_a_part_of_the_training_has_a_part_of_the_passes_and_another_name():
    (candidate, *_) = candidates(FACTS, ["layers"])
    part = candidate.with_share(0.25)
    recipe = part.recipe(_start("pypi://a==1/b"))
    assert recipe.steps[-2].settings["epochs"] == pytest.approx(0.25 * candidate.steps[-1]["epochs"], abs=1e-4)
    assert part.label != candidate.label == candidate.name


def test_a_part_of_a_training_after_a_cut_is_shorter_too():
    (pruned,) = candidates(FACTS, ["pruned"])
    part, whole = pruned.with_share(0.25).recipe(_start("pypi://a==1/b")).steps[-2], pruned.steps[-1]
    assert part.settings["recover"] == whole["recover"] | {
        "epochs": pytest.approx(whole["recover"]["epochs"] / 4, abs=1e-4)
    }


def test_first_tokens_are_skipped_only_where_the_head_reads_the_first():
    (candidate, *_) = candidates(FACTS, ["layers"])
    assert [step["stage"] for step in quick_ending(candidate, FACTS)] == ["skip_unread_tokens", "quantize_onnx_dynamic"]
    other = replace(FACTS, shape=replace(MINILM, model_type="modernbert"))
    assert [step["model"] for step in quick_ending(candidate, other)] == [ONNX]
    assert ending(candidate, other, None) == []


def test_every_candidate_is_a_recipe_that_plans(make_model, reviews):
    start = _start(str(make_model()), reviews)
    facts = Facts("teacher", Shape("bert", 2, 32, 8, (4, 4), (64, 64)), 40, (20, 20), are_pairs=False, cut=0.5)
    base = make_plan(start.model_copy(update={"search": None}), Origin())
    for candidate in candidates(facts, [*FAMILIES]):
        finished = candidate.with_ending(quick_ending(candidate, facts))
        if candidate.name in (
            "linear-2",
            "linear-parts",
            "ngrams-fast",
            "ngrams-slow",
            "convolution-96",
            "convolution-48",
        ):
            with pytest.raises(InputError, match=r"table|width|wide"):  # the tiny model is smaller than they are
                make_plan(finished.recipe(start), Origin(), beside=base)
            continue
        plan = make_plan(finished.recipe(start), Origin(), beside=base)
        assert plan.recipe.steps[-1].name == finished.ending[-1]["name"]
        assert plan.steps[0].identity == base.steps[0].identity


def test_parts_leave_the_test_rows_alone(make_model, reviews):
    start = _start(str(make_model()), reviews)
    whole = make_plan(start, Origin()).task
    parts = [make_plan(BASELINE.recipe(start, held_out(start, part, 2)), Origin()) for part in range(2)]
    test = {row.text for row in whole.test}
    selected = [{row.text for row in part.task.test} for part in parts]
    assert not selected[0] & selected[1]
    assert not test & set.union(*selected)


def _start(model, reviews=None):
    task = {"train": f"{reviews}/train.csv", "test": f"{reviews}/test.csv", "max_length": 32} if reviews else {}
    return Recipe.model_validate(
        {
            "name": "searched",
            "task": task,
            "steps": [{"name": "teacher", "stage": "finetune", "model": model, **FAST}],
            "targets": {"cpu": {"threads": 1, "sequence_length": 32}},
            "search": {},
        }
    )
