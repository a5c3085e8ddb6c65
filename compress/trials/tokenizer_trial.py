"""The trial of a tokenizer from outside: compared with AutoTokenizer in a child process, once for each content."""

import json
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from compress.errors import CompressError, InputError
from compress.files.disks import cache_folder
from compress.files.whole import file_sha256, fingerprint, write_text
from compress.models.auto_tokenizer import Wrong
from compress.models.config_file import read_config
from compress.models.tokenizer import FILES, OTHER_FORMS
from compress.processes.child import run

COMMAND = ("-m", "compress.models.auto_tokenizer")
TRIAL_SECONDS = 300.0
"""Seconds after which a tokenizer is refused; a busy machine needs twenty to import transformers."""
COMPARISON = 1
"""Version of the comparison, increased when it checks more."""
DECIDING = (
    "model_type",
    "tokenizer_class",
    "auto_map",
    "model_name",
    "_name_or_path",
    "pad_token_id",
    "type_vocab_size",
)
"""Keys of config.json that decide AutoTokenizer's class or the padding."""


def check_tokenizer(folder: Path, *, pairs: bool) -> None:
    """Refuse a tokenizer that does not work, or that gives other ids than transformers' AutoTokenizer.

    The cache remembers tokenizers that passed.

    Args:
        pairs: whether the tokenizer will be used on pairs of texts.

    Raises:
        InputError: gives the first text that differs, and how to convert the tokenizer.
    """
    remembered = cache_folder() / "tokenizers" / f"{tokenizer_key(folder, pairs)}.json"
    if remembered.is_file():
        return
    wrong = ask_auto_tokenizer(folder, pairs)
    if wrong is not None:
        raise InputError(wrong.what, where=wrong.where, fix=wrong.fix)
    with suppress(OSError, CompressError):  # a cache that cannot be written costs the next plan seconds
        remembered.parent.mkdir(parents=True, exist_ok=True)
        write_text(remembered, "{}\n")


def ask_auto_tokenizer(folder: Path, pairs: bool) -> Wrong | None:
    """The problem of a tokenizer that a child process finds; None if there is none."""
    command = [sys.executable, "-P", *COMMAND, str(folder.absolute()), *(["pairs"] if pairs else [])]
    try:
        finished = run(command, TRIAL_SECONDS)
    except subprocess.TimeoutExpired:
        return _unusable(folder, f"takes longer than {TRIAL_SECONDS:.0f} s for a few texts")
    if finished.returncode != 0:
        last = next((line.strip() for line in reversed(finished.stderr.splitlines()) if line.strip()), "no message")
        return _unusable(folder, f"ends its process on a few texts (exit code {finished.returncode}: {last[:200]})")
    problem = json.loads(finished.stdout.splitlines()[-1])
    return None if problem is None else Wrong(*problem)


def _unusable(folder: Path, what: str) -> Wrong:
    fix = "take the tokenizer.json that belongs to the model"
    return Wrong(f"the tokenizer {what}", str(folder / "tokenizer.json"), fix)


def tokenizer_key(folder: Path, pairs: bool) -> str:
    """A key of everything that the comparison depends on."""
    files = sorted({path for name in (*FILES, *OTHER_FORMS) for path in folder.glob(name) if path.is_file()})
    config = read_config(folder)
    return fingerprint(
        {
            "files": {path.name: file_sha256(path) for path in files},
            "config": {name: config[name] for name in DECIDING if name in config},
            "versions": {name: version(name) for name in ("transformers", "tokenizers")},
            "comparison": COMPARISON,
            "pairs": pairs,
        }
    )
