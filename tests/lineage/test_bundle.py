"""What a card says of several graphs, and how it tells transformers.js to cut."""

import json
import shutil

import pytest

from compress.facts import Bundle
from compress.lineage.adapted import adapt
from compress.lineage.bundle import bundle_section
from compress.lineage.card import model_card

from .lineages import lineage_of


@pytest.fixture
def bundle(chain, make_model, reviews, tmp_path):
    """Lineage and folder."""
    shutil.copytree(chain.artifacts["bundled"].path, tmp_path, dirs_exist_ok=True)
    return lineage_of(chain, make_model, reviews, "bundled")[1], tmp_path


def section(lineage, folder, **changes):
    return "\n".join(bundle_section(Bundle.read({**lineage.final.facts, **changes}), lineage.data, folder))


def test_one_graph_alone_has_no_section(chain, make_model, reviews):
    lineage = lineage_of(chain, make_model, reviews)[1]
    assert Bundle.read(lineage.final.facts) is None
    assert "optimum" not in model_card(lineage, chain.artifacts["int8"].path, [])


def test_each_graph_is_told_with_its_gate_and_what_is_left_out_with_its_reason(bundle):
    lineage, folder = bundle
    adapt(folder, lineage)
    text = section(lineage, folder, left_out={"q4": "quantization collapsed: 51% of 16 rows"})
    size = (folder / "onnx/model_quantized.onnx").stat().st_size / 1e6
    assert f"| int8 (the one measured) | `onnx/model_quantized.onnx` | {size:.2f} | `q8` | 100.0% of 16 |" in text
    assert "| fp32 | `onnx/model.onnx` |" in text
    assert "Left out: q4, since quantization collapsed: 51% of 16 rows." in text
    assert section(lineage, folder) in model_card(lineage, folder, [])
    assert 'folder / "onnx/model_quantized.onnx"' in model_card(lineage, folder, [])


@pytest.mark.parametrize(("side", "place"), [("right", 31), ("left", 1)])
def test_javascript_cuts_where_the_tokenizer_does_and_keeps_special_tokens(bundle, side, place):
    lineage, folder = bundle
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "truncation_side": side}))
    adapt(folder, lineage)
    assert f"ids.splice({place}, ids.length - 32);" in section(lineage, folder)


def test_pairs_are_not_cut_so_and_that_is_said(bundle):
    lineage, folder = bundle
    data = lineage.data.model_copy(update={"columns": {"text": "a", "text_pair": "b"}})
    text = "\n".join(bundle_section(Bundle.read(lineage.final.facts), data, folder))
    assert "```js" not in text
    assert "answers of long pairs may differ" in text
    assert '[{"text": "a text", "text_pair": "its second text"}]' in text
