"""Replacement words from a masked language model: section 3.3 of TinyBERT (arXiv:1909.10351).

The words to replace are marked by `MASKED`. The model reads the text with its mask token in their place.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from compress.context import Context
from compress.data.augmentation import MASKED
from compress.errors import InputError
from compress.files.whole import read_object
from compress.models.inputs import input_names
from compress.models.load import load_model
from compress.models.tokenizer import Tokenizer, load_tokenizer
from compress.store.artifacts import Artifact
from compress.training.neighbours import whole_words

BATCH = 8
"""Number of texts in one call: their scores for all tokens, 8 x 128 x 30,000, take 120 MB."""


class MaskedWords:
    """A masked language model that replaces words of texts.

    Args:
        model: a model with its head for masked words.
        length: number of tokens kept of each text.
        count: a word is drawn from so many of the likeliest ones.

    Raises:
        InputError: the tokenizer has no mask token.
    """

    def __init__(self, model: Artifact, length: int, count: int, context: Context) -> None:
        self.tokenizer = load_tokenizer(model.path)
        self.mask, self.mask_id = _mask_token(model.path, self.tokenizer)
        self.words = whole_words(self.tokenizer)  # token id -> word
        self.ids = torch.tensor(sorted(self.words))
        self.length, self.count, self.device = length, min(count, len(self.words) - 1), context.device
        network = load_model(model.path, "fill-mask", trust_remote_code=context.trust_remote_code)
        self.network = network.to(context.device)
        self.accepted = input_names(network)

    def fill(self, texts: Sequence[list[str]], random: np.random.Generator) -> list[list[str]]:
        """The texts with other words in the place of the marked ones; beyond `length` the old words stay."""
        filled = [[word.removeprefix(MASKED) if _is_masked(word) else word for word in words] for words in texts]
        marked = [index for index, words in enumerate(texts) if any(map(_is_masked, words))]
        for start in range(0, len(marked), BATCH):
            indices = marked[start : start + BATCH]
            candidates = self._likely([texts[index] for index in indices])
            for index, row_candidates in zip(indices, candidates, strict=True):
                places = [place for place, word in enumerate(texts[index]) if _is_masked(word)]
                for place, words in zip(places, row_candidates, strict=False):  # fewer candidates, if the text was cut
                    old = filled[index][place]
                    others = [word for word in words if word.lower() != old.lower()][: self.count]
                    new = str(random.choice(others))
                    filled[index][place] = new[0].upper() + new[1:] if old[0].isupper() else new
        return filled

    def _likely(self, texts: Sequence[list[str]]) -> list[list[list[str]]]:
        """For each text and each of its masked places within `length`: the likeliest words, the likeliest first."""
        masked_texts = [" ".join(self.mask if _is_masked(word) else word for word in words) for words in texts]
        batch = self.tokenizer.pad(self.tokenizer.encode(masked_texts, None, self.length))
        inputs = {
            name: torch.from_numpy(array).to(self.device) for name, array in batch.items() if name in self.accepted
        }
        with torch.inference_mode():
            scores = self.network(**inputs).logits  # (batch, tokens, vocabulary)
        candidates = []
        for row, ids in enumerate(batch["input_ids"]):
            places = np.flatnonzero(ids == self.mask_id)
            best = scores[row, places][:, self.ids].topk(self.count + 1, dim=-1).indices.cpu()  # (masked, count + 1)
            candidates.append([[self.words[int(self.ids[rank])] for rank in ranks] for ranks in best])
        return candidates


def _is_masked(word: str) -> bool:
    """Whether a word is marked to be replaced."""
    return len(word) > 1 and word.startswith(MASKED)


def _mask_token(folder: Path, tokenizer: Tokenizer) -> tuple[str, int]:
    """A tokenizer's mask token, and its id."""
    config = folder / "tokenizer_config.json"
    setting = read_object(config).get("mask_token") if config.is_file() else None
    name = setting.get("content") if isinstance(setting, dict) else setting
    for candidate in (name, "[MASK]", "<mask>"):
        if isinstance(candidate, str) and (number := tokenizer.fast.token_to_id(candidate)) is not None:
            return candidate, number
    raise InputError("the tokenizer has no token for a masked word", where=str(folder), fix="take another masked_model")
