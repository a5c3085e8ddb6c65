"""Tokenizers as people have them: the same ids as transformers' AutoTokenizer, or refused with how to convert them."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from benchmarks.faults import tokenizer_files as files
from benchmarks.faults.cases import Case, Check, recipe, refused, small_run, succeeded
from benchmarks.faults.families import write_family
from benchmarks.faults.small_run import Ended

OUT = "out"
LENGTH = 12
GENERIC = "PreTrainedTokenizerFast"
OTHER_IDS = "other ids than transformers' AutoTokenizer"
CONVERSION = "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
TEXTS = (
    "The FILM was good",
    "café e\u0301 İ ß",
    "中文 🙂 and",
    "  two  spaces ",
    "good [SEP] film [MASK]",
    "one\ntwo\u200bthree",
    "",
    "story " * 30,
)

Change = Callable[[Path], object]
Prepare = Callable[[Path], Sequence[str]]


def _exported(change: Change, family: str = "bert") -> Prepare:
    """Exports a model whose tokenizer was changed: the artifact is what other tools then read."""

    def prepare(folder: Path) -> list[str]:
        write_family(folder / "model", family, small_run() / "model", vocab_size=320)
        change(folder / "model")
        return ["export", "model", "-o", OUT, "--max-length", "64"]

    return prepare


def _planned(change: Change, *, pairs: bool = False) -> Prepare:
    def prepare(folder: Path) -> list[str]:
        shutil.copytree(small_run() / "model", folder / "model")
        (folder / "model" / "vocab.txt").unlink()
        change(folder / "model")
        rows = [("text", "other", "label"), *((f"good film {n}", f"a story {n}", "ab"[n % 2]) for n in range(24))]
        for name, chosen in (("train.csv", rows[:17]), ("test.csv", rows[:1] + rows[17:])):
            (folder / name).write_text("\n".join(",".join(row) for row in chosen) + "\n", encoding="utf-8")
        columns = {"text": "text", "label": "label"} | ({"text_pair": "other"} if pairs else {})
        task = {"train": "train.csv", "test": "test.csv", "columns": columns, "max_length": 32}
        steps = [{"name": "teacher", "stage": "finetune", "model": "model", "epochs": 1}]
        (folder / "odd.yaml").write_text(yaml.safe_dump(recipe(task=task, steps=steps)), encoding="utf-8")
        return ["plan", "odd.yaml", "--no-forecast"]

    return prepare


def same_ids(*, pairs: bool = False) -> Check:
    """The check that the artifact's tokenizer file makes, by itself, the ids that AutoTokenizer makes of the model."""

    def check(folder: Path, ended: Ended) -> str | None:
        del ended
        from tokenizers import Tokenizer
        from transformers import AutoTokenizer

        for length in (LENGTH, 64):
            theirs = AutoTokenizer.from_pretrained(folder / "model")
            ours = Tokenizer.from_file(str(folder / OUT / "tokenizer.json"))
            side = json.loads((folder / OUT / "tokenizer_config.json").read_text()).get("truncation_side", "right")
            ours.no_padding()
            ours.enable_truncation(length, direction=side)
            ours.encode_special_tokens = theirs.split_special_tokens
            texts = [(text, text) if pairs else text for text in TEXTS]
            for text in texts:
                expected = theirs(*(text if pairs else [text]), truncation=True, max_length=length)["input_ids"]
                found = ours.encode(*(text if pairs else [text])).ids
                if list(expected) != found:
                    return f"of {text!r} {found} in place of {expected}"
        return None

    return check


def says_of_each_alone(folder: Path, ended: Ended) -> str | None:
    """The check that the artifact says of rows, measured together, what plain transformers says of each text alone."""
    del ended
    import numpy as np
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from compress.models.tokenizer import load_tokenizer
    from compress.recipe.schema import Target
    from compress.runtimes import load

    theirs = AutoTokenizer.from_pretrained(folder / "model")
    network = AutoModelForSequenceClassification.from_pretrained(folder / "model").eval()
    tokenizer, predict = load_tokenizer(folder / OUT), load(folder / OUT, Target(), "text-classification")
    texts = [text for text in TEXTS if theirs(text)["input_ids"]]
    together = predict(tokenizer.pad(tokenizer.encode(texts, None, 64)))
    for text, found in zip(texts, together, strict=True):
        with torch.no_grad():
            given = theirs(text, truncation=True, max_length=64, return_tensors="pt")
            expected = network(**given).logits[0].numpy()
        if not np.abs(found - expected).max() < 1e-3 * max(1.0, float(np.abs(expected).max())):
            return f"of {text!r} {found} in place of {expected}"
    return None


def _config(**said: object) -> Change:
    return lambda folder: files.write_config(folder, **said)


def _json(change: Callable[[files.Json], object], **said: object) -> Change:
    def edited(folder: Path) -> None:
        files.edit(folder, change)
        files.write_config(folder, **said)

    return edited


def _slow(family: str, write: Change | None = None) -> Change:
    def changed(folder: Path) -> None:
        if write is not None:
            write(folder)
        files.slow_files(folder, family)

    return changed


def _pieces_alone(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "spiece.model").write_bytes(b"\x0a\x05pieces")


def _converted(folder: Path) -> None:
    from transformers import AutoTokenizer

    files.write_config(folder, do_lower_case=False, strip_accents=False)
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder)


