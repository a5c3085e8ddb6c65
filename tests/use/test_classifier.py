"""`compress.Classifier`: what it says of texts, whatever they come in, and what it refuses."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import compress
from compress.errors import InputError
from compress.models.load import load_model
from compress.models.tokenizer import load_tokenizer
from compress.use.classifier import Classifier, Prediction
from tests.classifiers import MAX_LENGTH, TEXTS

ALONE = """
import sys
from importlib.abc import MetaPathFinder

class Nothing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in {"compress", "onnxruntime", "tokenizers", "numpy", *sys.stdlib_module_names}:
            raise ModuleNotFoundError(f"{name} is not installed here", name=name)

sys.meta_path.insert(0, Nothing())
import compress
import json
classifier = compress.Classifier(sys.argv[1])
answers = classifier(json.loads(sys.argv[2]))
foreign = {"torch", "transformers", "onnx", "pydantic"} & set(sys.modules)
print(json.dumps([sorted(foreign), [[answer.label, answer.probability] for answer in answers]]))
"""


@pytest.fixture(scope="module")
def classifier(onnx_folder: Path) -> Classifier:
    return Classifier(onnx_folder, threads=1)


def by_hand(folder: Path, texts: Any, pairs: Any = None, max_length: int = 256) -> np.ndarray:
    """Probabilities of plain torch, one text after the other."""
    model = load_model(folder, "text-classification")
    rows = load_tokenizer(folder).encode(texts, pairs, max_length)
    with torch.no_grad():
        logits = [model(**{name: torch.tensor([ids]) for name, ids in row.items()}).logits[0] for row in rows]
    return torch.softmax(torch.stack(logits).double(), dim=-1).numpy()


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_probabilities_are_torchs_in_the_order_of_the_texts_in_any_batch(
    onnx_folder: Path, torch_folder: Path, batch_size: int
) -> None:
    texts = [*TEXTS, *TEXTS[::-1], *TEXTS[1:]]
    found = Classifier(onnx_folder, threads=1, batch_size=batch_size).predict_proba(texts)
    np.testing.assert_allclose(found, by_hand(torch_folder, texts), atol=1e-6)


def test_a_torch_folder_says_the_same(torch_folder: Path, classifier: Classifier) -> None:
    found = Classifier(torch_folder)
    assert found.labels == classifier.labels == ("bad", "good")
    np.testing.assert_allclose(found.predict_proba(TEXTS), classifier.predict_proba(TEXTS), atol=1e-5)


def test_one_text_gives_one_answer_and_several_a_list(classifier: Classifier) -> None:
    probabilities = classifier.predict_proba(TEXTS)
    best = [Prediction(("bad", "good")[row.argmax()], row.max()) for row in probabilities]
    assert {answer.label for answer in best} == {"bad", "good"}, "the texts must tell the labels apart"
    for several in (list(TEXTS), (text for text in TEXTS), np.array(TEXTS)):
        found = classifier(several)
        assert [answer.label for answer in found] == [answer.label for answer in best]
        assert [answer.probability for answer in found] == pytest.approx([answer.probability for answer in best])
    alone = classifier(TEXTS[0])
    assert (alone.label, alone.probability) == (best[0].label, pytest.approx(best[0].probability))
    assert classifier([]) == []
    assert classifier.predict_proba([]).shape == (0, 2)


def test_more_texts_than_a_window_keep_their_order(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = classifier.predict_proba(TEXTS * 3)
    monkeypatch.setattr("compress.use.classifier.WINDOW", 3)
    small = Classifier(classifier.folder, threads=1, batch_size=2)
    done: list[int] = []
    np.testing.assert_allclose(small.predict_proba(TEXTS * 3, done.append), whole, atol=1e-6)
    assert done == [2, 4, 6, 8, 10, 12]


def test_a_graph_may_stand_where_transformers_js_looks(
    classifier: Classifier, onnx_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(onnx_folder, tmp_path / "model")
    (folder / "onnx").mkdir()
    (folder / "model.onnx").rename(folder / "onnx" / "model.onnx")
    np.testing.assert_allclose(
        Classifier(folder, threads=1).predict_proba(TEXTS), classifier.predict_proba(TEXTS), atol=1e-6
    )


def test_pairs_are_encoded_as_pairs(classifier: Classifier, torch_folder: Path) -> None:
    pairs = [(TEXTS[0], TEXTS[1]), (TEXTS[2], ""), (TEXTS[1], TEXTS[0])]
    expected = by_hand(torch_folder, [first for first, _ in pairs], [second for _, second in pairs])
    np.testing.assert_allclose(classifier.predict_proba(pairs), expected, atol=1e-6)
    assert classifier(pairs[0]).probability == pytest.approx(expected[0].max(), abs=1e-6)
    assert classifier.pairs is None


def test_texts_are_cut_where_the_run_measured(run_folder: Any, torch_folder: Path) -> None:
    run = run_folder()
    for folder in (run, run / "final", run / "steps" / "onnx"):
        found = Classifier(folder, threads=1)
        assert (found.max_length, found.pairs) == (MAX_LENGTH, False)
        np.testing.assert_allclose(
            found.predict_proba(TEXTS), by_hand(torch_folder, TEXTS, max_length=MAX_LENGTH), atol=1e-6
        )
    assert Classifier(run, max_length=5).predict_proba(TEXTS) == pytest.approx(
        by_hand(torch_folder, TEXTS, max_length=5), abs=1e-6
    )


def test_a_run_that_read_no_rows_says_nothing_of_texts(run_folder: Any) -> None:
    run = run_folder()
    path = run / "final" / "lineage.json"
    path.write_text(path.read_text().replace('"max_length"', '"train_rows": 0, "test_rows": 0, "max_length"'))
    found = Classifier(run, threads=1)
    assert (found.max_length, found.pairs) == (256, None)


def test_without_a_run_the_tokenizers_files_say_the_length(onnx_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(onnx_folder, tmp_path / "model")
    settings, tokenizer = folder / "tokenizer_config.json", folder / "tokenizer.json"
    said, own = json.loads(settings.read_text()), json.loads(tokenizer.read_text())
    for told, cut, expected in ((20, None, 20), (10**30, None, 256), (10**30, 24, 256), (20, 24, 20), (900, None, 256)):
        settings.write_text(json.dumps({**said, "model_max_length": told}))
        truncation = cut and {"max_length": cut, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
        tokenizer.write_text(json.dumps({**own, "truncation": truncation}))
        assert Classifier(folder, threads=1).max_length == expected


def test_it_needs_onnxruntime_tokenizers_and_numpy_alone(onnx_folder: Path, classifier: Classifier) -> None:
    command = [sys.executable, "-c", ALONE, str(onnx_folder), json.dumps(TEXTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    foreign, answers = json.loads(done.stdout)
    assert foreign == []
    assert answers == [
        [answer.label, pytest.approx(answer.probability, abs=1e-6)] for answer in classifier(list(TEXTS))
    ]


def test_threads_may_call_it_at_once(classifier: Classifier) -> None:
    expected = classifier.predict_proba(TEXTS)
    with ThreadPoolExecutor(8) as threads:
        for found in threads.map(lambda _: classifier.predict_proba(TEXTS), range(64)):
            np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (5, "not iterable"),
        ([1, "a"], "item 1 is 1, which is no text"),
        (["a", None], "item 2 is None, which is no text"),
        (["a", float("nan")], "item 2 is nan"),
        ([("a", "b", "c")], "item 1 is ('a', 'b', 'c'), which is no text"),
        ([["a", "b"]], "item 1 is ['a', 'b'], which is no text"),
        (["a", ("a", "b")], "1 of 2 items are pairs"),
    ],
)
def test_what_is_no_text_is_told(classifier: Classifier, texts: Any, told: str) -> None:
    with pytest.raises((InputError, TypeError)) as caught:
        classifier(texts)
    assert told in str(caught.value)


def test_pairs_for_a_model_of_single_texts_and_the_reverse_are_refused(run_folder: Any) -> None:
    run = run_folder()
    with pytest.raises(InputError, match="made for single texts"):
        Classifier(run)([("a", "b")])
    path = run / "final" / "lineage.json"
    path.write_text(path.read_text().replace('"text": "review"', '"text": "review", "text_pair": "reply"'))
    found = Classifier(run)
    assert found.pairs is True
    assert found(("a", "b")).label in found.labels
    with pytest.raises(InputError, match="made for pairs of texts"):
        found("a")


def changed(folder: Path, out: Path, **config: Any) -> Path:
    shutil.copytree(folder, out)
    said = json.loads((out / "config.json").read_text())
    kept = {name: value for name, value in {**said, **config}.items() if value is not None}
    (out / "config.json").write_text(json.dumps(kept))
    return out


def test_a_config_without_labels_gets_those_of_transformers(onnx_folder: Path, tmp_path: Path) -> None:
    folder = changed(onnx_folder, tmp_path / "model", id2label=None, label2id=None)
    assert Classifier(folder, threads=1).labels == ("LABEL_0", "LABEL_1")


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"id2label": {"0": "a", "1": "b", "2": "c"}}, "the model gives 2 numbers a text; config.json names 3 labels"),
        ({"problem_type": "multi_label_classification"}, "does not choose one label for each text"),
        ({"problem_type": "regression"}, "does not choose one label for each text"),
    ],
)
def test_what_does_not_choose_one_label_is_refused(
    onnx_folder: Path, tmp_path: Path, config: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        Classifier(changed(onnx_folder, tmp_path / "model", **config), threads=1)


def test_a_folder_without_a_head_or_a_model_is_refused(make_model: Any, tmp_path: Path, onnx_folder: Path) -> None:
    with pytest.raises(InputError, match=r"classifier|weights"):
        Classifier(make_model())
    with pytest.raises(InputError, match="does not exist"):
        Classifier(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"has no config\.json"):
        Classifier(tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        Classifier(onnx_folder / "model.onnx")
    without = shutil.copytree(onnx_folder, tmp_path / "model")
    (without / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        Classifier(without)


@pytest.mark.parametrize("wrong", [{"max_length": 257}, {"max_length": 0}, {"batch_size": 0}, {"threads": -1}])
def test_settings_that_cannot_be_are_refused(onnx_folder: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        Classifier(onnx_folder, **wrong)  # type: ignore[arg-type]


def test_the_package_names_it_and_nothing_else() -> None:
    assert compress.Classifier is Classifier
    with pytest.raises(AttributeError, match="no attribute 'Klassifier'"):
        compress.Klassifier  # noqa: B018
