"""`compress init` on files that people have: what it must find in each, ask, or refuse."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from benchmarks.newcomer.init_cases import Asked, File, Found, Refused
from benchmarks.newcomer.init_odd_files import files
from benchmarks.newcomer.workplace import ROOT, Workplace

PROMPT = "number or name"
"""What stands before an answer."""
TIMEOUT_S = 180
COLUMNS = 80
VOCABULARY = 2_000


def measure(place: Workplace) -> list[dict[str, Any]]:
    """Each file without a terminal, and on one where it must ask."""
    folder = place.new_folder("init")
    cases = files()
    write_model(folder / "model", (case.content for case in cases))
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(lambda numbered: _try(folder, *numbered), enumerate(cases)))


def figures(record: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How many files, and in how many of them all was right."""
    right = sum(not case["wrong"] for case in record)
    return {"init_files": len(record), "init_right_pct": round(100 * right / len(record), 1)}


def _try(folder: Path, number: int, case: File) -> dict[str, Any]:
    own = folder / f"{number:02}"
    own.mkdir()
    (own / case.name).write_bytes(case.content)
    command = [sys.executable, "-m", "compress", "init", "--model", "../model", "--train", case.name, *case.options]
    code, shown = _without_terminal(command, own)
    wrong = _judge(case.expected, code, shown, own / "recipe.yaml")
    tried: dict[str, Any] = {"what": case.what, "file": case.name, "options": case.options, "code": code}
    tried |= {"expected": asdict(case.expected), "shown": shown}
    if isinstance(case.expected, Asked):
        code, shown = _on_terminal(command, own, case.expected.answers)
        wrong += [f"on a terminal: {what}" for what in _judge(case.expected.then, code, shown, own / "recipe.yaml")]
        tried |= {"code_on_terminal": code, "shown_on_terminal": shown}
    return {**tried, "wrong": wrong}


def _judge(expected: Found | Refused | Asked, code: int, shown: str, recipe: Path) -> list[str]:
    """What is not as it must be."""
    told = " ".join(shown.split())
    if not isinstance(expected, Found):
        lacking = [word for word in expected.words if word not in told]
        wrong = [f"exit code {code}"] if code != 2 else []
        return [*wrong, *(f"'{word}' is not told" for word in lacking), *(["a recipe"] if recipe.exists() else [])]
    if code != 0 or not recipe.exists():
        return [f"exit code {code}, {'a' if recipe.exists() else 'no'} recipe"]
    task = yaml.safe_load(recipe.read_text(encoding="utf-8"))["task"]
    columns = {"text": expected.text, "label": expected.label}
    if expected.pair is not None:
        columns["text_pair"] = expected.pair
    classes = re.search(r"training rows, (\d+) labels", told)
    least, most = expected.length
    checks = {
        f"the columns are {task['columns']}": task["columns"] == columns,
        f"{classes and classes[1]} classes": classes is not None and int(classes[1]) == expected.classes,
        f"max_length is {task['max_length']}": least <= task["max_length"] <= most,
        f"incomplete is {task.get('incomplete')}": (task.get("incomplete") == "drop") == expected.dropped,
        **{f"'{word}' is not told": word in told for word in expected.told},
        "a line is wider than the terminal": all(len(line) <= COLUMNS or " " not in line for line in _lines(shown)),
    }
    return [what for what, is_right in checks.items() if not is_right]


def _lines(shown: str) -> list[str]:
    """The lines of the table of columns, rows and classes; sentences may fold."""
    return [line for line in shown.splitlines() if line.startswith("  ") and not line.startswith("  fix")]


def _environment() -> dict[str, str]:
    own = {"PYTHONPATH": str(ROOT), "COLUMNS": str(COLUMNS), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return {**os.environ, **own}


def _without_terminal(command: Sequence[str], folder: Path) -> tuple[int, str]:
    done = subprocess.run(  # noqa: PLW1510  its exit code is what is looked at
        command,
        cwd=folder,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT_S,
    )
    return done.returncode, done.stdout.decode(errors="replace")


def _on_terminal(command: Sequence[str], folder: Path, answers: Iterable[str]) -> tuple[int, str]:
    """Run a command on a terminal of its own, and type an answer at each prompt."""
    ours, its = pty.openpty()
    child = subprocess.Popen(
        command, cwd=folder, env={**_environment(), "TERM": "xterm"}, stdin=its, stdout=its, stderr=its, close_fds=True
    )
    os.close(its)
    shown, asked, left = "", 0, list(answers)
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if not select.select([ours], [], [], 1)[0]:
            continue
        try:
            part = os.read(ours, 65536)
        except OSError:  # its end of the terminal is closed
            break
        if not part:
            break
        shown += part.decode(errors="replace")
        if left and shown.count(PROMPT) > asked:
            asked += 1
            os.write(ours, f"{left.pop(0)}\n".encode())
    child.terminate() if child.poll() is None and time.monotonic() >= deadline else None
    os.close(ours)
    return child.wait(timeout=TIMEOUT_S), re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", shown)


def write_model(folder: Path, contents: Iterable[bytes]) -> None:
    """A tiny BERT with random weights, whose tokenizer has the frequent words of the files."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir()
    texts = [content.decode(errors="ignore") for content in contents if content[:2] not in {b"PK", b"\x1f\x8b"}]
    trained = BertWordPieceTokenizer(lowercase=True)
    trained.train_from_iterator(texts, vocab_size=VOCABULARY, show_progress=False)
    (vocabulary,) = trained.save_model(str(folder))
    BertTokenizerFast(vocab=vocabulary, do_lower_case=True).save_pretrained(folder)
    torch.manual_seed(0)
    size = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    BertModel(BertConfig(vocab_size=trained.get_vocab_size(), **size)).save_pretrained(folder)
