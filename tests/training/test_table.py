"""The table that a student of n-grams starts from, held against a count by hand."""

import numpy as np
import pytest
import torch

from compress.errors import InputError
from compress.models.ngrams import PLACES, NgramsConfig, NgramsForSequenceClassification
from compress.training.table import START, start_table, token_embeddings

TOKENS, BUCKETS, WIDTH = 30, 40, 4
TEXTS = [[3, 4, 5, 6], [7, 3, 4], [9], [5, 6, 3, 4, 8]]


def started(longest: int, embeddings: torch.Tensor) -> tuple[torch.Tensor, float]:
    """The table of a student, and the share of the squares that it keeps."""
    buckets = BUCKETS if longest > 1 else 0
    sizes = NgramsConfig(vocab_size=TOKENS, buckets=buckets, longest=longest, hidden_size=WIDTH, num_labels=2)
    student = NgramsForSequenceClassification(sizes)
    batches = []
    for texts in (TEXTS[:2], TEXTS[2:]):
        ids, mask = torch.zeros(2, 6, dtype=torch.long), torch.zeros(2, 6, dtype=torch.long)
        for row, text in enumerate(texts):
            ids[row, : len(text)], mask[row, : len(text)] = torch.tensor(text), 1
        batches.append({"input_ids": ids, "attention_mask": mask})
    share = start_table(student, embeddings, batches)
    return student.ngrams.table.weight.detach(), share


def test_tokens_are_the_embeddings_in_the_directions_in_which_the_rows_vary_most() -> None:
    torch.manual_seed(0)
    embeddings = torch.randn(TOKENS, WIDTH) @ torch.randn(WIDTH, 10) + 5  # they lie in as many directions as are kept
    table, share = started(1, embeddings)
    assert table.shape == (TOKENS, WIDTH)
    assert share > 0.9999
    used = torch.tensor([token for text in TEXTS for token in text])
    assert float(table[used].square().mean().sqrt()) == pytest.approx(START, rel=1e-4)
    centred = embeddings - embeddings[used].mean(dim=0)
    factor = (table[3] - table[4]).norm() / (centred[3] - centred[4]).norm()
    torch.testing.assert_close(torch.cdist(table, table), torch.cdist(centred, centred) * factor, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("longest", [2, 3, 4])
def test_a_bucket_is_the_mean_of_its_n_grams_and_one_without_any_is_zero(longest: int) -> None:
    torch.manual_seed(0)
    table, _ = started(longest, torch.randn(TOKENS, 10))
    tokens, buckets = table[:TOKENS], table[TOKENS:]
    by_hand: dict[int, list[torch.Tensor]] = {}
    for text in TEXTS:
        for order in range(2, longest + 1):
            for start in range(len(text) - order + 1):
                gram = text[start : start + order]
                total = sum(factor * token for factor, token in zip(PLACES, gram, strict=False))
                by_hand.setdefault(total % BUCKETS, []).append(tokens[gram].mean(dim=0))
    for number, bucket in enumerate(buckets):
        grams = by_hand.get(number)
        expected = torch.stack(grams).mean(dim=0) if grams else torch.zeros(WIDTH)
        torch.testing.assert_close(bucket, expected, rtol=1e-5, atol=1e-6)
    assert 0 < len(by_hand) < BUCKETS


def test_a_model_without_a_table_of_tokens_is_refused() -> None:
    class Characters(torch.nn.Module):
        def get_input_embeddings(self) -> None:
            raise NotImplementedError

    with pytest.raises(InputError, match="Characters has no table of token embeddings"):
        token_embeddings(Characters(), 5)
    assert np.isfinite(START)
