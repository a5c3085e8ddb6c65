import pytest
import torch

from compress.models.load import load_model
from compress.models.tokenizer import load_tokenizer
from compress.training.neighbours import near_words


@pytest.fixture
def bert(make_model):
    folder = make_model()
    return load_model(folder, "text-classification", labels=("bad", "good")), load_tokenizer(folder)


def test_a_word_gets_the_words_whose_embeddings_are_nearest(bert) -> None:
    model, tokenizer = bert
    table = model.get_input_embeddings().weight
    ids = {word: tokenizer.fast.token_to_id(word) for word in ("good", "music", "town")}
    with torch.no_grad():
        table[ids["music"]] = 3 * table[ids["good"]]
        table[ids["town"]] = table[ids["good"]] + 0.1 * table[ids["town"]]
    found = near_words(model, tokenizer, ["good", "Good", "goodness", "unheard", ".", "a"], 2)
    assert found == {"good": ["music", "town"], "Good": ["Music", "Town"]}


def test_letters_pieces_and_special_tokens_are_no_words(bert) -> None:
    model, tokenizer = bert
    (near,) = near_words(model, tokenizer, ["film"], 10_000).values()
    assert "film" not in near
    assert {"good", "quorum"} <= set(near)
    assert all(word.isalpha() and len(word) > 1 for word in near)
