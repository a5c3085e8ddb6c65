"""Results' files of a benchmark, and the parts of a README that are made of them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Results:
    """What a benchmark has found.

    Attributes:
        home: the benchmark's folder, with `results/`.
    """

    home: Path

    def read(self, name: str) -> dict[str, Any]:
        """What a results' file holds; nothing if there is none."""
        path = self._path(name)
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return found

    def write(self, name: str, content: Any, indent: int | None = None) -> None:
        """Write a results' file whole."""
        path = self._path(name)
        path.parent.mkdir(exist_ok=True)
        part = path.with_suffix(".json.part")
        part.write_text(json.dumps(content, indent=indent) + "\n", encoding="utf-8")
        part.replace(path)

    def _path(self, name: str) -> Path:
        return self.home / "results" / f"{name}.json"


def write_between(readme: Path, mark: str, text: str) -> None:
    """Put a text, whole lines, between its marks in a README."""
    content = readme.read_text(encoding="utf-8")
    begin, end = f"<!-- {mark} -->\n", f"<!-- /{mark} -->"
    before, _, rest = content.partition(begin)
    _, _, after = rest.partition(end)
    readme.write_text(f"{before}{begin}{text}{end}{after}", encoding="utf-8")


def without_texts(report: dict[str, Any]) -> dict[str, Any]:
    """A report without the texts of rows that flipped, where the data is not ours to hand on."""
    for row in report["rows"]:
        row["flips"] = []
    return report
