"""All that a recipe can name of one kind: files of a folder, and modules that other packages add by entry points.

A package adds a stage in its pyproject.toml:

    [project.entry-points."compress.stages"]
    drop_layers = "shrinker.drop_layers"

The module has the form of a built-in file, and `INTERFACE = 1` besides: the version of that form. One that does not fit
is refused when its name is used; all others go on working.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from compress.errors import InputError, did_you_mean

INTERFACE = 1
"""The version of what the module of a plug-in has to hold. Raised when an older one no longer works."""
KNOWN_INTERFACES = (INTERFACE,)
MOST_OF_A_MESSAGE = 300
"""How many characters of a library's message are shown."""
_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


@dataclass(frozen=True)
class Plugin:
    """A module that an installed package adds under a name.

    Attributes:
        group: the entry point's group: the package of the built-in ones.
        module: the module that the entry point names.
        package, version: the distribution that brings it.
        folder: where the distribution is installed.
    """

    group: str
    name: str
    module: str
    package: str
    version: str
    folder: str

    def __str__(self) -> str:
        return f"{self.package} {self.version}"

    @property
    def remedy(self) -> str:
        """The fix for a plug-in that does not work: upgrade or remove its package."""
        return f"pip install --upgrade {self.package}, or pip uninstall {self.package}"


class Registry:
    """All stages, tasks, formats or runtimes, by name.

    Args:
        kind: the word for one of them: `stage`.
        package: the package with the built-in files, and the entry points' group of plug-ins: `compress.stages`.
        attribute: the attribute of a module that a name stands for; left out, the module itself.
        needs: further attributes that a module must have.
        check: raises an error where the object of a plug-in does not fit.
    """

    def __init__(
        self,
        kind: str,
        package: str,
        attribute: str | None = None,
        *,
        needs: Sequence[str] = (),
        check: Callable[[Any], None] = lambda _: None,
    ) -> None:
        self.kind, self.package, self.attribute, self.check = kind, package, attribute, check
        self.needs = (*needs, *((attribute,) if attribute else ()))
        self._problems: dict[Plugin, str | None] = {}

    def names(self) -> list[str]:
        """The names that can be used, sorted."""
        refused = self.refusals()
        return sorted(name for name in {*self.built_in(), *self._plugins()} if name not in refused)

    def built_in(self) -> list[str]:
        """The names of the files in the folder, sorted."""
        folder = Path(str(sys.modules[self.package].__file__)).parent
        return sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")

    def find(self, name: str, where: str | None = None) -> Any:
        """The object that the name stands for.

        Raises:
            InputError: nothing has that name, or the plug-in that has it cannot be used.
        """
        module = self.module(name, where)
        return getattr(module, self.attribute) if self.attribute else module

    def module(self, name: str, where: str | None = None) -> ModuleType:
        """The module of that name.

        Raises:
            InputError: as `find`.
        """
        plugins = self._plugins().get(name, [])
        if not plugins and name in self.built_in():
            return import_module(f"{self.package}.{name}")
        if not plugins:
            raise InputError(f"unknown {self.kind} '{name}'", where=where, fix=did_you_mean(name, self.names()))
        refusal = self._refusal(name, plugins, where)
        if refusal is not None:
            raise refusal
        return import_module(plugins[0].module)

    def plugin(self, name: str) -> Plugin | None:
        """The plug-in of that name; None for a built-in one."""
        return next(iter(self._plugins().get(name, [])), None)

    def refusals(self) -> dict[str, InputError]:
        """The plug-ins that cannot be used, by name, each with the reason."""
        refusals = {name: self._refusal(name, plugins, None) for name, plugins in sorted(self._plugins().items())}
        return {name: refusal for name, refusal in refusals.items() if refusal is not None}

    def _plugins(self) -> Mapping[str, Sequence[Plugin]]:
        return plugins(self.package)

    def _refusal(self, name: str, plugins: Sequence[Plugin], where: str | None) -> InputError | None:
        """Why a plug-in's name cannot be used, or None if it can."""
        first, *others = plugins
        removals = ", or ".join(dict.fromkeys(f"pip uninstall {plugin.package}" for plugin in plugins))
        if name in self.built_in():
            what = f"the package '{first}' names a {self.kind} '{name}', as one of compress itself is named"
            return InputError(what, where=where, fix=removals)
        if others:
            packages = " and ".join(f"'{plugin}'" for plugin in plugins)
            what = f"the {self.kind} '{name}' is in more than one package: {packages}"
            return InputError(what, where=where, fix=f"keep one: {removals}")
        if first not in self._problems:
            self._problems[first] = self._problem(first)
        problem = self._problems[first]
        if problem is None:
            return None
        return InputError(f"the {self.kind} '{name}' of the package '{first}' {problem}", where=where, fix=first.remedy)

    def _problem(self, plugin: Plugin) -> str | None:
        """What is wrong with the module of a plug-in, or None."""
        if not _NAME.fullmatch(plugin.name):
            return "has a name that no recipe can hold: lower-case letters, digits and _ are accepted"
        try:
            module = import_module(plugin.module)
        except (Exception, SystemExit) as error:  # noqa: BLE001  code of others may raise anything
            return f"cannot be imported: {type(error).__name__}: {' '.join(str(error).split())[:MOST_OF_A_MESSAGE]}"
        return self._misfit(module)

    def _misfit(self, module: ModuleType) -> str | None:
        """What the module of a plug-in lacks or has wrong, or None."""
        version = getattr(module, "INTERFACE", None)
        versions = " or ".join(map(str, KNOWN_INTERFACES))
        if version is None:
            return f"does not say for which interface it is written; add INTERFACE = {INTERFACE} to {module.__name__}"
        if type(version) is not int or version not in KNOWN_INTERFACES:
            return f"is written for version {version!r} of the interface; this compress knows version {versions}"
        lacking = [attribute for attribute in self.needs if not hasattr(module, attribute)]
        if lacking:
            return f"has no {' and no '.join(lacking)} in {module.__name__}"
        try:
            self.check(getattr(module, self.attribute) if self.attribute else module)
        except Exception as error:  # noqa: BLE001  it looks at code of others
            return f"does not fit: {' '.join(str(error).split())[:MOST_OF_A_MESSAGE]}"
        return None


def plugins(group: str) -> Mapping[str, Sequence[Plugin]]:
    """The plug-ins of a group by name, from all folders that modules are imported from."""
    return _installed(tuple(sys.path), group)


@cache
def _installed(_path: tuple[str, ...], group: str) -> Mapping[str, Sequence[Plugin]]:
    """The plug-ins of a group by name; the search is done once for each value of `sys.path`."""
    from importlib.metadata import entry_points

    by_name: dict[str, list[Plugin]] = {}
    for entry in entry_points(group=group):
        assert entry.dist is not None
        package, version, folder = entry.dist.name, entry.dist.version, entry.dist.locate_file("")
        plugin = Plugin(group, entry.name, entry.value, str(package), str(version), str(folder))
        by_name.setdefault(plugin.name, []).append(plugin)
    return by_name
