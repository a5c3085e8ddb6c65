"""The outlook of a run: what it would do, what is done, what this machine cannot do, and its forecast on request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from compress.machine.facts import host_facts
from compress.planning.feasibility import Feasibility, check_feasible
from compress.planning.plan import Plan
from compress.running.baselines import outlook_of_baselines
from compress.running.folder import open_store, run_folder
from compress.running.forecast import Forecast, measured_forecast, write_forecast
from compress.running.journal import Observer
from compress.running.make import stored_artifact
from compress.store.artifacts import Artifact

BATCHES = 5
"""Optimizer steps of each training that a forecast is measured on; the first includes work that is done only once."""


@dataclass(frozen=True)
class Outlook:
    """The outlook of a run.

    Attributes:
        plan: the plan, whose steps have their keys.
        done: the artifacts that the store has, by step.
        feasibility: the parts of it that this machine cannot do.
        forecast: the costs of the other steps; None where they were not measured, or all is done.
        baselines: `done`, `to do`, or why it cannot be fitted, by the name of the simple baseline; they take seconds to
            minutes, which no forecast has.
    """

    plan: Plan
    done: Mapping[str, Artifact]
    feasibility: Feasibility
    forecast: Forecast | None = None
    baselines: Mapping[str, str] = field(default_factory=dict)

    @property
    def to_do(self) -> tuple[str, ...]:
        """Names of the steps that a run would make."""
        return tuple(step.name for step in self.plan.steps if step.name not in self.done)


def look_ahead(plan: Plan, runs_dir: Path) -> Outlook:
    """The outlook of a plan, from the store's content and this machine; nothing is made.

    Raises:
        InputError: this machine cannot make a step, or measure on any of the targets.
    """
    store = open_store(runs_dir)
    run_folder(runs_dir, plan.recipe.name)  # raises an error where the folder cannot be written to
    done = {step.name: artifact for step in plan.steps if (artifact := stored_artifact(step, store)) is not None}
    return Outlook(plan, done, check_feasible(plan, done), baselines=outlook_of_baselines(plan, store))


def measure_forecast(outlook: Outlook, runs_dir: Path, observer: Observer) -> Forecast:
    """The forecast of a run, measured on a few batches of each step that is to do, and kept in the run's folder.

    Raises:
        CompressError: a step fails, as it would in the run.
    """
    from compress.running.rehearsal import rehearse

    plan, host = outlook.plan, host_facts()
    rehearsed = rehearse(plan, observer, host, open_store(runs_dir), batches=BATCHES, done=outlook.done)
    forecast = measured_forecast(plan, rehearsed, host)
    write_forecast(forecast, run_folder(runs_dir, plan.recipe.name))
    return forecast
