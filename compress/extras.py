"""Packages that an installation may leave out, and how to add them."""

from importlib.util import find_spec

from compress.errors import InputError

DISTRIBUTION = "compress-models"
"""What package indexes call this project; the import and the command are `compress`."""
EXTRAS = ("datasets", "openvino")
"""Those of the distribution; each brings the package of its name."""


def install_command(extra: str) -> str:
    """The command that adds an extra: `pip install "compress-models[openvino]"`.

    Raises:
        ValueError: there is no such extra.
    """
    if extra not in EXTRAS:
        raise ValueError(f"{extra!r} is no extra")
    return f'pip install "{DISTRIBUTION}[{extra}]"'


def need(extra: str, what: str, where: str | None) -> None:
    """Refuse what an extra does if it is not installed.

    Args:
        extra: one of `EXTRAS`.
        what: that needs it, as the beginning of a sentence: "a data set of the hub".
        where: that was asked for.

    Raises:
        InputError: it is not installed.
    """
    command = install_command(extra)
    if find_spec(extra) is None:
        raise InputError(f"{what} needs the package {extra}, which is not installed", where=where, fix=command)
