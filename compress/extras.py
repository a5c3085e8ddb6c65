"""Packages that an installation may leave out, and how to add them."""

from importlib.util import find_spec

from compress.errors import InputError

DISTRIBUTION = "compress-models"
"""This project's name in package indexes; the import and the command are `compress`."""
EXTRAS = ("datasets", "openvino", "ray")
"""The extras of the distribution; each installs the package of the same name."""


def install_command(extra: str) -> str:
    """The command that adds an extra: `pip install "compress-models[openvino]"`.

    Raises:
        ValueError: there is no such extra.
    """
    if extra not in EXTRAS:
        raise ValueError(f"{extra!r} is no extra")
    return f'pip install "{DISTRIBUTION}[{extra}]"'


def need(extra: str, what: str, where: str | None) -> None:
    """Refuse work that needs an extra which is not installed.

    Args:
        extra: one of `EXTRAS`.
        what: the thing that needs it, as the beginning of a sentence: "a data set of the hub".
        where: the place in the recipe or on the command line that asks for it.

    Raises:
        InputError: it is not installed.
    """
    command = install_command(extra)
    if find_spec(extra) is None:
        raise InputError(f"{what} needs the package {extra}, which is not installed", where=where, fix=command)
