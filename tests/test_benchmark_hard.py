"""The made data of benchmarks/hard, its settings, and the arithmetic of its figures."""

import itertools
from collections import Counter
from typing import Any

import pytest

from benchmarks.hard import ablation_settings, chains, figures, tables
from benchmarks.hard.word_order import CITIES, COUNTRIES, LABELS, PARTS, word_order
from compress import stages


@pytest.fixture(scope="module")
def parts() -> dict[str, list[tuple[str, str]]]:
    return word_order(0)


def _names(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split() if word in {*CITIES, *COUNTRIES})


def test_made_rows_are_twins_of_the_same_words_with_both_labels(parts):
    assert {part: len(rows) for part, rows in parts.items()} == PARTS
    for rows in parts.values():
        for (text, label), (twin, other) in zip(rows[::2], rows[1::2], strict=True):
            assert text != twin
            assert sorted(text.split()) == sorted(twin.split())
            assert _names(text) == _names(twin)[::-1]
            assert (label, other) == LABELS
        assert len({text for text, _ in rows}) == len(rows)


def test_no_part_has_a_pair_of_names_of_another(parts):
    pairs = {part: {tuple(sorted(_names(text))) for text, _ in rows} for part, rows in parts.items()}
    assert all(len(names) == 2 for found in pairs.values() for names in found)
    assert not pairs["train"] & pairs["test"]
    assert not pairs["train"] & pairs["validation"]
    assert not pairs["validation"] & pairs["test"]
    words = {part: set().union(*(text.split() for text, _ in rows)) for part, rows in parts.items()}
    assert words["test"] <= words["train"]


def test_made_rows_are_those_of_their_seed(parts):
    assert word_order(0) == parts
    assert word_order(1) != parts


def test_whoever_counts_words_is_right_on_half_of_the_made_rows(parts):
    """Any function of a bag of words says the same of twins; here: the label of the word with the purest label."""
    counts: dict[str, Counter[str]] = {}
    for text, label in parts["train"]:
        for word in text.split():
            counts.setdefault(word, Counter())[label] += 1
    assert all(count[LABELS[0]] == count[LABELS[1]] for count in counts.values())


def test_a_winner_is_named_whoever_is_the_subject():
    rows = dict(row for rows in word_order(0).values() for row in rows)
    text = next(text for text, label in rows.items() if " was beaten by " in text and label == "city")
    first, second = _names(text)
    if "not" in text.split():
        first, second = second, first
    assert first in COUNTRIES
    assert second in CITIES


def test_every_setting_of_the_ablation_is_one_that_its_stages_take():
    for name, setting in ablation_settings.SETTINGS.items():
        assert setting.beside in ablation_settings.REFERENCES
        steps = ablation_settings.steps_of(name, {})
        assert steps[-1]["name"] == name
        for step in steps:
            stage = stages.find(step["stage"])
            settings = {key: step[key] for key in step if key not in {"name", "stage", *stage.inputs}}
            stage.config.model_validate(settings)
        for before, step in itertools.pairwise(steps):
            assert before["name"] in step.values()


def test_a_setting_differs_from_its_reference_in_what_it_says():
    whole, one = (ablation_settings.steps_of(name, {})[0] for name in ("whole", "layers_1"))
    assert {key for key in whole if whole[key] != one[key]} == {"name", "layers"}


def test_teachers_of_other_seeds_are_named_by_their_folders():
    _, second, third = ablation_settings.OTHER_TEACHERS
    (step,) = ablation_settings.steps_of("three_teachers", {second: "/a", third: "/b"})
    assert step["teacher"] == ["teacher", "/a", "/b"]


def _row(step: str, predictions: list[int], size: int, speedup: float, cpu: float) -> dict[str, Any]:
    right = sum(predictions) / len(predictions)
    return {
        "step": step,
        "quality": {"value": right},
        "predictions": predictions,
        "size_bytes": size,
        "cpu_seconds": cpu,
        "versus_baseline": {"speedup": {"value": speedup}, "drop_pp": {"value": 1.0, "high": 2.0}},
    }


