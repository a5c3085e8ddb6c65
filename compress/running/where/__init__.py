"""Where work is done: in this process, or on other machines. One file = one place.

A place makes plans ahead, side by side, into the store that all share. Whoever needs their artifacts then takes them
from there, so that a result does not depend on the place.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from compress.context import Progress
from compress.errors import InputError
from compress.planning.plan import Plan
from compress.store.store import Store

RAY = "ray"


class Place(Protocol):
    """Where plans are made, and models timed.

    Attributes:
        makes_ahead: whether `make` does anything.
    """

    makes_ahead: bool

    def make(self, plans: Sequence[Plan], store: Store, progress: Progress, stopping: Callable[[], bool]) -> None:
        """Make the steps of plans ahead, side by side, where that is possible.

        What fails is left undone: whoever makes it next sees why.

        Args:
            stopping: returns whether the user has asked to stop; what is at work then is given up.
        """
        ...

    def timed(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The result of a function that times models, on a machine of the target's kind."""
        ...

    def close(self) -> None:
        """Let go of all machines."""
        ...


def place_of(name: str | None) -> Place:
    """The place of a name: None for this process, `ray` for a cluster of Ray or a local one, or its `ray://` address.

    Raises:
        InputError: there is no such place, or it cannot be reached.
    """
    if name is None:
        from compress.running.where.here import Here

        return Here()
    if name == RAY or name.startswith(f"{RAY}://"):
        from compress.running.where.ray import OnRay

        return OnRay(None if name == RAY else name)
    raise InputError(f"'{name:.80}' is no place to work on", where="--on", fix="ray, or ray://HOST:PORT")
