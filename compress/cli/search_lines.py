"""The lines of a search on the terminal, one for each candidate that was looked at; or events for programs."""

from typing import TYPE_CHECKING

from compress.cli.saying import say_json_line

if TYPE_CHECKING:
    from compress.cli.console import Terminal
    from compress.search.race import Looked


class SearchLines:
    """A listener of a search.

    Args:
        margin_pp: the largest loss that the goal allows, in percentage points.
        minimize: latency or size.
        json_output: write each event as an object in a line on stdout.
    """

    def __init__(self, terminal: "Terminal", margin_pp: float, minimize: str, *, json_output: bool) -> None:
        self._terminal, self._margin_pp, self._minimize, self._json = terminal, margin_pp, minimize, json_output
        self._least: float | None = None

    def __call__(self, looked: "Looked") -> None:
        """Tell of a candidate, and whether it is the best so far."""
        standing, drop_pp = looked.standing, 100 * looked.drop.value
        is_best = self._is_best(looked)
        if self._json:
            facts = {
                "event": "candidate",
                "name": standing.name,
                "family": standing.family,
                "score": standing.score,
                "drop_pp": drop_pp,
                "latency_ms": standing.latency_ms,
                "end_to_end_ms": standing.end_to_end_ms,
                "size_bytes": standing.size_bytes,
                "best_so_far": is_best,
                "seconds_left": looked.seconds_left,
            }
            say_json_line(facts)
            return
        self._terminal.candidate(
            standing.name,
            -drop_pp,
            standing.end_to_end_ms,
            standing.size_bytes / 1e6,
            is_best=is_best,
            seconds_left=looked.seconds_left,
        )

    def _is_best(self, looked: "Looked") -> bool:
        """Whether it keeps the bound on searching rows, and has less of what is minimized than all before."""
        standing = looked.standing
        cost = standing.end_to_end_ms if self._minimize == "latency" else float(standing.size_bytes)
        if 100 * looked.drop.value > self._margin_pp or (self._least is not None and cost >= self._least):
            return False
        self._least = cost
        return True
