"""The recipes that are run: those that ship, and what stands beside them in the same run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.hard.running import ROOT
from benchmarks.hard.word_order import write_word_order

RECIPES = ROOT / "recipes" / "text-classification"
SPLITS = {"train": "train.csv", "validation": "dev.csv", "test": "test.csv"}
"""Files of SST-2 in the folder that `--data` names."""
Step = dict[str, Any]
Recipe = dict[str, Any]

FINAL, SAME_SIZE, NARROW = "int8", "same_size_int8", "narrow_int8"
"""The last step of the transformer student of whole layers; of the student of at most r8-strongest's size that was best
on held-out rows, the convolution; and of the transformer of that size."""
NGRAMS = "ngrams_int8"
"""The last step of the bag of n-grams under the teacher; where it is fitted to the labels, it is the recipe's own."""
TEACHER = ("teacher", "teacher_onnx")
"""The row of the teacher in a run's report, and in that of a few steps."""
MEASURED = (TEACHER[1], FINAL, SAME_SIZE, NGRAMS)
"""The steps that are measured with further seeds."""
UNTAUGHT = {"soft_weight": 0.0, "hard_weight": 1.0, "augment": {"copies": 0}}
"""Settings of a student that is trained on the labels alone."""
TRANSFER = {"copies": 12, "mix": 0.5, "parts": 0.3, "unchanged": 0.5}
"""The variants of SST-2's rows: the same as in its recipe, so that the teacher answers them once."""
NARROW_STUDENT = {
    "stage": "distill",
    "teacher": "teacher",
    "student": "trimmed",
    "layers": 2,
    "hidden": 128,
    "heads": 4,
    "ffn": 256,
    "cuts": 1,
    "epochs": 3,
    "batch_size": 32,
    "learning_rate": 2e-3,
    "head_learning_rate": 6e-3,
    "attention_dropout": 0.0,
    "augment": TRANSFER,
}
"""A transformer of the size of r8-strongest's, on more variants."""
SAME_SIZE_STUDENT: Step = {
    "stage": "distill_convolution",
    "teacher": "teacher",
    "student": "trimmed",
    "hidden": 96,
    "channels": 128,
    "augment": TRANSFER,
}
"""The convolution: smaller than r8-strongest's student, and faster."""
NGRAM_STUDENTS: dict[str, Step] = {
    "sst2": {"longest": 2, "buckets": 32768, "learning_rate": 0.01, "augment": TRANSFER},
    "r8": {"longest": 1, "learning_rate": 0.15},
    "word_order": {"longest": 4, "buckets": 32768, "augment": {"copies": 3}},
}
"""By data set: the settings of `distill_ngrams`. On 20 Newsgroups the teacher's answers to long texts cost too much."""
LINEAR_OF_SST2 = {"name": "linear", "stage": "fit_linear", "model": "trimmed", "longest": 2, "buckets": 32768}
BAGS = {"sst2": NGRAMS, "r8": FINAL, "news20": FINAL, "word_order": NGRAMS}
"""By data set: the last step of the bag of n-grams that is claimed."""
ENDING = ("onnx", "skipped", "int8")
"""The steps of the recipe after a student."""
BENCH = {"rounds": 10, "samples": 5}
CPU = {"runtime": "onnxruntime", "threads": 2, "batch_size": 1}
WORD_ORDER_STUDENT = {"epochs": 2, "augment": {"copies": 3}}
WORD_ORDER_TEACHER = {"epochs": 3, "learning_rate": 1e-4, "head_learning_rate": 3e-3}


def shipped(name: str) -> Recipe:
    """A shipped recipe of text classification."""
    found: Recipe = yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))
    return found


