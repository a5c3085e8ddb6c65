"""Tokenizers of several kinds, of the small run's words, and edits of their files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

TEXTS = ["the film was a good story", "people in town said it with some music", "Good BAD 12 3.5"] * 4

Json = dict[str, Any]


def write_config(folder: Path, **said: Any) -> None:
    """Change keys of a folder's tokenizer_config.json; None takes a key out."""
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    kept = {key: value for key, value in {**config, **said}.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")


def edit(folder: Path, change: Callable[[Json], object]) -> None:
    """Change what a folder's tokenizer.json says."""
    path = folder / "tokenizer.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    change(said)
    path.write_text(json.dumps(said), encoding="utf-8")


def byte_level(folder: Path) -> Path:
    """A tokenizer as GPT-2's: bytes and their merges, no padding token, nothing around a text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return _written(tokenizer, folder, tokenizer_class="GPT2Tokenizer", eos_token="<|endoftext|>")


def unigram(folder: Path) -> Path:
    """A tokenizer as T5's: pieces with their probabilities, an end token behind a text."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=special, unk_token="<unk>")
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return _written(tokenizer, folder, tokenizer_class="PreTrainedTokenizerFast", pad_token="<pad>", eos_token="</s>")


def whole_words(folder: Path) -> Path:
    """A tokenizer that knows whole words alone, and has no token for others."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: number for number, word in enumerate(dict.fromkeys(" ".join(TEXTS).split()))}
    tokenizer = Tokenizer(models.WordLevel(words))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return _written(tokenizer, folder, tokenizer_class="PreTrainedTokenizerFast")


def slow_files(folder: Path, family: str) -> None:
    """Take a folder's tokenizer.json away, and put there what slow tokenizers are made of: of BERT's or of GPT-2's."""
    said = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    words = sorted(said["vocab"], key=said["vocab"].get)
    if family == "bert":
        (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    else:
        (folder / "vocab.json").write_text(json.dumps(said["vocab"]), encoding="utf-8")
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in said["merges"]]
        (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    (folder / "tokenizer.json").unlink()


def copied(source: Path, folder: Path, **said: Any) -> Path:
    """A copy of a model's folder, with other keys in its tokenizer_config.json."""
    shutil.copytree(source, folder)
    write_config(folder, **said)
    return folder


def _written(tokenizer: Any, folder: Path, **said: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer_config.json").unlink(missing_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_config(folder, **said)
    return folder
