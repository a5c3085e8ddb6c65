"""The verbs of the command line, and the techniques of each, from the names of the stages.

A verb is the first word of its stages' names; where it has several stages, `--how` chooses.
"""

from importlib import import_module

from compress.cli.saying import say
from compress.errors import InputError
from compress.registry import plugins

WHOLE = "full"
"""The technique of a stage whose name is its verb alone."""
DEFAULT_HOW = {"quantize": "onnx_dynamic"}
"""The technique of a verb that has several and is no stage's whole name, where `--how` is left out."""
AUTO_HOW = {"quantize": "onnx_auto"}
"""The technique of a verb that tries the others: `--auto` is short for it."""
CHOOSING = {"quantize": {"form": "onnx_static"}}
"""Options that only one technique has, and that choose it where `--how` is left out."""


def verb_of(stage: str) -> str:
    """The verb of a stage: the first word of its name."""
    return stage.partition("_")[0]


def verbs() -> dict[str, list[str]]:
    """Names of stages by their verb, in the order of the names."""
    from compress import stages

    by_verb: dict[str, list[str]] = {}
    for name in stages.names():
        by_verb.setdefault(verb_of(name), []).append(name)
    return by_verb


def technique(verb: str, name: str) -> str:
    """A stage's name as a value of `--how`."""
    return name.removeprefix(verb).removeprefix("_") or WHOLE


def default_technique(verb: str) -> str | None:
    """The default of `--how`: the stage that is named as the verb; what other packages add does not change it."""
    from compress import stages

    built_in = [name for name in stages.REGISTRY.built_in() if verb_of(name) == verb] or verbs().get(verb, [])
    if verb in built_in:
        return WHOLE
    return DEFAULT_HOW.get(verb) or (technique(verb, built_in[0]) if len(built_in) == 1 else None)


def default_first(verb: str, names: list[str]) -> list[str]:
    """A verb's stages, with that of the default technique first."""
    default = default_technique(verb)
    return sorted(names, key=lambda name: technique(verb, name) != default)


def refusals(verb: str) -> dict[str, InputError]:
    """The techniques of a verb that are left out because their plug-ins cannot be used, each with the reason."""
    from compress import stages

    return {technique(verb, name): why for name, why in stages.REGISTRY.refusals().items() if verb_of(name) == verb}


def warn_of_refused() -> None:
    """Print one line on stderr for each plug-in that a listing leaves out."""
    for room in ("compress.stages", "compress.tasks", "compress.runtimes", "compress.formats"):
        refused = import_module(room).REGISTRY.refusals() if plugins(room) else {}  # importing a room takes time
        for why in refused.values():
            say(f"warning: left out: {why.what}; {why.fix}", err=True)
