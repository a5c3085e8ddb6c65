"""Recipes that would do harm, or that never end."""

import os
import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.faults.cases import Case, Check, refused, small_run
from benchmarks.faults.finished_run import write_recipe
from benchmarks.faults.small_run import Ended

PLAN = ["plan", "r.yaml", "--no-forecast"]
RUNS = "name: !!python/object/apply:os.system [ls]"
ALIASES = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [*{before}, *{before}, *{before}, *{before}, *{before}, *{before}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def _text(text: str, folder: Path) -> Sequence[str]:
    (folder / "r.yaml").write_text(text, encoding="utf-8")
    return PLAN


def _made(make: Callable[[Path], object], folder: Path) -> Sequence[str]:
    """Something else in the place of the recipe."""
    make(folder / "r.yaml")
    return PLAN


def _source(make: Callable[[Path], object], place: str, folder: Path) -> Sequence[str]:
    """Something else in the place of a file that the recipe names."""
    write_recipe(folder)
    (folder / place).unlink(missing_ok=True)
    make(folder / place)
    return PLAN


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # its path may be too long for a socket
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _store(folder: Path) -> Sequence[str]:
    text = (small_run() / "small.yaml").read_text(encoding="utf-8").replace("name: small", "name: store", 1)
    return ["run", *_text(text, folder)[1:2]]


def refused_before_it_began(folder: Path, ended: Ended) -> str | None:
    """Also, nothing of it was made."""
    told = refused("the folder of the store", code=2)(folder, ended)
    return told or ("a runs folder was made" if (folder / "runs").exists() else None)


def _parquet(column: Callable[[], Any], folder: Path) -> Sequence[str]:
    """Rows of which the file says next to nothing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_recipe(folder, task={"train": "bomb.parquet", "max_length": 32, "test_fraction": 0.5})
    pq.write_table(pa.table({"text": column(), "label": column()}), folder / "bomb.parquet", compression="zstd")
    if (folder / "bomb.parquet").stat().st_size > 5_000_000:
        raise RuntimeError("the file is not small")
    return PLAN


def _one_text(length: int, rows: int) -> Any:
    """One text in all rows."""
    import numpy as np
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["a" * length]))


def _zeros(rows: int) -> Any:
    import numpy as np
    import pyarrow as pa

    return pa.array(np.zeros(rows, np.int8))


def _case(name: str, prepare: Callable[[Path], Sequence[str]], wrong: Check) -> Case:
    return Case(name, "recipe", prepare, wrong)


SPECIAL = {"a pipe": os.mkfifo, "a device": _device, "a socket": _socket}
CASES = [
    _case("named store", _store, refused_before_it_began),
    *[
        _case(f"the recipe is {name}", partial(_made, make), refused("the recipe is no plain file", code=2))
        for name, make in SPECIAL.items()
    ],
    _case("the recipe is a folder", partial(_made, Path.mkdir), refused("cannot read the recipe", code=2)),
    *[
        _case(f"the rows are {name}", partial(_source, make, "train.csv"), refused("it is no plain file", code=2))
        for name, make in SPECIAL.items()
    ],
    *[
        _case(f"{file} is {name}", partial(_source, make, f"model/{file}"), refused(file, code=2))
        for name, make in SPECIAL.items()
        for file in ("config.json", "tokenizer.json", "model.safetensors", "tokenizer_config.json")
    ],
    *[
        _case(f"a table of {name}", partial(_parquet, column), refused("unpacks to more than 200 times", code=2))
        for name, column in {
            "one long text": partial(_one_text, 10_000_000, 4096),
            "one text in many rows": partial(_one_text, 1000, 2_457_600),
            "many zeros": partial(_zeros, 30_000_000),
        }.items()
    ],
    _case("aliases that grow", partial(_text, ALIASES), refused("YAML aliases counted", code=2)),
    _case("nested without end", partial(_text, "a: " + "[" * 50_000), refused("nested more than", code=2)),
    _case("a number of a million digits", partial(_text, f"seed: {'9' * 900_000}"), refused("digits", code=2)),
    _case(
        "a tag that runs code", partial(_text, "name: !!python/object/apply:os.system [ls]"), refused("YAML", code=2)
    ),
]
