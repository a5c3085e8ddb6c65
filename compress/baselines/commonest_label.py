"""The commonest label of the training rows, for every row: what knowing nothing of the texts is worth."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compress.files.strict_json import read_json
from compress.files.whole import write_text
from compress.fitting.rows import Rows

FILE = "label.json"


@dataclass(frozen=True)
class Always:
    """The same label for every row."""

    answer: int
    parameters: int = 1

    def label(self, texts: Sequence[str]) -> int:
        """That label."""
        del texts
        return self.answer


@dataclass(frozen=True)
class CommonestLabel:
    """See `compress.baselines.Baseline`."""

    title: str = "the commonest label"
    short: str = "commonest label"
    version: int = 1
    settings: dict[str, Any] = field(default_factory=dict)

    def refuse(self, labels: Sequence[int], classes: int) -> str | None:
        """None: any rows do."""
        del labels, classes
        return None

    def fit(self, rows: Rows, seed: int, out: Path, progress: Callable[[int, int], None]) -> dict[str, Any]:
        """Count the labels; of labels with as many rows, the first is taken."""
        del seed
        counts = Counter(rows.labels)
        label = max(sorted(counts), key=lambda label: counts[label])
        write_text(out / FILE, json.dumps({"label": label}))
        progress(1, 1)
        return {"share": counts[label] / len(rows.labels)}

    def load(self, folder: Path) -> Always:
        """The label that `fit` wrote."""
        return Always(read_json(folder / FILE)["label"])


BASELINE = CommonestLabel()
