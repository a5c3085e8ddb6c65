"""Recipes that would do harm."""

from pathlib import Path

from benchmarks.faults.cases import Case, refused, small_run


def _store(folder: Path) -> list[str]:
    text = (small_run() / "small.yaml").read_text(encoding="utf-8").replace("name: small", "name: store", 1)
    (folder / "store.yaml").write_text(text, encoding="utf-8")
    return ["run", "store.yaml"]


CASES = [Case("named store", "recipe", _store, refused("store", code=2))]
