"""Disks without space for what is temporary, or for downloads; only where file systems may be mounted."""

import hashlib
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.faults.cases import Case, Check, refused
from benchmarks.faults.disks import can_mount, mount, unmount
from benchmarks.faults.finished_run import write_recipe, write_unmeasured
from benchmarks.faults.hostile_archives import ONLY_HERE, SOURCE, write_wheel
from benchmarks.faults.small_run import Ended

SMALL = "small"
"""The disk, in the case's folder."""
STEPS = [
    {"name": "teacher", "stage": "finetune", "model": "model", "epochs": 1},
    {"name": "onnx", "stage": "export_onnx"},
    {"name": "int8", "stage": "quantize_onnx_dynamic"},
]


def _run(size: str, folder: Path) -> Sequence[str]:
    write_recipe(folder, steps=STEPS)
    _mount(folder, size)
    return ["run", "r.yaml", "--force"]


def _download(folder: Path) -> Sequence[str]:
    """Rows out of a wheel that is larger than the disk."""
    noise = random.Random(1).randbytes(300_000).hex()
    path = write_wheel(lambda wheel: wheel.writestr("tiny_rows/data/more.txt", noise), folder)
    write_unmeasured(folder)
    pins = {"tiny-rows==1.0": hashlib.sha256(path.read_bytes()).hexdigest()}
    task = {"train": f"{SOURCE}/train.csv", "max_length": 32, "test_fraction": 0.5, "overlap": "allow"}
    write_recipe(folder, task=task, pins=pins)
    _mount(folder, "100k")
    return ["plan", "r.yaml", "--no-forecast"]


def _mount(folder: Path, size: str) -> None:
    (folder / SMALL).mkdir()
    if mount(folder / SMALL, size) != 0:
        raise RuntimeError("a file system cannot be mounted")


def _then_unmounted(check: Check) -> Check:
    def after(folder: Path, ended: Ended) -> str | None:
        unmount(folder / SMALL)
        return check(folder, ended)

    return after


def _case(name: str, prepare: Callable[[Path], Sequence[str]], variable: str) -> Case:
    wrong = _then_unmounted(refused("disk", f"the variable {variable}", "MB"))
    return Case(name, "disk", prepare, wrong, (*ONLY_HERE, (variable, SMALL)))


CASES = (
    [
        *[_case(f"{size}B for temporary files", partial(_run, size), "TMPDIR") for size in ("40k", "120k")],
        _case("no space for downloads", _download, "COMPRESS_CACHE"),
    ]
    if can_mount()
    else []
)
