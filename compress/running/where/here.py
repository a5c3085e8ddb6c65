"""This process: nothing is made ahead, and models are timed here."""

from collections.abc import Callable, Sequence
from typing import Any

from compress.planning.plan import Plan
from compress.running.journal import Observer
from compress.store.store import Store


class Here:
    """This process; see `compress.running.where.Place`."""

    makes_ahead = False

    def make(self, plans: Sequence[Plan], store: Store, observer: Observer) -> None:
        """Nothing: they are made one after the other, when they are needed."""

    def timed(self, store: Store, function: Callable[..., Any], *arguments: Any) -> Any:
        """The function's result."""
        del store
        return function(*arguments)

    def close(self) -> None:
        """Nothing."""
