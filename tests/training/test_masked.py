"""Words from a masked language model, against the model asked one text at a time."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from compress.context import Context
from compress.data.augmentation import MASKED
from compress.errors import InputError
from compress.models.tokenizer import copy_tokenizer, load_tokenizer
from compress.store.artifacts import Artifact
from compress.training.config import DistillationConfig
from compress.training.masked import MaskedWords
from compress.training.objective import Objective
from compress.training.teacher import _lesson


@pytest.fixture
def masked_model(make_model: Callable[..., Path], tmp_path: Path) -> Artifact:
    folder = make_model()
    torch.manual_seed(3)
    model = transformers.AutoModelForMaskedLM.from_config(transformers.AutoConfig.from_pretrained(folder))
    with torch.no_grad():
        model.cls.predictions.bias.normal_()  # so that places differ in what they expect
    model.save_pretrained(tmp_path / "masked")
    copy_tokenizer(folder, tmp_path / "masked")
    return Artifact(tmp_path / "masked", "9" * 64, "torch")


def test_a_marked_word_gives_way_to_what_the_model_expects_there(
    context: Context,
    masked_model: Artifact,
) -> None:
    texts = [["the", MASKED + "Film", "was", "good"], ["a", "story"], [MASKED + "people", "said", MASKED + "it"]]
    filled = MaskedWords(masked_model, 16, 1, context).fill(texts, np.random.default_rng(0))
    tokenizer = load_tokenizer(masked_model.path)
    model = transformers.AutoModelForMaskedLM.from_pretrained(masked_model.path)
    for shown, old, places, row in (
        ("the [MASK] was good", ["film"], [1], filled[0]),
        ("[MASK] said [MASK]", ["people", "it"], [0, 2], filled[2]),
    ):
        batch = tokenizer.pad(tokenizer.encode([shown], None, 16))
        with torch.no_grad():
            scores = model(**{name: torch.from_numpy(array) for name, array in batch.items()}).logits[0]
        at = np.flatnonzero(batch["input_ids"][0] == tokenizer.fast.token_to_id("[MASK]"))
        for position, word, place in zip(at, old, places, strict=True):
            ranked = [
                tokenizer.fast.id_to_token(number) for number in scores[position].argsort(descending=True).tolist()
            ]
            best = next(token for token in ranked if token.isalpha() and len(token) > 1 and token != word)
            assert row[place].lower() == best
    assert filled[0][1][0].isupper()
    assert (filled[0][0], filled[0][2:], filled[1]) == ("the", ["was", "good"], ["a", "story"])


def test_what_is_cut_off_keeps_its_words_and_one_is_drawn_from_several(
    context: Context,
    masked_model: Artifact,
) -> None:
    marked = [MASKED + "film"] * 10
    found = [
        MaskedWords(masked_model, 6, 3, context).fill([marked], np.random.default_rng(seed))[0] for seed in (0, 0, 1)
    ]
    assert found[0] == found[1] != found[2]
    assert all("film" not in row[:4] and row[4:] == ["film"] * 6 for row in found)


def test_variants_hold_no_mark_and_depend_on_the_model(
    with_more: Context,
    teacher: Artifact,
    masked_model: Artifact,
) -> None:
    config = DistillationConfig.model_validate(
        {"augment": {"copies": 1, "masked": 1, "swap": 0, "delete": 0, "neighbours": 0}}
    )
    lesson = _lesson([teacher], masked_model, Objective(config), config, with_more)
    rows, new = lesson.rows[:51], lesson.rows[51:]
    changed = [(old.text.split(), one.text.split()) for old, one in zip(rows, new, strict=True)]
    assert all(len(old) == len(one) for old, one in changed)
    counts = [sum(a != b for a, b in zip(old, one, strict=True)) for old, one in changed]
    assert counts == [max(1, round(0.15 * len(old))) for old, _ in changed]
    assert not any(MASKED in row.text for row in new)


def test_a_model_without_the_head_or_the_token_is_refused(
    context: Context,
    make_model: Callable[..., Path],
    masked_model: Artifact,
) -> None:
    with pytest.raises(InputError, match=r"the weights lack cls\..*they would be random"):
        MaskedWords(Artifact(make_model(), "8" * 64, "torch"), 16, 3, context)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        path = masked_model.path / name
        path.write_text(path.read_text().replace("[MASK]", "[MUSK]").replace("mask_token", "musk_token"))
    with pytest.raises(InputError, match="the tokenizer has no token for a masked word"):
        MaskedWords(masked_model, 16, 3, context)