def _own_code(folder: Path) -> None:
    (folder / "own.py").write_text("from pathlib import Path\nPath('ran').touch()\n", encoding="utf-8")
    files.write_config(folder, auto_map={"AutoTokenizer": [None, "own.Own"]}, tokenizer_class="Own")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "own"}), encoding="utf-8")


def _code_not_run(folder: Path, ended: Ended) -> str | None:
    if list(folder.rglob("ran")):
        return "the tokenizer's code was run"
    return refused("code of the model's own", "not run", code=2)(folder, ended)


def _own_padding(said: files.Json) -> None:
    said["truncation"] = {"max_length": 3, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    padding = {"pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]", "pad_to_multiple_of": None}
    said["padding"] = {"strategy": {"Fixed": 30}, "direction": "Left", **padding}


def _single_alone(said: files.Json) -> None:
    said["post_processor"]["pair"] = said["post_processor"]["single"]


def _fewer_bytes(folder: Path) -> None:
    files.byte_level(folder)

    def change(said: files.Json) -> None:
        said["model"]["merges"] = []
        kept = [token for token in said["model"]["vocab"] if len(token) == 1 and token not in "bj"]
        said["model"]["vocab"] = {token: number + 1 for number, token in enumerate(kept)}  # id 0 is a hole
        said["added_tokens"] = []

    files.edit(folder, change)
    files.write_config(folder, tokenizer_class=GENERIC, eos_token=None)


RIGHT: dict[str, tuple[Change, str]] = {
    "nothing odd": (_config(), "bert"),
    "texts cut on the left": (_config(truncation_side="left"), "bert"),
    "a maximal length of 8": (_config(model_max_length=8), "bert"),
    "names of special tokens are plain text": (_config(split_special_tokens=True), "bert"),
    "the file as it is, by its class": (_config(tokenizer_class=GENERIC, do_lower_case=False), "bert"),
    "no class": (_config(tokenizer_class=None), "bert"),
    "no segments": (_config(model_input_names=["input_ids", "attention_mask"]), "bert"),
    "padding and truncation in the file": (_json(_own_padding), "bert"),
    "nothing around a text": (_json(lambda said: said.update(post_processor=None), tokenizer_class=GENERIC), "bert"),
    "converted, as the error asks": (_converted, "bert"),
    "bytes, without a padding token": (files.byte_level, "gpt2"),
    "bytes that are missing, a hole in the vocabulary": (_fewer_bytes, "gpt2"),
    "pieces with an end token": (files.unigram, "bert"),
}
WRONG: dict[str, tuple[Change, tuple[str, ...]]] = {
    "lower case in the settings alone": (_config(do_lower_case=False), (OTHER_IDS, CONVERSION, GENERIC)),
    "accents in the settings alone": (_config(strip_accents=False), (OTHER_IDS, CONVERSION)),
    "Chinese in the settings alone": (_config(tokenize_chinese_chars=False), (OTHER_IDS, "中文", CONVERSION)),
    "another end token": (_config(sep_token="[MASK]"), (OTHER_IDS, CONVERSION)),
    "an added token in the settings alone": (
        _config(added_tokens_decoder={"300": {"content": "lower", "special": False}}),
        (OTHER_IDS, "lower", CONVERSION),
    ),
    "a class of another kind": (_config(tokenizer_class="RobertaTokenizer"), (OTHER_IDS, CONVERSION)),
    "vocab.txt alone": (_slow("bert"), ("no tokenizer.json, but vocab.txt", CONVERSION)),
    "vocab.json and merges.txt alone": (
        _slow("gpt2", files.byte_level),
        ("no tokenizer.json, but vocab.json, merges.txt", CONVERSION),
    ),
    "a sentencepiece model alone": (_pieces_alone, ("but spiece.model", "with sentencepiece and protobuf")),
    "no token for unknown words": (files.whole_words, ("the tokenizer cannot encode texts",)),
    "a side that is none": (_config(truncation_side="middle"), ("truncation_side: 'middle'", "left or right")),
}

RIGHT_CASES = [
    Case(name, "tokenizer", _exported(change, family), succeeded(same_ids()))
    for name, (change, family) in RIGHT.items()
]
WRONG_CASES = [
    Case(name, "tokenizer", _planned(change), refused(*words, code=2)) for name, (change, words) in WRONG.items()
]
ALONE = {
    "padding on the left": (_config(padding_side="left"), "bert"),
    "a decoder that pads on the left": (_config(padding_side="left"), "llama"),
    "a decoder without a padding token": (files.byte_level, "gpt2"),
}
CASES = [
    *RIGHT_CASES,
    *WRONG_CASES,
    *(
        Case(name, "tokenizer", _exported(change, family), succeeded(says_of_each_alone))
        for name, (change, family) in ALONE.items()
    ),
    Case("code of its own", "tokenizer", _planned(_own_code), _code_not_run),
    Case(
        "a template for single texts, and pairs",
        "tokenizer",
        _planned(_json(_single_alone, tokenizer_class=GENERIC), pairs=True),
        refused("leaves out the second text of a pair", code=2),
    ),
    Case(
        "a template for single texts, and no pairs",
        "tokenizer",
        _exported(_json(_single_alone, tokenizer_class=GENERIC)),
        succeeded(same_ids()),
    ),
]
