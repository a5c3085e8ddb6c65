"""Models with fewer tokens say the same of texts that are made of them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import compress
from compress.errors import CompressError, InputError
from compress.models.load import load_model, save_model
from compress.models.tokenizer import copy_tokenizer, load_tokenizer
from compress.planning.plan import Plan
from compress.recipe.schema import Target
from compress.runtimes import load
from compress.stages import export_onnx, trim_vocabulary
from compress.store.artifacts import Artifact
from tests.chain import Chain, context_of
from tests.conftest import FILLER, UNUSED

TASK = "text-classification"
FAMILIES = ("bert", "roberta", "distilbert", "electra", "albert", "modernbert", "deberta-v2", "mpnet")


@pytest.fixture
def classifier(make_model: Callable[..., Path], tmp_path: Path) -> Callable[[str], Artifact]:
    def make(family: str) -> Artifact:
        torch.manual_seed(3)
        folder = tmp_path / family
        save_model(load_model(make_model(family), TASK, labels=("bad", "good")), folder)
        copy_tokenizer(make_model(family), folder)
        return Artifact(folder, "a" * 64, "torch")

    return make


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_of_kept_tokens_give_the_same_logits(
    family: str, classifier: Callable[[str], Artifact], chain: Chain, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    model = classifier(family)
    facts = trim_vocabulary.run(
        model=model, config=trim_vocabulary.Config(min_count=20), context=context_of(chain, tmp_path), out=out
    ).manifest_facts()
    assert facts["tokens_after"] < facts["tokens_before"] - 5
    assert 0 < facts["validation_split_differently"] < 1
    words = [word for word in load_tokenizer(out).fast.get_vocab() if word in FILLER]
    assert len(words) > 3
    texts = [" ".join(words), " ".join(words[::-2]), f"xyz {words[0]} q"]
    logits = []
    for folder in (model.path, out):
        tokenizer = load_tokenizer(folder)
        batch = tokenizer.pad(tokenizer.encode(texts, None, 32))
        logits.append(load(folder, Target(runtime="torch"), TASK)(batch))
    np.testing.assert_allclose(logits[1], logits[0], atol=1e-6)
    assert compress.load(out).get_input_embeddings().num_embeddings == facts["tokens_after"]
    assert json.loads((out / "config.json").read_text())["vocab_size"] == facts["tokens_after"]


def test_only_the_table_shrinks_and_it_exports(chain: Chain, tmp_path: Path) -> None:
    trimmed = chain.artifacts["trimmed"]
    before, after = (load_model(chain.artifacts[name].path, TASK) for name in ("teacher", "trimmed"))
    lost = trimmed.facts["tokens_before"] - trimmed.facts["tokens_after"]
    assert sum(map(torch.numel, before.parameters())) - sum(map(torch.numel, after.parameters())) == lost * 32
    assert lost == len(UNUSED)
    assert trimmed.facts["validation_split_differently"] == 0
    out = tmp_path / "onnx"
    out.mkdir()
    config = export_onnx.Config()
    facts = export_onnx.run(model=trimmed, config=config, context=context_of(chain, tmp_path), out=out)
    assert facts["fused"]["Attention"] == 2


def test_transformers_own_tokenizer_reads_it_alike(chain: Chain) -> None:
    from transformers import AutoTokenizer

    folder = chain.artifacts["trimmed"].path
    text = "a good film about people, qua!"
    theirs = AutoTokenizer.from_pretrained(folder)(text)["input_ids"]
    assert theirs == load_tokenizer(folder).encode([text], None, 64)[0]["input_ids"]


def test_words_that_were_dropped_are_spelled(chain: Chain) -> None:
    fast = load_tokenizer(chain.artifacts["trimmed"].path).fast
    assert fast.encode("good zebra", add_special_tokens=False).tokens == ["good", "z", "##e", "##b", "##r", "##a"]


def test_a_model_that_uses_ids_otherwise_is_refused(
    classifier: Callable[[str], Artifact], chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(network: object, kept: list[int]) -> object:
        found = keep(network, kept)
        with torch.no_grad():
            found.get_input_embeddings().weight.zero_()
        return found

    keep = trim_vocabulary.keep_tokens
    monkeypatch.setattr(trim_vocabulary, "keep_tokens", wrong)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(CompressError, match="with fewer tokens the model's outputs differ by"):
        trim_vocabulary.run(
            model=classifier("bert"),
            config=trim_vocabulary.Config(),
            context=context_of(chain, tmp_path),
            out=out,
        )


def test_a_tokenizer_that_cannot_be_trimmed_is_refused_in_the_plan(
    plan: Callable[..., Plan], make_model: Callable[..., Path], tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "words"
    shutil.copytree(make_model(), folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"] = {"type": "WordLevel", "vocab": content["model"]["vocab"], "unk_token": "[UNK]"}
    (folder / "tokenizer.json").write_text(json.dumps(content))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # which takes the file as it is
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    teacher = f"{{name: teacher, stage: finetune, model: {folder}}}"
    student = "{name: student, stage: distill, layers: 1}"
    with pytest.raises(
        InputError, match="step 'small': tokens cannot be taken out of a 'WordLevel' tokenizer"
    ) as caught:
        plan(teacher, student, "{name: small, stage: trim_vocabulary}")
    assert caught.value.where == f"{tmp_path / 'recipe.yaml'}:6"
    other = f"{{name: student, stage: distill, student: {make_model()}}}"
    assert plan(teacher, other, "{name: small, stage: trim_vocabulary}").step("small").shape is not None


def test_pairs_of_texts_are_counted_too(chain: Chain, tmp_path: Path, classifier: Callable[[str], Artifact]) -> None:
    task = chain.plan.task
    rows = [replace(row, text_pair="poor music") for row in task.train]  # type: ignore[type-var]
    context = replace(context_of(chain, tmp_path), task=replace(task, train=rows))  # type: ignore[type-var]
    out = tmp_path / "out"
    out.mkdir()
    model = classifier("bert")
    trim_vocabulary.run(model=model, config=trim_vocabulary.Config(min_count=40), context=context, out=out)
    assert load_tokenizer(out).fast.encode("poor", add_special_tokens=False).tokens == ["poor"]


def test_the_report_says_how_the_test_rows_split(chain: Chain) -> None:
    from compress.running.report import _trimmed

    task = chain.plan.task
    rows = [replace(task.train[0], text="good zebra"), replace(task.train[0], text="the quorum")]
    tested = replace(chain.plan, task=replace(task, test=rows))  # type: ignore[type-var]
    facts = chain.artifacts["trimmed"].facts
    assert _trimmed(tested, chain.artifacts) == [
        f"trimmed keeps {facts['tokens_after']} of {facts['tokens_before']} tokens; "
        "50.00% of the test rows' tokens split differently"
    ]


def test_words_that_no_row_has_are_kept_where_there_is_room(
    classifier: Callable[[str], Artifact], chain: Chain, tmp_path: Path
) -> None:
    kept = []
    for count in (1, 30, 1000):
        out = tmp_path / str(count)
        out.mkdir()
        config = trim_vocabulary.Config(at_least=count)
        trim_vocabulary.run(model=classifier("bert"), config=config, context=context_of(chain, tmp_path), out=out)
        vocabulary = load_tokenizer(out).fast.get_vocab()
        assert set(FILLER) <= vocabulary.keys()
        kept.append({word for word in UNUSED if word in vocabulary})
    assert kept[0] == set()
    assert kept[2] == set(UNUSED)
