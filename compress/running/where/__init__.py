"""Where work is done: in this process, or on other machines. One file = one place.

A place makes plans ahead, side by side, into the store, or into the shared store behind it. Whoever needs their
artifacts then takes them from there, so that a result does not depend on the place.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from compress.errors import InputError
from compress.planning.plan import Plan
from compress.running.journal import Observer
from compress.store.shared import OPTION, SharedStore
from compress.store.store import Store

RAY = "ray"


class Place(Protocol):
    """Where plans are made, and models timed.

    Attributes:
        makes_ahead: whether `make` does anything.
    """

    makes_ahead: bool

    def make(self, plans: Sequence[Plan], store: Store, observer: Observer) -> None:
        """Make the steps of plans ahead, side by side, where that is possible.

        What fails is left undone: whoever makes it next sees why.

        Args:
            observer: told of progress and warnings; where it says that the user has asked to stop, what is at work is
                given up.
        """
        ...

    def timed(self, store: Store, function: Callable[..., Any], *arguments: Any) -> Any:
        """The result of a function that times models, on a machine of the target's kind.

        Args:
            store: the store of the artifacts among the arguments.
        """
        ...

    def close(self) -> None:
        """Let go of all machines."""
        ...


def place_of(name: str | None, shared: SharedStore | None = None) -> Place:
    """The place of a name: None for this process, `ray` for a cluster of Ray or a local one, or its `ray://` address.

    Args:
        shared: the shared store that is worked with.

    Raises:
        InputError: there is no such place, or it cannot be reached, or it cannot reach the shared store.
    """
    if name is None:
        from compress.running.where.here import Here

        return Here()
    if shared is not None and shared.is_in_memory:
        raise InputError(
            "other processes cannot see a store in memory",
            where=OPTION,
            fix="write s3://BUCKET/FOLDER, or file:///FOLDER",
        )
    if name == RAY or name.startswith(f"{RAY}://"):
        from compress.running.where.ray import OnRay

        return OnRay(None if name == RAY else name)
    raise InputError(f"'{name:.80}' is no place to work on", where="--on", fix="ray, or ray://HOST:PORT")
