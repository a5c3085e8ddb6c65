import sys

import pytest

from compress import runtimes, stages, tasks
from compress.errors import InputError
from compress.registry import Registry

GOOD = '''"""Turns nothing into nothing."""
from compress.stages import Input, Stage, StageConfig
INTERFACE = 1
class Config(StageConfig):
    strength: float = 0.5
    """How much."""
def run(*, model, config, context, out): ...
STAGE = Stage(Config, run, {"model": Input("torch")}, "torch", 1)
'''


def add(install, text=GOOD, name="vanish", package="shrinker", version="1.2", group="compress.stages", **more):
    return install(package, {group: {name: f"{package}_module"}}, version, **{f"{package}_module": text}, **more)


def refused(name="vanish"):
    with pytest.raises(InputError) as refusal:
        stages.find(name, "recipe.yaml:3")
    assert refusal.value.where == "recipe.yaml:3"
    assert name not in stages.names()
    assert {"distill", "export_onnx"} <= set(stages.names())
    assert stages.find("distill").output == "torch"
    return refusal.value


def test_a_stage_of_a_package_stands_among_the_others(install):
    before = stages.names()
    add(install)
    assert stages.names() == sorted([*before, "vanish"])
    assert stages.find("vanish").config().strength == 0.5
    assert stages.REGISTRY.module("vanish").__doc__ == "Turns nothing into nothing."
    assert str(stages.REGISTRY.plugin("vanish")) == "shrinker 1.2"
    assert stages.REGISTRY.plugin("distill") is None
    assert not stages.REGISTRY.refusals()


def test_without_plug_ins_the_names_are_the_files():
    assert stages.names() == stages.REGISTRY.built_in()
    assert tasks.names() == tasks.REGISTRY.built_in() == ["text_classification"]
    assert runtimes.REGISTRY.names() == ["onnxruntime", "openvino", "tensorrt", "torch", "torch_compile"]


def test_an_unknown_name_is_answered_with_the_nearest_also_of_plug_ins(install):
    add(install)
    with pytest.raises(InputError, match="unknown stage 'vanisch'") as refusal:
        stages.find("vanisch")
    assert refusal.value.fix.startswith("did you mean 'vanish'? accepted: bundle_onnx, ")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("import not_there", "cannot be imported: ModuleNotFoundError: No module named 'not_there'"),
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
        ("def run(", "cannot be imported: SyntaxError: '(' was never closed (shrinker_module.py, line 1)"),
        (
            GOOD.replace("INTERFACE = 1", "INTERFACE = 7"),
            "is written for version 7 of the interface; this compress knows version 1",
        ),
        (
            GOOD.replace("INTERFACE = 1", "INTERFACE = True"),
            "is written for version True of the interface; this compress knows version 1",
        ),
        (
            GOOD.replace("INTERFACE = 1", ""),
            "does not say for which interface it is written; add INTERFACE = 1 to shrinker_module",
        ),
        ("INTERFACE = 1", "has no STAGE in shrinker_module"),
        (
            "INTERFACE = 1\nSTAGE = {'output': 'torch'}",
            "does not fit: STAGE is of type dict, and compress.stages.Stage is needed",
        ),
    ],
)
def test_a_plug_in_that_cannot_be_used_is_refused_by_name_and_the_rest_works(install, text, problem):
    add(install, text)
    refusal = refused()
    assert refusal.what == f"the stage 'vanish' of the package 'shrinker 1.2' {problem}"
    assert refusal.fix == "pip install --upgrade shrinker, or pip uninstall shrinker"
    assert stages.REGISTRY.refusals()["vanish"].what == refusal.what


def test_a_module_that_is_not_there_and_a_value_that_is_none(install):
    install("gone", {"compress.stages": {"vanish": "nowhere.module", "fade": "not a module", "Großes": "json"}})
    assert "cannot be imported: ModuleNotFoundError" in refused().what
    assert "cannot be imported" in refused("fade").what
    assert "has a name that no recipe can hold" in refused("Großes").what


def test_two_packages_with_one_name_are_refused(install):
    add(install, package="shrinker")
    add(install, package="deflater", version="0.1")
    refusal = refused()
    assert refusal.what == "the stage 'vanish' is in more than one package: 'deflater 0.1' and 'shrinker 1.2'"
    assert refusal.fix == "keep one: pip uninstall deflater, or pip uninstall shrinker"


def test_a_package_installed_twice_counts_once_as_it_is_imported(install):
    add(install, version="1.1")
    add(install, version="1.2")
    assert str(stages.REGISTRY.plugin("vanish")) == "shrinker 1.2"
    assert stages.find("vanish").version == 1


def test_a_package_does_not_take_a_name_of_compress_itself(install):
    add(install, name="finetune")
    refusal = refused("finetune")
    assert refusal.what == "the package 'shrinker 1.2' names a stage 'finetune', as one of compress itself is named"
    assert refusal.fix == "pip uninstall shrinker"


def test_a_runtime_needs_all_of_its_parts(install):
    install("fast", {"compress.runtimes": {"fast": "fast_runtime"}}, fast_runtime="INTERFACE = 1\nFORMATS = ('onnx',)")
    with pytest.raises(InputError, match=r"'fast 1[.]0' has no refuse and no unavailable and no load in fast_runtime"):
        runtimes.find("fast")
    assert "fast" not in runtimes.REGISTRY.names()


def test_a_task_of_a_package_is_found(install):
    add(install, "INTERFACE = 1\nANSWERS = 'label'\ndef load(*_): return 7", name="tags", group="compress.tasks")
    assert tasks.names() == ["tags", "text_classification"]
    assert tasks.REGISTRY.find("tags")() == 7


def test_a_module_that_is_refused_is_imported_once(install):
    add(install, "import sys\nsys.counted = getattr(sys, 'counted', 0) + 1\nraise ValueError('no')")
    registry = Registry("stage", "compress.stages", "STAGE")
    for _ in range(3):
        assert "vanish" not in registry.names()
    assert sys.counted == 1
    del sys.counted
