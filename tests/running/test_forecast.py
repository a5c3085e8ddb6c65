"""What a run needs, what is free, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from compress.errors import CompressError
from compress.files.disks import free_disk
from compress.formats import find
from compress.machine.facts import host_facts
from compress.planning.plan import Plan
from compress.planning.planner import make_plan
from compress.processes import memory
from compress.processes.memory import free_memory
from compress.recipe.validation import Origin
from compress.running import forecast
from compress.running.forecast import (
    FORECAST,
    Forecast,
    StepForecast,
    check_fits,
    forecast_for,
    lower_bound,
    measured_forecast,
    write_forecast,
)
from compress.running.rehearsal import Cost, Rehearsed
from compress.running.runner import run_plan
from tests.chain import Chain, Silent, chain_recipe

HOST = {"cpu": "this", "cores": 2, "system": "Linux", "versions": {"torch": "2"}}


@pytest.fixture
def planned(make_model: Callable[..., Path], reviews: Path) -> Plan:
    return make_plan(chain_recipe(make_model(), reviews), Origin())


def parameters(chain: Chain, step: str) -> int:
    return find("torch").parameters(chain.artifacts[step].path)


def test_at_the_least_a_training_holds_weights_gradients_and_two_moments(planned: Plan, chain: Chain) -> None:
    found = {step.step: step for step in lower_bound(planned, (), HOST).steps}
    for name in ("teacher", "student", "pruned"):
        count = parameters(chain, name)
        assert found[name].memory_bytes == pytest.approx(16 * count, rel=0.1), name
        assert found[name].artifact_bytes == pytest.approx(4 * count, rel=0.1), name
        assert found[name].scratch_bytes == pytest.approx(2 * 12 * count, rel=0.1), name
    assert found["onnx"].memory_bytes == pytest.approx(4 * parameters(chain, "pruned"), rel=0.1)
    assert (found["onnx"].scratch_bytes, found["int8"].artifact_bytes) == (0, 0)


def test_steps_that_are_done_need_nothing(planned: Plan) -> None:
    assert [step.step for step in lower_bound(planned, {"teacher", "student"}, HOST).steps][:2] == ["pruned", "onnx"]


def step(name: str, **figures: int) -> StepForecast:
    return StepForecast(step=name, stage="finetune", key=name, seconds=1.5, **{"memory_bytes": 1, **figures})


def forecast_of(*steps: StepForecast, measured: bool = True) -> Forecast:
    return Forecast(compress_version="1", host=HOST, bench="", measured=measured, steps=steps)


def test_disk_is_what_is_kept_so_far_and_the_scratch_files_of_the_step_at_work() -> None:
    found = forecast_of(
        step("a", artifact_bytes=10, scratch_bytes=40),
        step("b", artifact_bytes=10, scratch_bytes=25),
        step("c", artifact_bytes=31),
    )
    assert found.disk_bytes == 51
    assert found.seconds == 4.5


def test_what_cannot_fit_is_refused_with_both_numbers(
    planned: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(forecast, "free_memory", lambda: 1_100_000_000)
    monkeypatch.setattr(forecast, "free_disk", lambda _: 500_000_000)
    hungry = forecast_of(step("teacher", memory_bytes=5_200_000_000))
    with pytest.raises(CompressError, match=r"'teacher' needs about 5\.2 GB of memory, 1\.1 GB are free") as caught:
        check_fits(hungry, planned, tmp_path)
    assert "--force" in str(caught.value.fix)
    large = forecast_of(step("teacher", artifact_bytes=700_000_000), measured=False)
    with pytest.raises(CompressError, match=r"the run needs at least 0\.7 GB of disk, 0\.5 GB are free") as caught:
        check_fits(large, planned, tmp_path)
    assert (caught.value.where, "--force" in str(caught.value.fix)) == (str(tmp_path), True)
    check_fits(forecast_of(step("teacher", memory_bytes=1_000_000_000)), planned, tmp_path)


def test_a_run_that_cannot_fit_is_not_begun_unless_forced(
    planned: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(forecast, "free_disk", lambda _: 1000)
    with pytest.raises(CompressError, match="the run needs at least"):
        run_plan(planned, tmp_path / "runs", Silent())
    assert not (tmp_path / "runs").exists()

    class BegunError(Exception): ...

    class Forced(Silent):
        def step_started(self, name: str, stage: str) -> None:
            raise BegunError

    with pytest.raises(BegunError):
        run_plan(planned, tmp_path / "runs", Forced(), force=True)


def test_a_measured_forecast_is_kept_and_used_for_the_same_steps_on_the_same_machine(
    planned: Plan, tmp_path: Path
) -> None:
    rehearsed = Rehearsed({item.name: Cost(10.0, 1000, None, 5, 7) for item in planned.steps}, None, 1.0)
    kept = measured_forecast(planned, rehearsed, HOST)
    write_forecast(kept, tmp_path / "runs" / "tiny")
    assert forecast_for(planned, (), tmp_path / "runs" / "tiny", HOST) == kept
    later = forecast_for(planned, {"teacher"}, tmp_path / "runs" / "tiny", HOST)
    assert later.measured
    assert later.seconds == kept.seconds - 10.0
    other = {**HOST, "cpu": "another"}
    assert not forecast_for(planned, (), tmp_path / "runs" / "tiny", other).measured
    assert not forecast_for(planned, (), tmp_path, HOST).measured
    (tmp_path / "runs" / "tiny" / FORECAST).write_text("{")
    assert not forecast_for(planned, (), tmp_path / "runs" / "tiny", HOST).measured


def test_free_memory_is_the_least_of_machine_control_group_and_address_space(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert free_memory() == pytest.approx(psutil.virtual_memory().available, rel=0.1)
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 400000\n")
    assert free_memory() == 2_400_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory() > 100_000_000


def test_free_disk_is_that_of_where_a_folder_is_to_be(tmp_path: Path) -> None:
    assert free_disk(tmp_path / "not" / "yet") == pytest.approx(psutil.disk_usage(str(tmp_path)).free, rel=0.05)


def test_this_machines_facts_are_the_same_machine(planned: Plan, tmp_path: Path) -> None:
    host = host_facts()
    kept = measured_forecast(planned, Rehearsed({"teacher": Cost(1.0, 2)}, Cost(3.0, 4), 1.0), host)
    assert [item.step for item in kept.steps] == ["teacher", "bench"]
    write_forecast(kept, tmp_path)
    others = {item.name for item in planned.steps} - {"teacher"}
    assert forecast_for(planned, others, tmp_path, host_facts()).seconds == 4.0
