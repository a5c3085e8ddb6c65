"""XLM-R as it is used: pieces of a Unigram tokenizer, no segments, positions from 2 on, and most tokens never read."""

import copy
import json

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from compress.models.architectures import positions_of
from compress.models.inputs import input_names
from compress.models.vocabulary import trim
from compress.stages.trim_vocabulary import _ids_in_config, keep_tokens
from tests.conftest import BAD, FILLER, GOOD, UNUSED

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
TEXTS = ["a good film about people", "some dull music in town", "it was a story"]
WORDS = [*GOOD, *BAD, *FILLER, *UNUSED, *"abcdefghijklmnopqrstuvwxyz"]


def pieces() -> Tokenizer:
    """A tokenizer like XLM-R's own, in small."""
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=110, special_tokens=SPECIAL, unk_token="<unk>")
    made.train_from_iterator([" ".join(WORDS[start::3]) for start in range(3)] * 20, trainer)
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return made


def test_a_trimmed_model_says_the_same_alone_and_padded() -> None:
    tokenizer = pieces()
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = transformers.XLMRobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=34,
        type_vocab_size=1,
        initializer_range=0.3,
        **sizes,
    )
    model = transformers.XLMRobertaForSequenceClassification(config).eval()
    assert positions_of(config.to_dict()) == 32
    assert "token_type_ids" not in input_names(model)

    encoded = tokenizer.encode_batch(TEXTS)
    used = {number for row in encoded for number in row.ids} | _ids_in_config(model)
    content, kept = trim(json.loads(tokenizer.to_str()), used)
    assert kept[:4] == [0, 1, 2, 3]  # positions are counted from the padding's id
    assert len(kept) < 0.8 * tokenizer.get_vocab_size()
    smaller, trimmed = Tokenizer.from_str(json.dumps(content)), keep_tokens(copy.deepcopy(model), kept)

    length = max(len(row.ids) for row in encoded)
    for text, row in zip(TEXTS, encoded, strict=True):
        ids = smaller.encode(text).ids
        assert [kept[number] for number in ids] == row.ids
        padded = torch.tensor([ids + [1] * (length - len(ids))])
        with torch.no_grad():
            expected = model(input_ids=torch.tensor([row.ids])).logits
            alone = trimmed(input_ids=torch.tensor([ids])).logits
            beside = trimmed(input_ids=padded, attention_mask=(padded != 1).long()).logits
        assert torch.allclose(alone, expected, atol=1e-5)
        assert torch.allclose(beside, expected, atol=1e-5)
