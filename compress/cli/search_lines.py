"""The lines of a search on the terminal, one for each candidate that was looked at; or events for programs."""

from typing import TYPE_CHECKING

from compress.cli.saying import say_json_line

if TYPE_CHECKING:
    from compress.cli.console import Terminal
    from compress.search.race import Looked


class SearchLines:
    """A listener of a search.

    Args:
        json_output: write each event as an object in a line on stdout.
    """

    def __init__(self, terminal: "Terminal", *, json_output: bool) -> None:
        self._terminal, self._json = terminal, json_output

    def __call__(self, looked: "Looked") -> None:
        """Tell of a candidate."""
        standing = looked.standing
        if self._json:
            drop_pp = 100 * looked.drop.value
            facts = {"score": standing.score, "drop_pp": drop_pp, "end_to_end_ms": standing.end_to_end_ms}
            say_json_line({"event": "candidate", "name": standing.name, **facts, "size_bytes": standing.size_bytes})
            return
        self._terminal.candidate(
            standing.name, -100 * looked.drop.value, standing.end_to_end_ms, standing.size_bytes / 1e6
        )
