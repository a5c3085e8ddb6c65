"""Many plans over one store: what they share is made once, and their ends are measured together."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compress.planning.ablation import Ablated
from compress.planning.plan import Plan
from compress.report.entries import AblationEntry
from compress.running import measure as measuring
from compress.running import runner
from compress.running.ablations import compare_ablated, variants_of
from compress.running.make import make_steps
from compress.running.runner import Result, run_plan
from compress.running.variants import MadeVariant, Variant, final_pairs, make_variants
from compress.store.artifacts import Artifact
from compress.store.store import Store
from tests.chain import Silent
from tests.running.toys import HOST, TARGETS, ToyBench, ToyStage, toy_plan

CHAIN = {"base": 1, "small": 2, "smaller": 3, "smallest": 4}  # 101, 103, 106, 110


class Chain:
    """A chain that is made, and plans beside it."""

    def __init__(self, place: Path) -> None:
        self.place, self.toy, self.store, self.observer = place, ToyStage(), Store(place / "store"), Silent()
        self.whole = self.plan(CHAIN)
        self.artifacts, _ = make_steps(self.whole, self.store, HOST, self.observer)
        self.toy.made.clear()
        self.observer.made.clear()

    def plan(self, numbers: dict[str, int], **changes: Any) -> Plan:
        return toy_plan(self.toy, self.place / "model", numbers, **changes)

    def without(self, *steps: str) -> Plan:
        return self.plan({name: number for name, number in CHAIN.items() if name not in steps})

    def make(self, *plans: Plan) -> tuple[list[MadeVariant], bool]:
        variants = [Variant(f"in {index}", plan) for index, plan in enumerate(plans)]
        return make_variants(variants, self.whole, self.artifacts, self.store, HOST, self.observer)


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path)


def total(artifact: Artifact) -> int:
    found: int = artifact.facts["total"]
    return found


def test_a_prefix_is_made_once_for_all(chain: Chain) -> None:
    made, any_made = chain.make(chain.without("smaller"), chain.without("smaller", "smallest"), chain.without("small"))
    assert any_made
    assert chain.toy.made == [4, 3, 4]  # the end of the first, none of the second, two of the third
    assert chain.observer.made == ["smallest in 0", "smaller in 2", "smallest in 2"]
    ends = [variant.final_pairs()["cpu"] for variant in made]
    assert [(total(pair.artifact), pair.target) for pair in ends] == [(107, "cpu"), (103, "cpu"), (108, "cpu")]


def test_variants_share_what_another_variant_has_made(chain: Chain) -> None:
    more = chain.plan({"base": 1, "other": 7, "third": 8})
    chain.make(more, chain.plan({"base": 1, "other": 7, "fourth": 9}))
    assert chain.toy.made == [7, 8, 9]


def test_what_is_shared_is_not_read_through_again(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    obtain = Store.obtain

    def noted(self: Store, identity: Any, *args: Any, **more: Any) -> Any:
        asked.append(identity.config["number"])
        return obtain(self, identity, *args, **more)

    monkeypatch.setattr(Store, "obtain", noted)
    chain.make(*[chain.without("smallest")] * 3, chain.without("smaller"))
    assert asked == [4]


def test_variants_that_are_done_say_nothing(chain: Chain) -> None:
    chain.make(chain.without("smaller"))
    chain.observer.made.clear()
    chain.toy.made.clear()
    made, any_made = chain.make(chain.without("smaller"))
    assert (any_made, chain.observer.made, chain.toy.made) == (False, [], [])
    assert total(made[0].final_pairs()["cpu"].artifact) == 107


def test_a_kill_in_the_middle_of_variants_keeps_what_was_made(chain: Chain) -> None:
    plans = [chain.without("smaller"), chain.without("small")]
    real = chain.toy.run

    def dies_at_the_second(**more: Any) -> Any:
        if more["config"].number == 3:
            raise KeyboardInterrupt
        return real(**more)

    chain.toy.stage = replace(chain.toy.stage, run=dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        chain.make(chain.without("smaller"), chain.without("small"))
    assert chain.toy.made == [4]
    chain.make(*plans)
    assert chain.toy.made == [4, 3, 4]


@pytest.mark.parametrize("changes", [{"test": "other rows"}, {"targets": {"cpu": {"threads": 2}}}])
def test_plans_of_other_data_or_targets_are_no_variants(chain: Chain, changes: Any) -> None:
    with pytest.raises(ValueError, match="the variant 'in 0' is measured on other rows or targets"):
        chain.make(chain.plan(CHAIN, **changes))


def test_an_ablation_is_a_set_of_variants_held_against_the_whole(chain: Chain) -> None:
    ablated = [
        Ablated("base", None, "it is the baseline"),
        Ablated("small", chain.without("small")),
        Ablated("smaller", None, "it is needed"),
        Ablated("smallest", chain.without("smallest")),
    ]
    variants = variants_of(ablated)
    assert [variant.name for variant in variants] == ["without small", "without smallest"]
    made, _ = make_variants(variants, chain.whole, chain.artifacts, chain.store, HOST, chain.observer)
    entries, compared = compare_ablated(ablated, made, chain.whole, chain.artifacts)
    ends = [variant.final_pairs()["cpu"].artifact.key for variant in made]
    assert entries == [
        AblationEntry("base", "cpu", reason="it is the baseline"),
        AblationEntry("small", "cpu", ends[0]),
        AblationEntry("smaller", "cpu", reason="it is needed"),
        AblationEntry("smallest", "cpu", ends[1]),
    ]
    whole = final_pairs(chain.whole, chain.artifacts)["cpu"]
    assert [(total(one.artifact), other) for one, other in compared] == [(108, whole), (106, whole)]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ToyBench:
    """A run whose measuring and reporting take no time."""
    bench = ToyBench()
    monkeypatch.setattr(measuring, "measure", bench)
    monkeypatch.setattr(runner, "host_facts", lambda: HOST)
    monkeypatch.setattr(runner, "_check_fits", lambda *_, **__: [])
    monkeypatch.setattr(runner, "dump_recipe", lambda *_, **__: "name: toy\n")
    monkeypatch.setattr(runner, "write_final", lambda *_: None)
    monkeypatch.setattr(runner, "write_report", lambda *_: None)
    monkeypatch.setattr(runner, "report_plan", lambda *told: bench.reported.append(told[2]) or (None, False))
    return bench


def test_a_run_with_ablations_measures_their_ends_beside_the_whole_and_later_nothing(
    tmp_path: Path, bench: ToyBench
) -> None:
    toy, observer = ToyStage(), Silent()

    def run(ablate: bool, **more: int) -> Result:
        numbers = {**CHAIN, **more}
        left = {name: number for name, number in numbers.items() if name != "smaller"}
        ablated = [Ablated("smaller", toy_plan(toy, tmp_path / "model", left))] if ablate else []
        return run_plan(toy_plan(toy, tmp_path / "model", numbers), tmp_path / "runs", observer, ablated)

    assert not run(ablate=False).did_nothing
    assert bench.asked == [{("101", "cpu"), ("103", "cpu"), ("106", "cpu"), ("110", "cpu")}]
    assert not run(ablate=True).did_nothing
    assert bench.asked[1:] == [{("107", "cpu"), ("110", "cpu")}]  # without the third, and the whole once more
    whole, left = bench.reported[1].measurements[:-1], bench.reported[1].measurements[-1]
    assert ([found.session for found in whole], left.session) == ([1] * 4, 2)  # the rows stay beside their baseline
    both = bench.reported[1].together((left.artifact, "cpu"), (whole[-1].artifact, "cpu"))
    assert both is not None
    assert [found.session for found in both] == [2, 2]
    assert observer.made == [*CHAIN, "bench", "smallest without smaller", "bench"]
    assert run(ablate=True).did_nothing
    assert run(ablate=False).did_nothing
    assert len(bench.asked) == 2
    assert not run(ablate=False, last=5).did_nothing
    assert bench.asked[2:] == [{("115", "cpu"), ("101", "cpu"), ("110", "cpu")}]
    assert toy.made == [1, 2, 3, 4, 4, 5]


def test_all_targets_are_compared(chain: Chain) -> None:
    targets = {**TARGETS, "long": {"threads": 1, "sequence_length": 256}}
    whole, left = chain.plan(CHAIN, targets=targets), chain.plan({"base": 1}, targets=targets)
    ablated = [Ablated("small", left)]
    made, _ = make_variants(variants_of(ablated), whole, chain.artifacts, chain.store, HOST, chain.observer)
    entries, compared = compare_ablated(ablated, made, whole, chain.artifacts)
    assert [entry.target for entry in entries] == ["cpu", "long"]
    assert [(one.target, other.target) for one, other in compared] == [("cpu", "cpu"), ("long", "long")]