def sst2(data: Path, seed: int) -> Recipe:
    """SST-2 with all that stands beside the recipe's own student; what has no teacher with the first seed alone.

    Args:
        data: the folder of its three tables.
    """
    recipe = sst2_own(data)
    steps = {step["name"]: step for step in recipe["steps"]}
    added = [*_small("same_size", SAME_SIZE_STUDENT), *ngrams("sst2", untaught=seed == 0)]
    if seed == 0:
        added += _transformer("narrow", NARROW_STUDENT, steps)
        added += [
            {**steps["student"], **UNTAUGHT, "epochs": 4, "name": "untaught"},
            {**NARROW_STUDENT, **UNTAUGHT, "epochs": 8, "name": "narrow_untaught"},
            {**SAME_SIZE_STUDENT, **UNTAUGHT, "epochs": 8, "name": "same_size_untaught"},
        ]
        added += _small("linear", LINEAR_OF_SST2)
    else:
        added += [{"name": TEACHER[1], "stage": "export_onnx", "model": TEACHER[0]}]
    return {
        **recipe,
        "name": f"sst2-hard-{seed}",
        "seed": seed,
        "steps": [*recipe["steps"], *added],
        "bench": BENCH,
    }


def sst2_own(data: Path) -> Recipe:
    """The shipped recipe with its rows."""
    recipe = shipped("sst2-strongest")
    tables = {part: str((data / name).resolve()) for part, name in SPLITS.items()}
    return {**recipe, "task": {**recipe["task"], **tables}}


def ngrams_beside_teacher(name: str) -> Recipe:
    """The recipe of a bag of n-grams fitted to the labels, beside its teacher; and the bag under that teacher."""
    recipe = shipped(f"{name}-fastest")
    return {**recipe, "name": f"{name}-hard", "steps": [*recipe["steps"], *ngrams(name)], "bench": BENCH}


def word_order(runs_dir: Path, seed: int) -> Recipe:
    """The made data set: a teacher, its trimmed vocabulary, students of whole layers and of r8-strongest's size."""
    paths = write_word_order(runs_dir / f"word-order-{seed}", seed)
    own = shipped("sst2-strongest")["steps"]
    steps = {step["name"]: step for step in own}
    steps["teacher"] |= WORD_ORDER_TEACHER
    steps["student"] |= WORD_ORDER_STUDENT
    task = {
        "type": "text_classification",
        **{part: str(path.resolve()) for part, path in paths.items()},
        "columns": {"text": "text", "label": "winner"},
        "max_length": 48,
    }
    return {
        "name": f"word-order-hard-{seed}",
        "seed": seed,
        "task": task,
        "steps": [
            *own,
            *_transformer("narrow", {**NARROW_STUDENT, **WORD_ORDER_STUDENT, "epochs": 6}, steps),
            *_small("same_size", {**SAME_SIZE_STUDENT, **WORD_ORDER_STUDENT, "epochs": 6}),
            *ngrams("word_order"),
        ],
        "targets": {"cpu": {**CPU, "sequence_length": 48}},
        "bench": BENCH,
    }


def ngrams(name: str, *, untaught: bool = True) -> list[Step]:
    """The bag of n-grams under the teacher, exported, with its table in 8 bits; and without its teacher."""
    if name not in NGRAM_STUDENTS:
        return []
    taught = {"stage": "distill_ngrams", "teacher": "teacher", "student": "trimmed", **NGRAM_STUDENTS[name]}
    made = _small("ngrams", taught)
    if untaught:
        made.append({**taught, **UNTAUGHT, "name": "ngrams_untaught"})
    return made


def _small(branch: str, step: Step) -> list[Step]:
    """A model without a transformer, exported and quantized."""
    return [
        {**step, "name": branch},
        {"name": f"{branch}_onnx", "stage": "export_onnx", "model": branch},
        {"name": f"{branch}_int8", "stage": "quantize_onnx_dynamic", "model": f"{branch}_onnx"},
    ]


def _transformer(branch: str, student: Step, steps: Mapping[str, Step]) -> list[Step]:
    """A student with the recipe's own export, skipping and quantization after it."""
    names = [f"{branch}_{step}" for step in ENDING]
    reads: Sequence[str] = [branch, *names[:-1]]
    ending = [
        {**steps[step], "name": named, "model": read} for step, named, read in zip(ENDING, names, reads, strict=True)
    ]
    return [{**student, "name": branch}, *ending]
