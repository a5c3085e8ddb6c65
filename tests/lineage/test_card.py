"""The model card: what the hub reads of it, whether its code runs, and what text from outside can do to it."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from compress.formats.torch import needs_compress
from compress.lineage.adapted import adapt
from compress.lineage.card import base_models_in, hub_name, model_card
from compress.lineage.final import write_final
from compress.lineage.model import Source
from compress.running.folder import dump_recipe
from tests.report.reports import sample_report

from .lineages import LAST, lineage_of, measured_lineage

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(chain):
    return chain.artifacts[LAST].path


@pytest.fixture
def lineage(chain, make_model, reviews):
    return measured_lineage(chain, make_model, reviews)


def load(text, tmp_path):
    (tmp_path / "README.md").write_text(text)
    return ModelCard.load(tmp_path / "README.md")


def test_the_hub_reads_what_it_is_and_its_figures(lineage, folder, tmp_path):
    card = load(model_card(lineage, folder, ["org/tiny"]), tmp_path)
    data = card.data
    assert (data.library_name, data.pipeline_tag, data.base_model) == ("onnx", "text-classification", ["org/tiny"])
    assert data.tags == ["onnx", "fine-tuned", "distilled", "pruned", "quantized", "model-compression"]
    assert (data.metrics, data.license, data.datasets) == (["accuracy"], None, None)
    (result,) = data.eval_results
    row = next(row for row in sample_report().rows if row.step == LAST)
    assert (result.metric_type, result.metric_value) == ("accuracy", row.quality.value)
    assert (result.task_type, result.dataset_type, result.dataset_name) == (
        "text-classification",
        "custom",
        "train.csv",
    )
    assert result.metric_name == "accuracy on cpu"


def test_the_body_tells_the_figures_with_their_intervals(lineage, folder):
    text = model_card(lineage, folder, [])
    against = lineage.measured.targets[0].final.versus_baseline
    assert f"{-against.drop_pp.value:+z.2f} ({-against.drop_pp.high:+z.2f} to {-against.drop_pp.low:+z.2f})" in text
    assert f"{against.speedup.value:.1f}x ({against.speedup.low:.1f} to {against.speedup.high:.1f})" in text
    assert f"{against.quality_verdict}; {against.speed_verdict}" in text
    assert "AMD EPYC 7763 64-Core Processor, 2 cores" in text
    assert f"Key `{lineage.final.key}`" in text
    assert "compress reproduce . -o recipe.yaml" in text
    assert "This card states no license" in text
    pruned = (
        "`heads: 0.5, ffn: 0.5, recover: {epochs: 8, learning_rate: 0.005, head_learning_rate: 0.005, batch_size: 8}`"
    )
    assert f"| pruned | prune_structured | `model: student, teacher: teacher` | {pruned} |" in text


def test_hub_datasets_are_named_with_split_and_commit(lineage, folder, tmp_path):
    rows = [
        Source(kind="table", said=said, pinned=said.replace("@main", f"@{COMMIT}"), key="k", files={}, places=(place,))
        for said, place in (
            ("hf://org/rows@main?split=train", "task.train"),
            ("hf://org/rows@main?split=test&config=long", "task.test"),
        )
    ]
    card = load(model_card(lineage.model_copy(update={"sources": tuple(rows)}), folder, []), tmp_path)
    assert card.data.datasets == ["org/rows"]
    (result,) = card.data.eval_results
    assert (result.dataset_type, result.dataset_split, result.dataset_config) == ("org/rows", "test", "long")
    assert result.dataset_revision == COMMIT


def test_without_figures_the_card_says_so(chain, make_model, reviews, folder, tmp_path):
    card = load(model_card(lineage_of(chain, make_model, reviews)[1], folder, []), tmp_path)
    assert "Nothing was measured: the recipe has no targets." in card.text
    assert (card.data.eval_results, card.data.metrics, card.data.base_model) == (None, None, None)


@pytest.mark.int8
@pytest.mark.parametrize(
    ("step", "library", "needs"),
    [
        (LAST, "onnx", ["onnxruntime", "tokenizers", "numpy"]),
        ("teacher", "transformers", ["torch", "transformers"]),
        ("nf4", "transformers", ["torch", "transformers", "bitsandbytes", "accelerate"]),
        ("pruned", "compress", ["compress-models", "torch", "transformers"]),
    ],
)
def test_its_code_runs_in_its_folder(
    chain, make_model, reviews, tmp_path, monkeypatch, capsys, step, library, needs
):  # fmt: skip
    assert needs_compress(chain.artifacts[step].path) is (step in {"pruned", LAST})  # an ONNX file holds its shapes
    plan, _ = lineage_of(chain, make_model, reviews, step)
    assert write_final(plan, chain.artifacts, tmp_path, None, dump_recipe(plan))
    folder = tmp_path / "final"
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == library
    (line,) = re.findall(r"It was made with (.*)\.\n", card.text)
    assert [name.partition("==")[0] for name in re.findall(r"`(.*?)`", line)] == needs
    code, shorter = re.findall(r"```python\n(.*?)```", card.text, flags=re.DOTALL)
    monkeypatch.chdir(folder)
    text = "a superb and lovely film", "an awful and dull film"
    capsys.readouterr()
    exec(code.replace('["a text", "another"]', repr(list(text))), {})  # noqa: S102  it is what a user would run
    said = yaml.safe_load(capsys.readouterr().out)
    assert [row["label"] if isinstance(row, dict) else row for row in said] == ["good", "bad"]
    names = {}
    exec(shorter.replace('["a text", "another"]', repr(list(text))), names)  # noqa: S102
    assert [answer.label for answer in names["answers"]] == ["good", "bad"]
    assert names["answer"].label in {"good", "bad"}


@pytest.mark.int8
def test_code_for_pairs_of_texts_gives_pairs(lineage, folder, tmp_path, monkeypatch, capsys):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    adapt(tmp_path, lineage)
    data = lineage.data.model_copy(update={"columns": {"text": "a", "text_pair": "b"}})
    text = model_card(lineage.model_copy(update={"data": data}), folder, [])
    (code, _) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert '("a text", "its second text")' in code
    monkeypatch.chdir(tmp_path)
    exec(code, {})  # noqa: S102
    assert len(yaml.safe_load(capsys.readouterr().out)) == 2


def test_text_from_outside_means_nothing_to_markdown_or_yaml(lineage, folder, tmp_path):
    evil = "x`|<script>alert(1)</script>\n---\nlicense: evil\n[a](http://b)\x1b[31m\u2028\x9b"
    table = lineage.sources[0].model_copy(update={"said": evil, "pinned": f"/data/{evil}"})
    data = lineage.data.model_copy(update={"notes": ("<img src=x>|",)})
    changed = lineage.model_copy(update={"sources": (table, *lineage.sources[1:]), "data": data})
    card = load(model_card(changed, folder, []), tmp_path)
    assert card.data.license is None
    assert "<img" not in card.text
    assert all(char == "\n" or char.isprintable() for char in card.text)
    for line in card.text.splitlines():
        outside = re.sub(r"`[^`]*`", "", line)
        assert "<script" not in outside
        assert "http://b" not in outside
        assert not line.startswith(("license:", "---"))


def test_local_paths_stay_at_home(lineage, folder, reviews):
    text = model_card(lineage, folder, [])
    assert str(reviews.parent) not in text
    assert "train: `train.csv`" in text


@pytest.mark.parametrize(
    ("card", "names"),
    [
        ("---\nbase_model: org/base\n---\n", ["org/base"]),
        ("---\nbase_model: [org/base, gpt2]\n---\n", ["org/base", "gpt2"]),
        ("---\nbase_model: {a: b}\n---\n", []),
        ("---\nbase_model: '../../x y'\n---\n", []),
        ("---\n- a list\n---\n", []),
        ("---\na: [\n---\n", []),
        ("no front matter", []),
        ("\x00\xff", []),
    ],
)
def test_base_models_are_taken_from_a_sources_card_if_it_can_be_read(tmp_path, card, names):
    assert base_models_in(tmp_path) == []
    (tmp_path / "README.md").write_text(card)
    assert base_models_in(tmp_path) == names


def test_a_hub_sources_name_is_parted_from_its_revision():
    assert hub_name(f"hf://org/tiny@{COMMIT}") == "org/tiny"
    assert hub_name("hf://org/rows?split=train") == "org/rows"
    assert hub_name(str(Path("/models/org/tiny"))) is None
