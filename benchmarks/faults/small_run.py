"""A run of five steps that takes seconds, made of nothing but a seed: its model, its rows and its recipe."""

import csv
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from compress.files.whole import file_sha256

ROOT = Path(__file__).parents[2]
NAME = "small"
GOOD = "good great fine lovely superb".split()
BAD = "bad awful poor dreadful dull".split()
FILLER = "the film was a story about people in town and they said it with some music".split()
LETTERS = "abcdefghijklmnopqrstuvwxyz"
NOISE = 0.15
"""Share of wrong labels: with none, the first epoch would be the best, and the later ones change nothing."""
STEPS = ("teacher", "student", "pruned", "onnx", "int8")
TRAINED = ("teacher", "student", "pruned")
RECIPE = {
    "name": NAME,
    "seed": 0,
    "task": {
        "type": "text_classification",
        "train": "train.csv",
        "test": "test.csv",
        "columns": {"text": "text", "label": "label"},
        "max_length": 32,
        "overlap": "allow",
    },
    "steps": [
        {"name": "teacher", "stage": "finetune", "model": "model", "epochs": 8, "learning_rate": 1e-3},
        {"name": "student", "stage": "distill", "layers": 1, "epochs": 8, "learning_rate": 1e-3},
        {
            "name": "pruned",
            "stage": "prune_structured",
            "teacher": "teacher",
            "heads": 0.5,
            "ffn": 0.5,
            "recover": {"epochs": 8, "learning_rate": 1e-3},
        },
        {"name": "onnx", "stage": "export_onnx"},
        {"name": "int8", "stage": "quantize_onnx_dynamic"},
    ],
    "targets": {"cpu": {"runtime": "onnxruntime", "threads": 1, "batch_size": 1, "sequence_length": 32}},
    "bench": {"warmup": 1, "rounds": 2, "samples": 2},
    "device": "cpu",
}


@dataclass(frozen=True)
class Ended:
    """A command that ended by itself or was ended.

    Attributes:
        code: exit code; negative for the signal that ended it.
    """

    code: int
    seconds: float
    stdout: str
    stderr: str


def write_small_run(folder: Path, train_rows: int = 768, hidden: int = 64) -> Path:
    """Write model, rows and recipe below `folder`, and give the recipe's path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_model(folder / "model", hidden)
    write_rows(folder / "train.csv", train_rows, seed=1)
    write_rows(folder / "test.csv", 32, seed=2)
    recipe = folder / f"{NAME}.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE, sort_keys=False))
    return recipe


def write_rows(path: Path, rows: int, seed: int) -> None:
    """Sentences whose words say which label they have, as many of each."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(make_rows(rows, seed))


def make_rows(rows: int, seed: int) -> list[tuple[str, str]]:
    """(text, label) of each row."""
    draw = random.Random(seed)
    made = []
    for number in range(rows):
        label, telling = (("bad", BAD), ("good", GOOD))[number % 2]
        words = draw.choices(FILLER, k=draw.randint(4, 12)) + draw.choices(telling, k=2)
        draw.shuffle(words)
        told = label if draw.random() > NOISE else ("good" if label == "bad" else "bad")
        made.append((" ".join(words), told))
    return made


def write_model(folder: Path, hidden: int) -> None:
    """A BERT of two layers with random weights, and a tokenizer of the rows' words."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir()
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *FILLER, *LETTERS]
    tokens += [f"##{letter}" for letter in LETTERS]
    tokens = list(dict.fromkeys(tokens))
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(tokens) + "\n")
    BertTokenizerFast(vocab=str(vocabulary), do_lower_case=True).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokens),
        hidden_size=hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * hidden,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)


def command(recipe: Path, runs: Path) -> list[str]:
    """The command line of the run."""
    return [sys.executable, "-m", "compress", "run", str(recipe), "--runs-dir", str(runs)]


def environment(**extra: str) -> dict[str, str]:
    """What a process of the run is started with: this checkout, one thread, no network."""
    own = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    return {**os.environ, **own, **extra}


def run(command: Sequence[str], *, timeout: float = 300, **extra: str) -> Ended:
    """Run a command to its end.

    Args:
        extra: environment variables.
    """
    start = time.monotonic()
    done = subprocess.run(  # noqa: PLW1510  its exit code is what is looked at
        command, cwd=ROOT, env=environment(**extra), capture_output=True, text=True, errors="replace", timeout=timeout
    )
    return Ended(done.returncode, time.monotonic() - start, done.stdout, done.stderr)


def step_hashes(runs: Path) -> dict[str, dict[str, str]]:
    """SHA-256 of each file of each step's artifact, hashed now, with the manifest checked to say the same.

    A step that has no link, or whose files are not those of its manifest, is left out.
    """
    found: dict[str, dict[str, str]] = {}
    for step in STEPS:
        folder = runs / NAME / "steps" / step
        try:
            told: Mapping[str, str] = json.loads((folder / "manifest.json").read_text())["files"]
            read = {name: file_sha256(folder / name) for name in told}
        except (OSError, ValueError, KeyError):
            continue
        if read == told:
            found[step] = read
    return found
