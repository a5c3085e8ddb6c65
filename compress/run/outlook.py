"""What a run would do, beside what is done and what this machine can do; its forecast, measured on request."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from compress.machine.facts import host_facts
from compress.plan.feasibility import Feasibility, check_feasible
from compress.plan.plan import Plan
from compress.run.folder import open_store, run_folder
from compress.run.forecast import Forecast, measured_forecast, write_forecast
from compress.run.journal import Observer
from compress.run.make import whole
from compress.store.artifacts import Artifact

BATCHES = 5
"""Optimizer steps of each training that a forecast is measured on; the first pays for what is done once."""


@dataclass(frozen=True)
class Outlook:
    """What a run would do.

    Attributes:
        plan: its steps, with their keys.
        done: artifacts that are there already, by step.
        feasibility: what this machine cannot do of it.
        forecast: what the other steps take; None where it was not measured, or all is done.
    """

    plan: Plan
    done: Mapping[str, Artifact]
    feasibility: Feasibility
    forecast: Forecast | None = None

    @property
    def to_do(self) -> tuple[str, ...]:
        """Names of the steps that a run would make."""
        return tuple(step.name for step in self.plan.steps if step.name not in self.done)


def look_ahead(plan: Plan, runs_dir: Path) -> Outlook:
    """A plan beside the store's content and this machine; nothing is made.

    Raises:
        InputError: this machine cannot make a step, or measure on any of the targets.
    """
    store = open_store(runs_dir)
    run_folder(runs_dir, plan.recipe.name)  # refused where it could not be written to
    done = {step.name: artifact for step in plan.steps if (artifact := whole(step, store)) is not None}
    return Outlook(plan, done, check_feasible(plan, done))


def measure_forecast(outlook: Outlook, runs_dir: Path, observer: Observer) -> Forecast:
    """The forecast of a run, out of a few batches of each step that is to do; it is kept beside the run.

    Raises:
        CompressError: a step fails there, as it would in the run.
    """
    from compress.run.rehearsal import rehearse

    plan, host = outlook.plan, host_facts()
    rehearsed = rehearse(plan, observer, host, open_store(runs_dir), batches=BATCHES, done=outlook.done)
    forecast = measured_forecast(plan, rehearsed, host)
    write_forecast(forecast, run_folder(runs_dir, plan.recipe.name))
    return forecast
