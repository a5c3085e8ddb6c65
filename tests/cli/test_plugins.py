"""Commands, help and schema with packages of somebody else."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from compress import stages
from compress.cli import app
from compress.cli import stages as cli_stages
from compress.cli.verbs import default_technique
from compress.recipe.schema import TaskSpec

STAGE = '''"""Round the weights of {name}.

Use it on nothing.

```yaml
- {{name: rounded, stage: {name}, decimals: 3}}
```
"""
from compress.stages import Input, Stage, StageConfig
INTERFACE = 1
class Config(StageConfig):
    decimals: int = 2
    """Decimals that are kept."""
    layers: list[int] = [0]
    """Which ones."""
def run(*, model, config, context, out): ...
STAGE = Stage(Config, run, {{"model": Input("torch")}}, "torch", 1, needs_data=False)
'''


def help_of(verb: str) -> str:
    """What a process that starts now would show of a verb."""
    fresh = typer.Typer(rich_markup_mode=None)
    cli_stages.register(fresh)
    command: Any = typer.main.get_command(fresh)
    return str(CliRunner().invoke(fresh, [verb, "--help"]).stdout) if verb in command.commands else ""


@pytest.fixture
def packages(install: Any, tmp_path: Path) -> Path:
    """Two stages that work, and one of each that does not."""
    names = ("round_weights", "prune_decimals")
    modules = {f"{name}_module": STAGE.format(name=name) for name in names}
    install("rounder", {"compress.stages": {name: f"{name}_module" for name in names}}, **modules)
    broken = {"thin_out": "thin_module", "quantize_badly": "thin_module", "export_onnx": "round_weights_module"}
    install("thinner", {"compress.stages": broken, "compress.tasks": {"tags": "thin_module"}}, thin_module="import no")
    return tmp_path


def test_the_help_lists_the_commands_of_packages_and_warns_of_those_that_it_leaves_out(packages: Path) -> None:
    command = [sys.executable, "-m", "compress", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, cwd=packages)
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert "round Round the weights of round_weights.".split() in lines
    verbs = {line[0] for line in lines if line}
    assert {"prune", "quantize", "finetune", "run"} <= verbs
    assert not {"thin", "export"} & verbs
    warnings = shown.stderr.splitlines()
    assert len(warnings) == 4
    assert warnings[0] == (
        "warning: left out: the package 'thinner 1.0' names a stage 'export_onnx', as one of compress itself is named; "
        "pip uninstall thinner"
    )
    assert "the task type 'tags' of the package 'thinner 1.0' cannot be imported" in warnings[-1]


def test_a_stage_of_a_package_gets_its_command_with_options_and_an_example(packages: Path) -> None:
    own = help_of("round")
    assert "compress round torch-model/ --decimals 3 --out rounded/" in own
    assert "Decimals that are kept. [default: 2]" in own
    assert "Which ones. [default: [0]]" in own
    both = help_of("prune")
    assert "structured|decimals" in both or "decimals|structured" in both
    assert "[default: structured]" in both
    assert "--how decimals --decimals 3 --out rounded/" in both
    assert help_of("thin") == help_of("export") == ""


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("thin", "model"), "the stage 'thin_out' of the package 'thinner 1.0' cannot be imported"),
        (("quantize", "model", "--how", "badly"), "the stage 'quantize_badly' of the package 'thinner 1.0' cannot be"),
        (
            ("chain", "model", "finetune", "thin"),
            "the stage 'thin_out' of the package 'thinner 1.0' cannot be imported",
        ),
    ],
)
def test_a_command_that_a_broken_package_has_names_the_package(
    packages: Path, refused: Any, arguments: Any, what: str
) -> None:
    error = refused(*arguments)
    assert error.what.startswith(what)
    assert error.fix == "pip install --upgrade thinner, or pip uninstall thinner"


def test_the_schema_has_the_stages_of_packages(packages: Path, cli: Any) -> None:
    said = cli("schema")
    schema = json.loads(said.out)
    step = schema["$defs"]["step.round_weights"]
    assert step["properties"]["decimals"]["description"] == "Decimals that are kept."
    assert "step.thin_out" not in schema["$defs"]
    assert "step.distill" in schema["$defs"]
    assert schema["$defs"]["TaskSpec"]["properties"]["type"]["enum"] == ["text_classification"]  # tags is left out
    assert said.err.count("warning: left out: ") == 4


def test_a_package_changes_no_default(packages: Path) -> None:
    assert stages.names().count("prune_decimals") == 1
    assert default_technique("prune") == "structured"
    assert default_technique("round") == "weights"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("decimals: int = 2", "train: int = 2", "train: recipes and commands have that name for something else"),
        ("decimals: int = 2", "model: int = 2", "model: recipes and commands have that name for something else"),
        ('{"model": Input', '{"seed": Input', "seed: recipes and commands have that name for something else"),
        ('{"model": Input("torch")}', "{}", "cannot be imported: ValueError: a stage reads one model at least"),
        ("1, needs", "1, base_role='q4', needs", "'q4' is none of the stage's inputs: model"),
        ('Input("torch")}', '"torch"}', "STAGE.inputs needs a compress.stages.Input for each role"),
        ("Stage(Config,", "Stage(dict,", "its settings, dict, are no compress.stages.StageConfig"),
        ("decimals: int = 2", "decimals: 'Unknown' = 2", "is not fully defined"),
        ("decimals: int = 2", "decimals: object() = 2", "does not fit: Unable to generate pydantic-core schema"),
    ],
)
def test_a_stage_that_would_break_commands_is_refused(install: Any, old: str, new: str, problem: str) -> None:
    text = STAGE.format(name="round_weights")
    assert old in text
    install("rounder", {"compress.stages": {"round_weights": "its_module"}}, its_module=text.replace(old, new))
    assert "round_weights" not in stages.names()
    assert problem in stages.REGISTRY.refusals()["round_weights"].what


def test_the_names_that_no_setting_may_have_are_those_of_the_commands() -> None:
    commands: Any = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    own = {role for name in stages.names() for role in stages.find(name).inputs}
    for name in stages.names():
        own |= {field.partition("__")[0] for field in stages.find(name).config.model_fields}
    for verb in {name.partition("_")[0] for name in stages.names()}:
        for parameter in commands[verb].params:
            name = parameter.name.partition("__")[0]
            known = own | stages.OPTIONS | set(TaskSpec.model_fields)
            assert name in known or name.endswith("_column"), f"{verb}: {name}"
    assert not own & (stages.OPTIONS | set(TaskSpec.model_fields))
