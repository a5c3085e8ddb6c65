"""The parts of the benchmark, each of which leaves one file of results."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from avx2_only import Processes
from benchmarks.quantization import calibration, tables
from benchmarks.quantization.choosing import candidates, choose
from benchmarks.quantization.defaults import by_defaults
from benchmarks.quantization.making import (
    FLOAT,
    SCHEMES,
    SUBJECTS,
    Step,
    float_model,
    manifest_of,
    quantized,
    task_of,
)
from benchmarks.quantization.measuring import measured
from benchmarks.quantization.outliers import picked_by_auto, with_outliers
from compress.errors import CompressError
from compress.machine.facts import host_facts
from compress.recipe.schema import BenchSpec
from compress.store.artifacts import Artifact
from compress.tasks import Task, with_rows

CHOICE, CALIBRATION, OUTLIER = "choice", "calibration", "outlier"
AVX2, NATIVE = "avx2", "native"
PARTS = (
    CHOICE,
    *(f"{name}-{AVX2}" for name in (*SUBJECTS, OUTLIER)),
    CALIBRATION,
    *(f"{name}-{NATIVE}" for name in (*SUBJECTS, OUTLIER)),
)
"""In the order in which they are run: a part may read the results of those before it."""


@dataclass(frozen=True)
class Effort:
    """How much is looked at.

    Attributes:
        test_rows, validation_rows: so many of them; None: all.
        candidates: for `int4_best`; None: all.
        calibration_rows: of the memory's measuring.
    """

    bench: BenchSpec
    test_rows: int | None = None
    validation_rows: int | None = None
    candidates: int | None = None
    calibration_rows: int = calibration.ROWS


FULL = Effort(BenchSpec(rounds=30, samples=10))
TRIAL = Effort(BenchSpec(rounds=3, samples=3), 100, 50, 2, 64)


@dataclass(frozen=True)
class Work:
    """Does the parts.

    Attributes:
        runs_dir: where runs, their store and what the library makes are kept.
        results: where each part's file goes.
        avx2: how processes are started that are to have AVX2 alone.
    """

    runs_dir: Path
    results: Path
    effort: Effort
    avx2: Processes

    def do(self, part: str) -> None:
        """Do one part and write down what was found."""
        start = time.monotonic()
        name, _, kernels = part.partition("-")
        found: Mapping[str, Any]
        if part == CHOICE:
            found = self.choice()
        elif part == CALIBRATION:
            model = float_model(SUBJECTS["r8"], self.runs_dir)
            found = {"methods": calibration.measured(model, self.effort.calibration_rows)}
        else:
            found = self.models(name, kernels)
        told = {
            "part": part,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "minutes": round((time.monotonic() - start) / 60, 1),
            "host": host_facts(),
            **found,
        }
        (self.results / f"{part}.json").write_text(json.dumps(told) + "\n", encoding="utf-8")

    def choice(self) -> dict[str, Any]:
        """Which settings `int4_best` has."""
        tried = dict(list(candidates().items())[: self.effort.candidates])
        return choose(tried, self.runs_dir, self.effort.validation_rows)

    def models(self, name: str, kernels: str) -> dict[str, Any]:
        """Measure a float model and all that is made of it, on one kind of kernels."""
        recipe = SUBJECTS[name].recipe if name in SUBJECTS else "r8"
        task = task_of(recipe)
        made = self.outliers(task) if name == OUTLIER else self.subject(name, task)
        rows = with_rows(task, test=task.test[: self.effort.test_rows])
        found = measured(made, rows, self.effort.bench, self.avx2 if kernels == AVX2 else None)
        for model, item in found["models"].items():
            manifest = made[model].path / "manifest.json"
            item["made"] = manifest_of(made[model].path) if manifest.is_file() else None
        if kernels == AVX2:
            found |= {"how": self.avx2.how, "proof": dict(self.avx2.proof)}
        return found

    def subject(self, name: str, task: Task) -> dict[str, Artifact]:
        """A float model, our schemes of it, and the library's."""
        base = float_model(SUBJECTS[name], self.runs_dir)
        schemes = {**SCHEMES, "int4_best": self._best()}
        if name == "r52":  # how gptq and hqq compare with rounding to nearest is shown on the others
            schemes = {scheme: settings for scheme, settings in schemes.items() if scheme not in tables.FURTHER}
        theirs = by_defaults(base, task, self.runs_dir / "quantization-defaults" / name)
        return {
            FLOAT: base,
            **quantized(name, schemes, self.runs_dir),
            **{f"default_{kind}": artifact for kind, artifact in theirs.items()},
        }

    def outliers(self, task: Task) -> dict[str, Artifact]:
        """The model with outliers, what plain int8 makes of it, and what our automatic choice does."""
        folder = self.runs_dir / "quantization-outliers"
        base = with_outliers(float_model(SUBJECTS["r8"], self.runs_dir), folder, task)
        plain = by_defaults(base, task, folder, ("int8_dynamic",))
        auto = picked_by_auto(base, self.runs_dir, self.avx2.environment)
        return {FLOAT: base, "default_int8_dynamic": plain["int8_dynamic"], "auto": auto}

    def _best(self) -> Step:
        path = self.results / f"{CHOICE}.json"
        if not path.is_file():
            raise CompressError("the settings of int4_best are not chosen yet", fix=f"run the part '{CHOICE}' before")
        found: Step = json.loads(path.read_text(encoding="utf-8"))["settings"]
        return found
