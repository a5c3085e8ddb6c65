"""Mutated recipes and data files through `compress plan`."""

import base64
import contextlib
import io
import json
import os
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from benchmarks.faults.mutant_checks import why_not_that_recipe, why_not_those_rows
from benchmarks.faults.mutant_data import PARTS, data_mutants, write
from benchmarks.faults.mutant_recipes import Mutant, recipe_mutants
from benchmarks.faults.small_run import RECIPE, ROOT, Ended, make_rows, run, write_small_run
from benchmarks.faults.trials import Record
from benchmarks.faults.verdict import error_lines, why_unclear

RECIPES, FILES = 500, 200
SECONDS = 60
"""A plan of small files that takes longer hangs."""
EVERY = 25
"""Each so many-th mutant also goes through a process of its own, which must say the same."""
SHIPPED = ("quickstart", "text-classification/r8-small")
ROWS = {"train": 96, "validation": 16, "test": 16}
OFFLINE = {"PIP_NO_INDEX": "1", "HF_HUB_OFFLINE": "1"}
"""No mutant may reach a network."""


def mutant_trials(recipes: int, files: int, folder: Path) -> list[Record]:
    """Plan so many mutated recipes and data files, and judge what is said of each."""
    bases = write_bases(folder)
    with _environment({**OFFLINE, "COMPRESS_CACHE": str(folder / "cache")}):
        options = _options(folder)
        records = [
            _recipe_trial(number, mutant, folder, options)
            for number, mutant in enumerate(_examples(recipe_mutants(bases), recipes))
        ]
        records += [
            _data_trial(number, mutant, folder, options, ROWS)
            for number, mutant in enumerate(_examples(data_mutants(), files))
        ]
    for outcome, times in Counter(record["outcome"].partition(":")[0] for record in records).most_common():
        print(f"  {times:>4} mutants {outcome}", flush=True)
    return records


def write_bases(folder: Path) -> dict[str, str]:
    """Texts of the recipes to be changed, that name local files in place of wheels; the files stand in `folder`."""
    small = write_small_run(folder, train_rows=ROWS["train"], hidden=32)
    for number, (part, rows) in enumerate(ROWS.items()):
        table = [["text", "label"], *map(list, make_rows(rows, seed=10 + number))]
        (folder / f"{part}.csv").write_bytes(write(table, ".csv", quote=False))
        table[0] = ["Text", "Category"]
        (folder / f"reuters-r8-{part}.tab").write_bytes(write(table, ".tab", quote=False))
    bases = {"small": small.read_text(encoding="utf-8")}
    for name in SHIPPED:
        lines = (ROOT / "recipes" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        bases[name] = "\n".join(_local(line) for line in lines) + "\n"
    return bases


def _local(line: str) -> str:
    """A line of a shipped recipe with the local name of what it takes out of a wheel."""
    begin, found, source = line.partition("pypi://")
    return begin + source.rpartition("/")[2] if found else line


def _examples(strategy: st.SearchStrategy[Mutant], count: int) -> list[Mutant]:
    """So many mutants, the same each time."""
    found: list[Mutant] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def take(mutant: Mutant) -> None:
        found.append(mutant)

    take()
    return found[:count]


@contextlib.contextmanager
def _environment(changed: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(changed)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _options(folder: Path) -> list[str]:
    """Options of `compress plan`: where it looks for artifacts, and no forecast, where it makes one."""
    told = plan_in_process(["--help"]).stdout
    return ["--runs-dir", str(folder / "runs"), *(["--no-forecast"] if "--no-forecast" in told else [])]


def plan_in_process(arguments: list[str]) -> Ended:
    """`compress plan` in this process, with its streams as a process of its own would have them."""
    from compress.cli import main

    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace", write_through=True)
    start, code = time.monotonic(), -1
    signal.signal(signal.SIGALRM, _hangs)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(["plan", *arguments])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001  whatever comes through is what is looked for
        err.write(traceback.format_exc())
    finally:
        signal.alarm(0)
    told = [bytes(stream.buffer.getvalue()).decode("utf-8") for stream in (out, err)]
    return Ended(code, time.monotonic() - start, told[0], told[1])


def _hangs(*_: object) -> None:
    raise TimeoutError(f"no plan within {SECONDS} s")


def _recipe_trial(number: int, mutant: Mutant, folder: Path, options: list[str]) -> Record:
    path = folder / "mutant.yaml"
    path.write_bytes(mutant.content)
    arguments = [str(path), "--json", *options]

    def check(stdout: str) -> str | None:
        return why_not_that_recipe(mutant, json.loads(stdout), folder)

    return _judged("mutated recipe", number, mutant, arguments, check)


def _data_trial(number: int, mutant: Mutant, folder: Path, options: list[str], others: Mapping[str, int]) -> Record:
    file = folder / f"mutant{mutant.ending}"
    file.write_bytes(mutant.content)
    task = {part: f"{part}.csv" for part in PARTS} | {mutant.part: file.name, "max_length": 32, "overlap": "allow"}
    recipe = folder / "of-mutant.yaml"
    recipe.write_text(yaml.safe_dump({**RECIPE, "task": task}))
    record = _judged(
        "mutated data", number, mutant, [str(recipe), *options], lambda out: why_not_those_rows(mutant, out, others)
    )
    file.unlink()
    return record


def _judged(kind: str, number: int, mutant: Mutant, arguments: list[str], check: Callable[[str], str | None]) -> Record:
    ended = plan_in_process(arguments)
    if ended.code == 0:
        try:
            wrong = check(ended.stdout)
        except Exception as error:  # noqa: BLE001  output that is no plan
            wrong = f"its output cannot be read: {error!r:.200}"
        outcome = f"false success: {wrong}" if wrong else "planned"
    else:
        unclear = why_unclear(ended.code, ended.stderr)
        outcome = f"unclear: {unclear}" if unclear else f"refused with {ended.code}"
    if number % EVERY == 0 and not outcome.startswith("unclear"):
        own = run([sys.executable, "-m", "compress", "plan", *arguments])
        if (own.code, error_lines(own.stderr)) != (ended.code, error_lines(ended.stderr)):
            outcome = f"unclear: in a process of its own exit code {own.code}: {own.stderr[-300:]}"
    record: Record = {"kind": kind, "trial": number, "base": mutant.base, "changes": mutant.changes}
    record |= {"outcome": outcome, "code": ended.code, "seconds": round(ended.seconds, 3)}
    if mutant.part:
        record |= {"part": mutant.part, "ending": mutant.ending}
    if outcome.startswith(("unclear", "false")):
        content: Any = base64.b64encode(mutant.content[:20_000]).decode()
        record |= {"content_base64": content, "stdout": ended.stdout[-5000:], "stderr": ended.stderr[-5000:]}
        print(f"  {kind} {number}: {', '.join(mutant.changes)}: {outcome}", flush=True)
    else:
        record["error"] = error_lines(ended.stderr)[:1]
    return record
