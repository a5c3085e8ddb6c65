"""Tokenizers as people have them: the same ids as transformers' AutoTokenizer, or refused with how to convert them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from benchmarks.faults import tokenizer_files as files
from compress.errors import InputError
from compress.models.auto_tokenizer import Wrong, compared
from compress.models.odd_texts import LONG, ODD_TEXTS, PAIRS
from compress.models.tokenizer import load_tokenizer
from compress.trials import tokenizer_trial

GENERIC = "PreTrainedTokenizerFast"
Json = dict[str, Any]


@pytest.fixture
def base(make_model: Callable[..., Path], tmp_path: Path) -> Path:
    """A copy of the tiny BERT's folder, whose tokenizer stands in tokenizer.json alone."""
    folder = files.copied(make_model(), tmp_path / "base")
    (folder / "vocab.txt").unlink()
    return folder


def said(folder: Path, *, pairs: bool = True) -> str:
    found = compared(folder, pairs=pairs)
    assert found is not None
    assert found.where.startswith(str(folder))
    assert found.fix
    return found.what


def convert(folder: Path) -> None:
    """What the errors ask for."""
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder)


def assert_same(folder: Path, pairs: list[tuple[str, str]] | None = None) -> None:
    """Every odd text is as AutoTokenizer has it, cut and uncut."""
    ours, theirs = load_tokenizer(folder), AutoTokenizer.from_pretrained(folder)
    first, second = ([*ODD_TEXTS, LONG], None) if pairs is None else map(list, zip(*pairs, strict=True))
    for length in (8, 64):
        expected = theirs(first, second, truncation=True, max_length=length)["input_ids"]
        rows = ours.encode(first, second, length)
        assert [row["input_ids"] for row in rows] == [ids or [ours.pad_id] for ids in expected]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"do_lower_case": None},
        {"truncation_side": "left"},
        {"padding_side": "left"},
        {"model_max_length": 8},
        {"model_input_names": ["input_ids", "attention_mask"]},
        {"split_special_tokens": True},
        {"clean_up_tokenization_spaces": False},
        {"tokenizer_class": None},
        {"tokenizer_class": GENERIC, "do_lower_case": False},
        {"chat_template": "{{ 1 / 0 }}"},
    ],
    ids=str,
)
def test_settings_that_are_followed_or_change_nothing(base: Path, settings: Json) -> None:
    files.write_config(base, **settings)
    assert compared(base, pairs=True) is None
    assert_same(base)
    assert_same(base, list(PAIRS))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"do_lower_case": False}, "The film was good"),
        ({"strip_accents": False}, "İstanbul"),
        ({"tokenize_chinese_chars": False}, "中文字"),
        ({"sep_token": "[MASK]"}, "The film was good"),
        ({"cls_token": "film"}, "The film was good"),
        ({"tokenizer_class": "RobertaTokenizer"}, "The film was good"),
        ({"added_tokens_decoder": {"200": {"content": "lower", "special": False}}}, "UPPER lower"),
    ],
    ids=str,
)
def test_settings_that_give_other_ids_are_refused_with_the_text_and_can_be_converted(
    base: Path, settings: Json, text: str
) -> None:
    files.write_config(base, **settings)
    what = said(base)
    assert what.startswith("the tokenizer gives other ids than transformers' AutoTokenizer: of ")
    assert text in what
    assert " in place of [" in what
    convert(base)
    assert compared(base, pairs=True) is None
    assert_same(base)


def test_or_the_file_is_taken_as_it_is(base: Path) -> None:
    files.write_config(base, do_lower_case=False)
    before = load_tokenizer(base).encode(["Good"], None, 8)
    assert GENERIC in str(compared(base, pairs=False))
    files.write_config(base, tokenizer_class=GENERIC)
    assert compared(base, pairs=False) is None
    assert load_tokenizer(base).encode(["Good"], None, 8) == before


@pytest.mark.parametrize("settings", [{"truncation_side": "middle"}, {"model_input_names": "input_ids"}], ids=str)
def test_a_setting_that_is_none_is_refused(base: Path, settings: Json) -> None:
    files.write_config(base, **settings)
    (name,) = settings
    assert said(base).startswith(f"the model's tokenizer_config.json says {name}: ")


@pytest.mark.parametrize(
    ("write", "settings"),
    [
        (files.byte_level, {}),
        (files.unigram, {}),
        (files.unigram, {"bos_token": "</s>", "add_bos_token": True, "add_eos_token": False}),
        (files.unigram, {"tokenizer_class": "NoSuchTokenizer"}),
    ],
)
def test_tokenizers_of_other_kinds_equal_transformers(
    base: Path, write: Callable[[Path], Path], settings: Json
) -> None:
    write(base)
    files.write_config(base, **settings)
    (base / "config.json").write_text('{"model_type": "gpt2"}')
    assert compared(base, pairs=True) is None
    assert_same(base)
    assert_same(base, list(PAIRS))


