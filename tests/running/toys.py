"""Plans of a stage that writes one number, and measuring that takes no time: for what a run does around them."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from compress.benching.measure import Bench
from compress.context import Context
from compress.measurement import Conditions, Measured, Measurement
from compress.planning.plan import Plan, PlannedStep, Subject
from compress.recipe.schema import Recipe, Target, role_names
from compress.recipe.validation import Origin
from compress.stages import Input, Stage, StageConfig
from compress.store.artifacts import Artifact, Identity

HOST: dict[str, Any] = {"cpu": "toy", "cores": 2, "system": "toy", "versions": {}}
TARGETS = {"cpu": {"threads": 1}}


class Config(StageConfig):
    """Of the toy stage."""

    number: int = 1


class ToyStage:
    """Adds its number to that of the model that it reads; counts what it was asked for."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.fails_at: BaseException | None = None
        inputs = {"model": Input("torch", head="own"), "others": Input("torch", optional=True, many=True)}
        self.stage = Stage(
            Config, self.run, inputs=inputs, output="torch", version=1, shape=lambda *_: None, needs_data=False
        )

    def run(
        self, *, model: Artifact, others: Sequence[Artifact], config: Config, context: Context, out: Path
    ) -> Mapping[str, Any]:
        context.progress("adding", 1, 1)
        if self.fails_at is not None:
            raise self.fails_at
        total = config.number + sum(int((read.path / "number").read_text()) for read in (model, *others))
        (out / "number").write_text(str(total))
        self.made.append(config.number)
        return {"total": total}


def toy_plan(
    toy: ToyStage,
    folder: Path,
    numbers: Mapping[str, int],
    targets: Mapping[str, Any] = TARGETS,
    test: str = "rows",
    others: Mapping[str, Sequence[str]] | None = None,
    **recipe: Any,
) -> Plan:
    """A chain of steps that each read the one before, the first a model in `folder`; the first is the baseline."""
    folder.mkdir(exist_ok=True)
    (folder / "number").write_text("100")
    steps: list[PlannedStep] = []
    for name, number in numbers.items():
        read_too = (others or {}).get(name, ())
        inputs: dict[str, str | Artifact] = {
            "model": steps[-1].name if steps else Artifact(folder, "outside", "torch"),
            **dict(zip(role_names("others", len(read_too)), read_too, strict=True)),
        }
        keys = {step.name: step.identity.key for step in steps}
        config = Config(number=number)
        read = {role: value.key if isinstance(value, Artifact) else keys[value] for role, value in inputs.items()}
        identity = Identity("toy", 1, config.model_dump(), read, "", 0)
        steps.append(PlannedStep(name, "toy", toy.stage, config, inputs, identity, None, f"recipe.yaml:{len(steps)}"))
    said = [{"name": name, "stage": "toy", "number": number} for name, number in numbers.items()]
    content = {"name": "toy", "task": {}, "steps": said, "targets": targets, "device": "cpu", **recipe}
    task: Any = SimpleNamespace(test_key=test)
    return Plan(
        Recipe.model_validate(content),
        Origin(),
        task,
        tuple(steps),
        tuple(Subject(name, "toy", target, name) for target in targets for name in numbers),
        dict.fromkeys(targets, next(iter(numbers))),
        next(iter(numbers)),
    )


class ToyBench:
    """Stands in for `measure`: notes which pairs it was asked for, and says at once what each takes."""

    def __init__(self, statuses: Mapping[str, str] | None = None) -> None:
        self.asked: list[set[tuple[str, str]]] = []
        self.earlier: list[set[tuple[str, str]]] = []
        self.reported: list[Measured] = []
        self.statuses = dict(statuses or {})

    def __call__(
        self,
        artifacts: Sequence[Artifact],
        targets: Mapping[str, Target],
        bench: Bench,
        *,
        only: Collection[tuple[str, str]],
        earlier: Mapping[tuple[str, str], Measurement],
    ) -> tuple[list[Measurement], dict[str, Conditions]]:
        number = {artifact.key: (artifact.path / "number").read_text() for artifact in artifacts}
        self.asked.append({(number[key], target) for key, target in only})
        self.earlier.append({(number[key], target) for key, target in earlier})
        found = []
        for artifact in artifacts:
            for target in targets:
                if (artifact.key, target) in only:
                    status = self.statuses.get(number[artifact.key], "measured")
                    found.append(_measurement(artifact, target, status, float(len(self.asked))))
        return found, {target: Conditions(competing_cores=1 / len(self.asked)) for target in targets}


def _measurement(artifact: Artifact, target: str, status: str, ms: float) -> Measurement:
    content = {"artifact": artifact.key, "target": target, "status": status, "size_bytes": 1}
    if status != "measured":
        return Measurement.model_validate({**content, "reason": "it is a toy"})
    samples = [[ms] * 2] * 5
    kinds = ("samples_ms", "real_samples_ms", "tokenize_samples_ms")
    return Measurement.model_validate(
        {**content, **dict.fromkeys(kinds, samples), "process_of_round": list(range(5)), "predictions": [0, 1]}
    )