def _report(student: list[int], speedup: float, linear: float) -> dict[str, Any]:
    return {
        "baselines": [
            {"name": "commonest_label", "quality": {"value": 0.1}},
            {"name": "linear_words", "quality": {"value": linear}},
        ],
        "test": {"truth": [1] * 10},
        "rows": [
            _row("teacher", [1] * 9 + [0], 1000, 1.0, 60.0),
            _row("trimmed", [1] * 10, 800, 1.0, 6.0),
            _row(chains.FINAL, student, 100, speedup, 120.0),
            _row("other", student, 100, speedup, 500.0),
        ],
        "lineage": [
            {"step": "teacher", "inputs": {"model": "model abc"}},
            {"step": "trimmed", "inputs": {"model": "teacher"}},
            {"step": chains.FINAL, "inputs": {"teacher": "teacher", "student": "trimmed"}},
            {"step": "other", "inputs": {"model": chains.FINAL}},
        ],
    }


def test_the_summary_has_means_over_seeds():
    reports = [_report([1] * 8 + [0, 0], 4.0, linear=0.8), _report([1] * 6 + [0] * 4, 6.0, linear=0.7)]
    found = figures.of_sst2(reports)
    assert found["sst2_seeds"] == 2
    assert found["sst2_teacher_accuracy"] == 0.9
    assert found["sst2_linear_accuracy"] == 0.75
    assert found["sst2_student_drop_pp"] == pytest.approx(20.0)
    assert found["sst2_student_drop_lo_pp"] < 20 < found["sst2_student_drop_hi_pp"]
    assert found["sst2_student_speedup"] == 5.0
    assert found["sst2_student_size_ratio"] == 10.0
    assert found["sst2_student_cpu_minutes"] == pytest.approx(3.1)  # the teacher, its trimming, the student
    assert not any("same_size" in name for name in found)


def test_the_cost_of_a_chain_is_also_known_where_few_steps_are_measured():
    report = {
        "rows": [{"step": "teacher_onnx"}, {"step": chains.FINAL}],
        "made": {
            "teacher": {"inputs": [], "cpu_seconds": 60.0},
            "teacher_onnx": {"inputs": ["teacher"], "cpu_seconds": 6.0},
            "student": {"inputs": ["teacher"], "cpu_seconds": 30.0},
            chains.FINAL: {"inputs": ["student"], "cpu_seconds": 3.0},
        },
    }
    assert figures.cpu_minutes(report, chains.FINAL) == pytest.approx(93 / 60)
    assert figures.teacher_of(report)["step"] == "teacher_onnx"


def test_an_ablations_row_is_held_against_its_reference_on_the_same_rows_and_seeds():
    def row(right: list[int]) -> dict[str, Any]:
        return {"right": right}

    rows = {"narrow-0": row([1, 1, 0, 0]), "narrow_6-0": row([1, 1, 1, 0]), "narrow_6-1": row([0, 0, 0, 0])}
    assert tables._against("narrow_6", rows).startswith("+25.00 [")
    assert tables._against("narrow", rows) == ""


def test_every_shipped_chain_names_stages_and_settings_that_there_are(tmp_path):
    for recipe in (chains.sst2(tmp_path, 1), chains.ngrams_beside_teacher("r8"), chains.word_order(tmp_path, 0)):
        names = [step["name"] for step in recipe["steps"]]
        assert len(set(names)) == len(names)
        for step in recipe["steps"]:
            stage = stages.find(step["stage"])
            settings = {key: step[key] for key in step if key not in {"name", "stage", *stage.inputs}}
            stage.config.model_validate(settings)
            read = [step[role] for role in stage.inputs if role in step]
            assert all(name in names[: names.index(step["name"])] or "://" in name for name in read)


def test_all_students_of_sst2_learn_from_the_same_variants(tmp_path):
    recipe = chains.sst2(tmp_path, 1)
    taught = [step for step in recipe["steps"] if step["stage"].startswith("distill")]
    assert len(taught) == 3
    assert all(step["augment"] == chains.TRANSFER for step in taught)