def test_a_text_without_tokens_is_one_padding_token(base: Path) -> None:
    files.byte_level(base)
    tokenizer = load_tokenizer(base)
    empty, word = tokenizer.encode(["", "good film"], None, 8)
    assert empty == {"input_ids": [tokenizer.pad_id], "attention_mask": [1], "token_type_ids": [0]}
    assert tokenizer.pad([empty])["input_ids"].shape == (1, 1)
    assert len(word["input_ids"]) > 1


@pytest.mark.parametrize("prefix", [False, True])
def test_a_space_before_the_first_word(base: Path, prefix: bool) -> None:
    """transformers builds GPT-2's tokenizer anew, and its setting stands in tokenizer_config.json alone."""
    files.byte_level(base)
    files.write_config(base, add_prefix_space=prefix)
    found = compared(base, pairs=False)
    assert (found is not None) == prefix
    convert(base)
    assert compared(base, pairs=False) is None
    assert_same(base)


def test_a_class_that_puts_other_tokens_around_a_text(base: Path) -> None:
    files.unigram(base)
    files.write_config(base, tokenizer_class="XLMRobertaTokenizer", bos_token="</s>", cls_token="</s>")
    assert "gives other ids" in said(base, pairs=False)
    convert(base)
    assert compared(base, pairs=False) is None
    assert load_tokenizer(base).encode(["good"], None, 8)[0]["input_ids"][0] == 1


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_files_of_slow_tokenizers_are_refused_and_can_be_converted(base: Path, family: str) -> None:
    if family == "gpt2":
        files.byte_level(base)
        files.write_config(base, tokenizer_class="GPT2Tokenizer")
    before = load_tokenizer(base).encode(list(ODD_TEXTS), None, 64)
    files.slow_files(base, family)
    found = compared(base, pairs=False)
    assert found is not None
    assert (
        found.what
        == f"the model has no tokenizer.json, but {'vocab.txt' if family == 'bert' else 'vocab.json, merges.txt'}"
    )
    assert "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)" in found.fix
    convert(base)
    assert compared(base, pairs=False) is None
    assert load_tokenizer(base).encode(list(ODD_TEXTS), None, 64) == before


def test_a_sentencepiece_model_alone_is_told_what_to_install(base: Path) -> None:
    (base / "tokenizer.json").unlink()
    (base / "spiece.model").write_bytes(b"\0")
    found = compared(base, pairs=False)
    assert found is not None
    assert found.what.endswith("no tokenizer.json, but spiece.model")
    assert "sentencepiece and protobuf" in found.fix


def test_padding_and_truncation_of_the_file_itself(base: Path) -> None:
    def own(written: Json) -> None:
        written["truncation"] = {"max_length": 3, "strategy": "LongestFirst", "stride": 0, "direction": "Left"}
        pad = {"pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]", "pad_to_multiple_of": 8}
        written["padding"] = {"strategy": {"Fixed": 30}, "direction": "Left", **pad}

    files.edit(base, own)
    tokenizer = load_tokenizer(base)
    assert tokenizer.settings.cut_side == "left"
    theirs = AutoTokenizer.from_pretrained(base)
    ids = theirs(LONG, truncation=True, max_length=8, padding=False)["input_ids"]
    assert tokenizer.encode([LONG], None, 8)[0]["input_ids"] == ids
    assert compared(base, pairs=True) is None


def test_no_post_processor(base: Path) -> None:
    files.edit(base, lambda written: written.update(post_processor=None))
    files.write_config(base, tokenizer_class=GENERIC)
    assert compared(base, pairs=True) is None
    assert_same(base, list(PAIRS))
    files.write_config(base, tokenizer_class="BertTokenizer")  # transformers puts its own there
    assert "gives other ids" in said(base)


def test_a_template_for_single_texts_alone(base: Path) -> None:
    def single(written: Json) -> None:
        written["post_processor"]["pair"] = written["post_processor"]["single"]

    files.edit(base, single)
    files.write_config(base, tokenizer_class=GENERIC)
    assert compared(base, pairs=False) is None
    assert said(base, pairs=True) == "the tokenizer leaves out the second text of a pair"
    with pytest.raises(InputError, match="leaves out the second text of a pair"):
        load_tokenizer(base).encode(["good"], ["film"], 8)


