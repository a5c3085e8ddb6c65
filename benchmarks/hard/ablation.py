"""Which settings hold a student up: each tried by itself, judged on validation rows, never on test rows."""

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.hard.ablation_settings import OTHER_TEACHERS, SETTINGS, steps_of
from benchmarks.hard.running import RESULTS
from compress.api import run
from compress.data.sources import Sources
from compress.models.inputs import input_names
from compress.models.load import load_model
from compress.models.parameters import safetensors_parameters, token_parameters
from compress.models.tokenizer import load_tokenizer
from compress.ops.divergence import divergence
from compress.recipe.schema import TaskSpec
from compress.recipe.validation import Origin
from compress.tasks import Task, load_task

RESULT = "ablation"
BATCH = 64
Recipe = Mapping[str, Any]


def ablate(recipe: Recipe, data: str, seed: int, runs_dir: Path, patterns: Sequence[str]) -> None:
    """Try the settings, and write each down once it is judged; those that are there already are left.

    Args:
        recipe: the data's own recipe, whose first two steps are the teacher and its trimming.
        data: the name under which the rows are written.
        patterns: which settings, by name, or by their reference and their name: `narrow*`, `whole/*`.
    """
    import torch
    import transformers

    torch.set_num_threads(1)
    transformers.logging.disable_progress_bar()
    start = {"seed": seed, "task": recipe["task"], "steps": recipe["steps"][:2]}
    _judge_teacher(start, data, seed, runs_dir)
    for name in SETTINGS:
        names = (name, f"{SETTINGS[name].beside}/{name}")
        if any(fnmatch(written, pattern) for written in names for pattern in patterns):
            _try(name, start, data, seed, runs_dir)


def _judge_teacher(start: Recipe, data: str, seed: int, runs_dir: Path) -> None:
    """The teacher's own row; of it, what the others say is compared with."""
    folder = run({**start, "name": f"ablation-{data}-teacher-{seed}"}, runs_dir=runs_dir).folder
    _write(data, f"teacher-{seed}", _judged(folder / "steps" / "teacher", start, seed, ("teacher",), {}))


def _try(name: str, start: Recipe, data: str, seed: int, runs_dir: Path) -> None:
    entry = f"{name}-{seed}"
    written = RESULTS.read(RESULT).get(data, {}).get(entry)
    plain = steps_of(name, {})
    if written is not None and written["steps"] == plain:
        return
    print(f"== {data}: {entry}", flush=True)
    steps = steps_of(name, _teachers(start, data, seed, runs_dir, plain))
    recipe = {**start, "name": f"ablation-{data}-{entry}", "steps": [*start["steps"], *steps]}
    folder = run(recipe, runs_dir=runs_dir).folder
    own = tuple(step["name"] for step in steps)
    _write(data, entry, _judged(folder / "steps" / name, start, seed, own, {"steps": plain}))


def _teachers(start: Recipe, data: str, seed: int, runs_dir: Path, steps: Sequence[Any]) -> dict[str, str]:
    """The folders of teachers of other seeds, if the steps name any; they are made where they are missing."""
    if not any(isinstance(step.get("teacher"), list) for step in steps):
        return {}
    found = {}
    for number, stand_in in enumerate(OTHER_TEACHERS[1:], 1):
        other = seed + number
        recipe = {**start, "seed": other, "steps": start["steps"][:1], "name": f"ablation-{data}-teacher-of-{other}"}
        found[stand_in] = str((run(recipe, runs_dir=runs_dir).folder / "steps" / "teacher").resolve())
    return found


def _write(data: str, entry: str, row: Mapping[str, Any]) -> None:
    results = RESULTS.read(RESULT)
    results.setdefault(data, {})[entry] = dict(row)
    RESULTS.write(RESULT, results)


def _judged(model: Path, start: Recipe, seed: int, steps: Sequence[str], said: Mapping[str, Any]) -> dict[str, Any]:
    """What a model says of the validation rows, what it takes, and what its steps cost.

    Args:
        steps: the names of the setting's own steps, whose folders lie beside the model's.
    """
    task = json.dumps(start["task"])
    teacher = model.parent / "teacher"
    ours, theirs = (validation_logits(folder.resolve(), task, seed) for folder in (model, teacher))
    truth = np.array([row.label for row in read_task(task, seed).validation])
    manifests = [json.loads((model.parent / step / "manifest.json").read_text(encoding="utf-8")) for step in steps]
    return {
        **said,
        "accuracy": float((ours.argmax(1) == truth).mean()),
        "agreement": float((ours.argmax(1) == theirs.argmax(1)).mean()),
        "divergence": divergence(theirs, ours),
        "parameters": safetensors_parameters(model / "model.safetensors"),
        "token_parameters": token_parameters(model),
        "cpu_seconds": sum(manifest["cpu_seconds"] for manifest in manifests),
        "right": (ours.argmax(1) == truth).astype(int).tolist(),
    }


@cache
def read_task(text: str, seed: int) -> Task:
    """A recipe's task, which is given as JSON, with its rows."""
    return load_task(TaskSpec.model_validate_json(text), Sources().table, seed, Origin())


@lru_cache(maxsize=2)
def validation_logits(folder: Path, task_text: str, seed: int) -> np.ndarray[Any, Any]:
    """A torch model's logits for each validation row of a recipe's task: (rows, classes)."""
    import torch

    task = read_task(task_text, seed)
    model, tokenizer = load_model(folder, task.hub_task), load_tokenizer(folder)
    rows = task.encode(task.validation, tokenizer)
    order = np.argsort([len(row["input_ids"]) for row in rows])
    logits = np.zeros((len(rows), len(task.labels)))
    with torch.inference_mode():
        for batch in np.array_split(order, range(BATCH, len(rows), BATCH)):
            inputs = tokenizer.pad([{key: rows[row][key] for key in rows[row] if key != "labels"} for row in batch])
            outputs = model(**{key: torch.tensor(inputs[key]) for key in input_names(model) if key in inputs})
            logits[batch] = outputs.logits.double().numpy()
    return logits
