"""What tokenizer files say of lengths: the same to the library, to transformers, and to what measures here."""

import json
import shutil

import pytest
from tokenizers import Tokenizer as FastTokenizer
from transformers import AutoTokenizer

from compress.models.tokenizer import load_tokenizer
from compress.models.tokenizer_lengths import write_length

TEXTS = ["good " * 40 + "bad", "a fine film", "", "unknown é text"]
FIXED = {"strategy": {"Fixed": 128}, "direction": "Left", "pad_id": 7, "pad_type_id": 1, "pad_token": "b"}


@pytest.fixture
def folder(make_model, tmp_path):
    shutil.copytree(make_model(), tmp_path, dirs_exist_ok=True)
    return tmp_path


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("side", ["left", "right"])
def test_all_loaders_cut_and_fill_up_alike(folder, side):
    edit(folder / "tokenizer.json", truncation=None, padding={**FIXED, "pad_to_multiple_of": 8})
    edit(folder / "tokenizer_config.json", truncation_side=side, padding_side="left", max_length=99, model_max_length=5)
    before = load_tokenizer(folder)
    expected = before.pad(before.encode(TEXTS, None, 9))
    assert write_length(folder, 9) == ("tokenizer.json", "tokenizer_config.json")
    own = load_tokenizer(folder)
    assert own.settings.cut_side == side
    assert own.pad(own.encode(TEXTS, None, 9))["input_ids"].tolist() == expected["input_ids"].tolist()
    plain = FastTokenizer.from_file(str(folder / "tokenizer.json")).encode_batch(TEXTS)
    theirs = AutoTokenizer.from_pretrained(folder)(TEXTS, truncation=True, padding=True)
    for name, rows in (
        ("input_ids", [row.ids for row in plain]),
        ("attention_mask", [row.attention_mask for row in plain]),
    ):
        assert rows == theirs[name] == expected[name].tolist()
    assert len(plain[0].ids) == 9
    assert ("bad" in plain[0].tokens) is (side == "left")


def test_nothing_else_is_changed(folder):
    before = {name: json.loads((folder / name).read_text()) for name in ("tokenizer.json", "tokenizer_config.json")}
    wide = (folder / "tokenizer.json").read_text().startswith("{\n")
    write_length(folder, 9)
    after = {name: json.loads((folder / name).read_text()) for name in before}
    changed = {name: {key for key in after[name] if after[name][key] != before[name].get(key)} for name in before}
    assert changed == {
        "tokenizer.json": {"truncation", "padding"},
        "tokenizer_config.json": {"model_max_length", "padding_side", "truncation_side"},
    }
    assert (folder / "tokenizer.json").read_text().startswith("{\n") is wide


def test_a_missing_tokenizer_config_is_written(folder):
    (folder / "tokenizer_config.json").unlink()
    write_length(folder, 9)
    assert len(AutoTokenizer.from_pretrained(folder)(TEXTS[0], truncation=True)["input_ids"]) == 9
