"""Models as people have them are loaded as plain transformers does, or refused with the reason."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.faults.tiny_models import Weights, edit_config, edit_weights, plain_logits, write_bytes_tokenizer
from compress.errors import InputError
from compress.models.architectures import positions_of
from compress.models.config_file import check_single_label, read_config
from compress.models.folder import check_weights
from compress.models.load import load_model
from compress.models.plain import check_same_as_plain
from compress.models.tokenizer import load_tokenizer
from compress.planning.outside import check_vocabulary

TEXTS = ("good", "the awful film was a dull story about people in town", "a superb story with some music !")
TASK = "text-classification"


@pytest.fixture
def copy(family: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """A copy of a model that may be changed: `copy("bert", head=True)`."""

    def make(name: str, **settings: Any) -> Path:
        return Path(shutil.copytree(family(name, **settings), tmp_path / "model"))

    return make


def logits(folder: Path, **options: Any) -> Any:
    tokenizer, model = load_tokenizer(folder), load_model(folder, TASK, **options)
    batch = tokenizer.pad(tokenizer.encode(TEXTS, None, 32))
    with torch.inference_mode():
        return model(**{name: torch.from_numpy(array) for name, array in batch.items()}).logits.numpy()


@pytest.mark.parametrize("name", ["gpt2", "albert", "bart", pytest.param("deberta-v2", marks=pytest.mark.slow)])
@pytest.mark.parametrize("head", [True, False])
def test_what_is_loaded_says_what_plain_transformers_says(name: str, head: bool, family: Callable[..., Path]) -> None:
    labels = None if head else ("a", "b", "c")
    assert check_same_as_plain(family(name, head=head), TASK, TEXTS, None, 16, labels=labels) is None


def test_pairs_are_compared_as_pairs(family: Callable[..., Path]) -> None:
    for name in ("bert", "electra"):
        assert check_same_as_plain(family(name, head=True), TASK, TEXTS, TEXTS[::-1], 16) is None


def test_another_answer_than_plain_transformers_is_refused(copy: Callable[..., Path], monkeypatch: Any) -> None:
    folder = copy("bert", head=True)
    monkeypatch.setattr("compress.models.plain.load_model", lambda *_, **__: load_model(other, TASK))
    other = Path(shutil.copytree(folder, folder.with_name("other")))
    edit_weights(other, lambda weights: weights | {"classifier.bias": weights["classifier.bias"] + 0.1})
    with pytest.raises(InputError, match=r"does not say here what it says in plain transformers: a logit is off by \d"):
        check_same_as_plain(folder, TASK, TEXTS, None, 16)


def test_other_ids_than_autotokenizer_are_refused(copy: Callable[..., Path]) -> None:
    folder = copy("bert", head=True)
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    content["model"]["vocab"] |= {"good": content["model"]["vocab"]["bad"], "bad": content["model"]["vocab"]["good"]}
    swapped = folder.with_name("swapped")
    shutil.copytree(folder, swapped)
    with pytest.MonkeyPatch.context() as patch:
        (swapped / "tokenizer.json").write_text(json.dumps(content))
        patch.setattr("compress.models.plain.load_tokenizer", lambda _: load_tokenizer(swapped))
        with pytest.raises(InputError, match=r"of 'good', tokenizer.json makes the ids \[.*\], and AutoTokenizer \["):
            check_same_as_plain(folder, TASK, TEXTS, None, 16)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fnet", r"depends on how far it is padded: a logit is off by \d+"),
        (
            "nystromformer",
            r"NystromformerForSequenceClassification fails in plain transformers on a text of \d+ tokens",
        ),
    ],
)
def test_models_that_answer_by_the_padding_are_refused(name: str, reason: str, family: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=reason):
        check_same_as_plain(family(name, head=True), TASK, TEXTS, None, 16)


def renamed(old: str, new: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name.replace(old, new): value for name, value in weights.items()}


def plus(name: str, *size: int) -> Callable[[Weights], Weights]:
    return lambda weights: weights | {name: torch.ones(*size)}


def without(part: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name: value for name, value in weights.items() if part not in name}


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("bert", renamed("LayerNorm.weight", "LayerNorm.gamma")),
        ("bert", renamed("bert.", "")),
        ("bert", plus("bert.embeddings.position_ids", 1, 128)),
        ("bert", plus("cls.predictions.bias", 85)),
        ("roberta", plus("roberta.pooler.dense.weight", 32, 32)),
        ("gpt2", plus("transformer.h.0.attn.masked_bias", 1)),
        ("gpt2", plus("lm_head.weight", 5, 32)),
        ("t5", without("encoder.embed_tokens")),
    ],
)
def test_older_names_and_what_pretraining_leaves_change_no_answer(
    name: str, edit: Callable[[Weights], Weights], copy: Callable[..., Path], family: Callable[..., Path]
) -> None:
    folder = edit_weights(copy(name, head=True), edit)
    np.testing.assert_allclose(logits_of(folder), plain_logits(family(name, head=True), TEXTS), rtol=1e-3, atol=1e-5)
    assert check_same_as_plain(folder, TASK, TEXTS, None, 16) is None


def logits_of(folder: Path) -> Any:
    from compress.runtimes.torch import predictor

    model, tokenizer = load_model(folder, TASK), load_tokenizer(folder)
    return predictor(model, model)(tokenizer.pad(tokenizer.encode(TEXTS, None, 32)))


LAYER = "bert.encoder.layer.0."


@pytest.mark.parametrize("labels", [None, ("bad", "good")])
@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (
            plus(f"{LAYER}attention.self.distance_embedding.weight", 9, 8),
            r"hold .*distance_embedding.*: it would be another",
        ),
        (plus("encoder.layer.7.output.dense.weight", 32, 64), r"hold encoder.layer.7.*: it would be another model"),
        (
            plus(f"{LAYER}attention.self.query.lora_A.weight", 4, 32),
            r"hold .*lora_A.weight.*: it would be another model",
        ),
        (without("layer.1."), r"lack bert.encoder.layer.1.* and 13 more, which .* needs: they would be random"),
        (renamed("bert.", "module.bert."), r"lack bert.*; the file has module.bert.embeddings.LayerNorm.bias.* not"),
        (
            plus(f"{LAYER}output.dense.weight", 32, 48),
            r"output.dense.weight is 32 x 48 in the file, and 32 x 64 by config",
        ),
    ],
)
def test_weights_of_another_model_are_refused_by_their_names(
    edit: Callable[[Weights], Weights], reason: str, labels: tuple[str, ...] | None, copy: Callable[..., Path]
) -> None:
    folder = edit_weights(copy("bert", head=True), edit)
    with pytest.raises(InputError, match=reason):
        load_model(folder, TASK, labels=labels)


def test_a_head_of_other_size_is_refused_or_made_anew(copy: Callable[..., Path]) -> None:
    folder = edit_weights(copy("bert", head=True), plus("classifier.weight", 3, 32))
    with pytest.raises(InputError, match=r"classifier.weight is 3 x 32 in the file, and 2 x 32 by config.json"):
        load_model(folder, TASK)
    assert load_model(folder, TASK, labels=("a", "b")).classifier.weight.std() < 0.1  # of ones there would be none


def test_a_head_that_nothing_reads_is_told(copy: Callable[..., Path]) -> None:
    folder = edit_weights(copy("bert", head=True), plus("topics.weight", 7, 32))
    remark = check_same_as_plain(folder, TASK, TEXTS, None, 16)
    assert remark == "the model's file holds topics.weight, which nothing reads: a head that is left out"


@pytest.mark.parametrize("name", ["bert", "roberta", "gpt2", "t5", "xlnet", "electra"])
def test_a_head_that_knows_the_labels_is_put_in_their_order(name: str, family: Callable[..., Path]) -> None:
    folder = family(name, head=True, labels=("one", "two", "three"))
    model, tokenizer = load_model(folder, TASK, labels=("one", "three", "two")), load_tokenizer(folder)
    from compress.runtimes.torch import predictor

    said = predictor(model, model)(tokenizer.pad(tokenizer.encode(TEXTS, None, 32)))
    np.testing.assert_allclose(said, plain_logits(folder, TEXTS)[:, [0, 2, 1]], rtol=1e-3, atol=1e-5)
    assert model.config.id2label == {0: "one", 1: "three", 2: "two"}
    assert check_same_as_plain(folder, TASK, TEXTS, None, 16, labels=("one", "three", "two")) is None


@pytest.mark.parametrize(
    "settings", [{"problem_type": "multi_label_classification"}, {"problem_type": "regression"}, {"labels": ("x",)}]
)
def test_a_new_head_chooses_one_label(settings: dict[str, Any], family: Callable[..., Path], tmp_path: Path) -> None:
    model = load_model(family("bert", head=True, **settings), TASK, labels=("bad", "good"))
    model.save_pretrained(tmp_path)
    assert read_config(tmp_path)["problem_type"] == "single_label_classification"
    loss = model(input_ids=torch.tensor([[5, 6]]), labels=torch.tensor([1])).loss
    expected = torch.nn.functional.cross_entropy(model(input_ids=torch.tensor([[5, 6]])).logits, torch.tensor([1]))
    torch.testing.assert_close(loss, expected)


def test_a_head_that_does_not_choose_is_refused_where_it_is_used_as_it_is(family: Callable[..., Path]) -> None:
    check_single_label(family("bert", head=True))
    with pytest.raises(InputError, match="made for 'regression', and does not choose one label for each text"):
        check_single_label(family("bert", head=True, problem_type="regression"))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (
            {"position_embedding_type": "relative_key_query"},
            "'relative_key_query', which transformers no longer computes",
        ),
        ({"num_labels": 5}, "num_labels: 5, and id2label has 2 names"),
    ],
)
def test_a_config_that_would_be_another_model_is_refused(
    settings: dict[str, Any], reason: str, copy: Callable[..., Path]
) -> None:
    folder = edit_config(copy("bert", head=True), **settings)
    with pytest.raises(InputError, match=reason):
        read_config(folder)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "bert", "max_position_embeddings": 128}, 128),
        ({"model_type": "roberta", "max_position_embeddings": 514}, 512),
        ({"model_type": "mpnet", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "longformer", "max_position_embeddings": 128, "pad_token_id": 0}, 126),
        ({"model_type": "gpt2", "n_positions": 64}, 64),
        ({"model_type": "mpt", "max_seq_len": 32}, 32),
        ({"model_type": "opt", "max_position_embeddings": 64}, 64),
        ({"model_type": "t5", "n_positions": 512}, None),
        ({"model_type": "xlnet", "max_position_embeddings": 5}, None),
        ({"model_type": "deberta-v2", "max_position_embeddings": 512, "position_biased_input": False}, None),
        ({"model_type": "deberta-v2", "max_position_embeddings": 512}, 512),
        ({"model_type": "bert"}, None),
    ],
)
def test_positions(config: dict[str, Any], expected: int | None) -> None:
    assert positions_of(config) == expected


def test_the_longest_text_that_positions_allow_is_read(family: Callable[..., Path]) -> None:
    for name in ("gpt2", "mpnet", "opt", "bert"):
        folder = family(name, head=True)
        most = positions_of(read_config(folder))
        assert most is not None
        texts = [" ".join(["good film"] * 100), "good"]
        assert check_same_as_plain(folder, TASK, texts, None, most) is None


def test_tokens_without_embeddings_are_refused(copy: Callable[..., Path]) -> None:
    folder = copy("bert", head=True)
    check_vocabulary(folder)
    edit_config(folder, vocab_size=128)
    check_vocabulary(folder)  # a table that is larger does no harm
    edit_config(folder, vocab_size=80)
    with pytest.raises(
        InputError, match=r"tokens beyond the model's table of 80 embeddings, \d+ in all: '##.*' is number 80"
    ):
        check_vocabulary(folder)


def test_weights_are_found_by_their_names(copy: Callable[..., Path]) -> None:
    folder = copy("bert")
    check_weights(folder)
    whole = folder / "model.safetensors"
    shard = whole.rename(folder / "model-00001-of-00002.safetensors")
    with pytest.raises(
        InputError, match=r"is one of 2 shards, and their index, 'model.safetensors.index.json', is missing"
    ):
        check_weights(folder)
    shard.rename(folder / "pytorch_model.safetensors")
    with pytest.raises(
        InputError, match=r"the weights are called 'pytorch_model.safetensors', and not 'model.safetensors'"
    ):
        check_weights(folder)
    (folder / "pytorch_model.safetensors").rename(whole)
    write_bytes_tokenizer(folder)
    check_weights(folder)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_half_floats_are_read_as_the_numbers_that_they_are(kind: str, copy: Callable[..., Path]) -> None:
    folder = edit_config(copy("bert", head=True), dtype=kind)
    edit_weights(folder, lambda weights: {name: value.to(getattr(torch, kind)) for name, value in weights.items()})
    model = load_model(folder, TASK)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    np.testing.assert_allclose(logits(folder), plain_logits(folder, TEXTS), rtol=1e-4, atol=1e-5)