def test_no_token_for_unknown_words(base: Path) -> None:
    files.whole_words(base)
    assert said(base).startswith("the tokenizer cannot encode texts: ")


def test_bytes_that_are_missing_and_holes_in_the_vocabulary(base: Path) -> None:
    files.byte_level(base)

    def without(written: Json) -> None:
        written["model"]["merges"] = []
        gone = {"b", "j", "Ħ"}
        kept = [token for token in written["model"]["vocab"] if len(token) == 1 and token not in gone]
        written["model"]["vocab"] = {token: 3 * number for number, token in enumerate(kept)}
        written["added_tokens"] = []

    files.edit(base, without)
    files.write_config(base, tokenizer_class=GENERIC, eos_token=None)
    assert compared(base, pairs=True) is None
    assert_same(base)


def test_code_of_the_models_own_is_not_run(base: Path) -> None:
    (base / "tokenization_own.py").write_text(
        "from pathlib import Path\n"
        "from transformers import BertTokenizer\n"
        "Path(__file__).with_name('ran').touch()\n"
        "class OwnTokenizer(BertTokenizer): ...\n"
    )
    files.write_config(base, auto_map={"AutoTokenizer": [None, "tokenization_own.OwnTokenizer"]})
    files.write_config(base, tokenizer_class="OwnTokenizer")
    (base / "config.json").write_text('{"model_type": "own"}')
    assert said(base) == "the tokenizer is code of the model's own, which is not run"
    assert not list(base.rglob("ran"))
    files.write_config(base, auto_map=None, tokenizer_class=GENERIC)
    assert compared(base, pairs=False) is None


def test_segments_count_where_rows_are_pairs_and_the_model_tells_them_apart(base: Path) -> None:
    files.write_config(base, tokenizer_class="MPNetTokenizer")  # gives none; its rows have other ends too
    assert compared(base, pairs=True) is not None
    files.write_config(base, tokenizer_class="BertTokenizer", model_input_names=["input_ids", "attention_mask"])
    (row,) = load_tokenizer(base).encode(["good"], ["film"], 8)
    assert set(row["token_type_ids"]) == {0}
    files.write_config(base, model_input_names=None)
    (row,) = load_tokenizer(base).encode(["good"], ["film"], 8)
    assert row["token_type_ids"] == [0, 0, 0, 1, 1]


def test_two_tokenizers_that_cut_otherwise_do_not_give_the_same_ids(
    base: Path, make_model: Callable[..., Path]
) -> None:
    assert load_tokenizer(base).gives_ids_of(load_tokenizer(make_model()))
    files.write_config(base, truncation_side="left")
    assert not load_tokenizer(base).gives_ids_of(load_tokenizer(make_model()))


def test_what_was_found_right_is_remembered_by_content(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def ask(folder: Path, pairs: bool) -> Wrong | None:
        asked.append(folder)
        return compared(folder, pairs=pairs)

    monkeypatch.setattr(tokenizer_trial, "ask_auto_tokenizer", ask)
    for _ in range(2):
        tokenizer_trial.check_tokenizer(base, pairs=False)
    assert len(asked) == 1
    tokenizer_trial.check_tokenizer(base, pairs=True)
    assert len(asked) == 2
    files.write_config(base, do_lower_case=False)
    for _ in range(2):
        with pytest.raises(InputError, match="gives other ids than transformers' AutoTokenizer"):
            tokenizer_trial.check_tokenizer(base, pairs=False)
    assert len(asked) == 4


def test_a_process_of_its_own_finds_the_same_without_torch_and_the_network(base: Path) -> None:
    files.write_config(base, strip_accents=False)
    command = [sys.executable, "-P", "-X", "importtime", "-m", "compress.models.auto_tokenizer", str(base), "pairs"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert Wrong(*json.loads(done.stdout)) == compared(base, pairs=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "transformers.tokenization_utils_base" in imported
    assert not {"torch", "torch._C"} & imported


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("import time; time.sleep(60)", "the tokenizer takes longer than 1 s for a few texts"),
        ("import os; os.abort()", "the tokenizer ends its process on a few texts (exit code -6: no message)"),
    ],
)
def test_a_tokenizer_that_never_ends_or_crashes_is_one_error(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, what: str
) -> None:
    (tmp_path / "trial.py").write_text(code)
    monkeypatch.undo()
    monkeypatch.setattr(tokenizer_trial, "TRIAL_SECONDS", 0.6 if "longer" in what else 60)
    monkeypatch.setattr(tokenizer_trial, "COMMAND", (str(tmp_path / "trial.py"),))
    found = tokenizer_trial.ask_auto_tokenizer(base, pairs=False)
    assert found is not None
    assert found.what == what
