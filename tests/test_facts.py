"""What stages say in manifests has a type, which reports and cards ask for; a stage of somebody else is told of too."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from compress import stages
from compress.errors import CompressError
from compress.facts import Agreement, Bundle, Facts, Quantization, Transfer, Trimming
from compress.running.make import make_steps
from compress.running.report import quantized_steps, variants_note
from compress.stages import Input, Stage, StageConfig
from compress.store.artifacts import Artifact
from compress.store.store import Store
from tests.chain import Chain, Silent

AGREED = Agreement(rows=16, agreement=0.75)


class Config(StageConfig):
    """Of a stage of somebody else."""


def _round(*, model: Artifact, out: Path, **_: Any) -> Quantization:
    shutil.copytree(model.path, out, dirs_exist_ok=True)
    return Quantization.model_validate({"left_in_float": ["head\x1b"], "parity": AGREED, "codes": 16})


ROUND = Stage(
    Config,
    _round,
    inputs={"model": Input("torch", head="made")},
    output="torch",
    version=1,
    needs_data=False,
    facts=Quantization,
)


@pytest.fixture
def made(plan, monkeypatch, tmp_path):
    """Plans and makes a step of a toy stage: the plan, and its artifacts."""

    def make(stage):
        find = stages.find
        monkeypatch.setattr(stages, "find", lambda name, where=None: stage if name == "codebook" else find(name, where))
        planned = plan("{name: small, stage: codebook, model: MODEL}", more="")
        return planned, make_steps(planned, Store(tmp_path / "store"), {}, Silent())[0]

    return make


def test_a_stage_of_somebody_else_is_told_of_for_what_it_says(made):
    plan, artifacts = made(ROUND)
    assert artifacts["small"].facts == {
        "left_in_float": ["head\\x1b"],
        "parity": AGREED.model_dump(),
        "codes": 16,
    }
    (told,) = quantized_steps(plan, artifacts)
    assert (told.step, told.stage, told.parity, told.left_in_float) == ("small", "codebook", AGREED, ["head\\x1b"])
    (step,) = plan.steps
    assert step.facts(Trimming, artifacts) is None


def test_who_says_nothing_of_quantizing_is_not_told_of(made):
    plan, artifacts = made(replace(ROUND, facts=Facts, run=lambda **given: _round(**given).manifest_facts()))
    assert artifacts["small"].facts["codes"] == 16
    assert quantized_steps(plan, artifacts) == []


@pytest.mark.parametrize(("said", "given"), [(Trimming, "Quantization"), (Facts, "Quantization")])
def test_facts_of_another_type_than_the_stage_says_are_refused(made, said, given):
    with pytest.raises(
        CompressError, match=f"the stage codebook gives {given}, and says that it gives {said.__name__}"
    ):
        made(replace(ROUND, facts=said))


def test_facts_come_back_as_they_were_written():
    facts = Quantization.model_validate({"parity": AGREED, "scales": {"learned": 3}})
    assert facts.manifest_facts() == {"parity": AGREED.model_dump(), "scales": {"learned": 3}}
    assert Quantization.read(facts.manifest_facts()) == facts
    assert Quantization().manifest_facts() == {}


def test_variants_that_equal_test_rows_are_told_of():
    facts = Transfer(variants=997, variants_in_test=3, variants_test_key="these")
    assert Transfer.read(facts.manifest_facts()) == facts
    assert variants_note("student", facts, "these") == (
        "3 of 1,000 variants of rows equal test rows (student did not learn them)"
    )
    assert variants_note("student", facts, "others") == (
        "student was made when there were other test rows: it is not known whether one of its 997 variants of rows "
        "equals one of these"
    )
    assert variants_note("student", facts.model_copy(update={"variants_in_test": 0}), "these") is None


def test_what_a_manifest_lacks_is_none_and_what_is_damaged_an_error():
    assert Trimming.read({"tokens_before": 9}) is None
    assert Bundle.read({"parity": AGREED.model_dump()}) is None
    assert Quantization.read({"parity": None}) == Quantization()
    with pytest.raises(ValidationError, match="tokens_after"):
        Trimming.read({"tokens_before": 9, "tokens_after": "few"})


def test_each_stage_writes_what_it_says(chain: Chain) -> None:
    typed = {}
    for step in chain.plan.steps:
        told = step.facts(step.stage.facts, chain.artifacts)
        assert told is not None
        facts = chain.artifacts[step.name].facts
        assert set(told.manifest_facts()) == {name for name in facts if facts[name] is not None}, step.name
        typed.setdefault(step.stage.facts, []).append(step.name)
    assert typed[Trimming] == ["trimmed"]
    assert typed[Bundle] == ["bundled"]
    assert [told.step for told in quantized_steps(chain.plan, chain.artifacts)] == typed[Quantization]
    others = ["linear_int8", "ngrams_int8", "ngrams_int4", "convolution_int8", "nf4"]
    assert typed[Quantization] == ["int8", "static", "int4", "half", "auto", "trained", *others]
