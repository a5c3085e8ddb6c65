"""What a config.json from outside is refused for, before anything is made of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compress.errors import InputError
from compress.formats import format_of
from compress.models.architectures import positions_of, read_shape
from compress.models.config_file import labels_of, read_config
from compress.models.load import load, load_model
from tests.plans import TEACHER, model_like

BERT = {
    "model_type": "bert",
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"num_hidden_layers": "six"}, "num_hidden_layers: 'six', which is no whole number from 1 to 10,000"),
    ({"num_hidden_layers": -1}, "num_hidden_layers: -1, which is no whole number"),
    ({"num_hidden_layers": 0}, "num_hidden_layers: 0, which is no whole number"),
    ({"num_hidden_layers": 10**9}, "num_hidden_layers: 1000000000, which is no whole number"),
    ({"num_hidden_layers": True}, "num_hidden_layers: True, which is no whole number"),
    ({"hidden_size": 32.0}, "hidden_size: 32.0, which is no whole number from 1 to 100,000,000"),
    ({"hidden_size": [32]}, "hidden_size: [32], which is no whole number"),
    ({"hidden_size": 10**12}, "hidden_size: 1000000000000, which is no whole number"),
    ({"num_attention_heads": 0}, "num_attention_heads: 0, which is no whole number"),
    ({"num_attention_heads": 5}, "hidden_size: 32, which 5 heads do not divide"),
    ({"vocab_size": -5}, "vocab_size: -5, which is no whole number"),
    ({"max_position_embeddings": "many"}, "max_position_embeddings: 'many', which is no whole number"),
    ({"id2label": ["bad", "good"]}, "id2label: ['bad', 'good'], which is no map of numbers to names"),
    ({"id2label": {"bad": 0}}, "id2label: {'bad': 0}, which is no map of numbers to names"),
    ({"id2label": {"-1": "bad"}}, "which is no map of numbers to names"),
    ({"id2label": {"²": "bad"}}, "which is no map of numbers to names"),
    ({"id2label": {"0": "bad", "2": "good"}}, "whose numbers are not 0, 1, 2 and so on"),
    ({"id2label": {"0": "bad", "00": "good"}}, "whose numbers are not 0, 1, 2 and so on"),
    ({"id2label": {"0": ["bad"]}}, "id2label: {'0': ['bad']}, where a name is no text"),
    ({"model_type": 3}, "model_type: 3, which is not text"),
    ({"architectures": "BertModel"}, "architectures: 'BertModel', which is not a list of names"),
    ({"architectures": [3]}, "architectures: [3], which is not a list of names"),
    ({"quantization_config": [1]}, "quantization_config: [1], which is not an object"),
    ({"compress_shapes": [1]}, "compress_shapes: [1], which are no lists of sizes"),
    ({"compress_shapes": {"heads": [1, "x"]}}, "which are no lists of sizes"),
    ({"compress_shapes": {"heads": [0, 1]}}, "which are no lists of sizes"),
    ({"compress_shapes": {"heads": [1]}}, "compress_shapes.heads of 1 layers, where the model has 2"),
    ({"compress_shapes": {"embedding_rank": 0}}, "embedding_rank: 0, which is no whole number from 1 to 100,000,000"),
    ({"compress_shapes": {"ffn_rank": "8"}}, "ffn_rank: '8', which is no whole number from 1 to 100,000,000"),
    ({"compress_shapes": {"attention_norms": [True, True]}}, "attention_norms, which this family does not have"),
    (
        {"model_type": "modernbert", "compress_shapes": {"attention_norms": [1, True]}},
        "attention_norms: [1, True], which is not true or false for each of 2 layers",
    ),
    ({"transformers_weights": "../x.safetensors"}, "transformers_weights: '../x.safetensors', a file that is read"),
    ({"_attn_implementation": "evil/kernel"}, "_attn_implementation: 'evil/kernel', compiled code that would be"),
    ({"attn_implementation": {"": "evil/k@main:f"}}, "compiled code that would be fetched from the hub and run"),
    ({"text_config": {"experts_implementation": "a/b"}}, "in text_config experts_implementation: 'a/b', compiled"),
]


def write(folder: Path, content: Any) -> Path:
    (folder / "config.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def said(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_config(folder)
    assert caught.value.where == str(folder / "config.json")
    assert caught.value.fix
    return caught.value.what


@pytest.mark.parametrize(("wrong", "what"), WRONG)
def test_a_config_that_says_what_no_model_has_is_refused(tmp_path: Path, wrong: dict[str, Any], what: str) -> None:
    found = said(write(tmp_path, BERT | wrong))
    assert found.startswith("the model's config.json says ")
    assert what in found
    assert len(found) < 250


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "the model's config.json cannot be read"),
        ("{", "the model's config.json cannot be read"),
        ("[]", "the model's config.json is not an object"),
        ("null", "the model's config.json is not an object"),
        ('{"a": ' * 100_000, "the model's config.json cannot be read"),
        ('{"a": ' * 990 + "1" + "}" * 990, "the model's config.json cannot be read"),
        ('{"id2label": {"0": "\\ud800"}}', "the model's config.json cannot be read"),
        (f'{{"hidden_size": {"9" * 5000}}}', "the model's config.json cannot be read"),
    ],
    ids=["empty", "half", "list", "null", "deep", "deep and whole", "half a character", "digits"],
)
def test_a_config_that_is_no_json_object_is_refused(tmp_path: Path, content: str, what: str) -> None:
    assert said(write(tmp_path, content)) == what


def test_a_config_that_is_no_text_or_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_bytes(b"\xff\xfe\x00")
    assert said(tmp_path) == "the model's config.json cannot be read"
    monkeypatch.setattr("compress.files.whole.MAX_JSON_BYTES", 100)
    assert said(write(tmp_path, " " * 101)) == "the model's config.json has 101 bytes; at most 100 are read"


def test_a_config_of_a_known_family_says_all_sizes(tmp_path: Path) -> None:
    assert read_shape(read_config(write(tmp_path, BERT))) is not None
    lacking = {key: value for key, value in BERT.items() if key != "intermediate_size"}
    with pytest.raises(InputError, match=r"config\.json has no 'intermediate_size', which a bert model needs"):
        read_shape(read_config(write(tmp_path, lacking)))


def test_what_a_config_says_is_read(tmp_path: Path) -> None:
    write(tmp_path, BERT | {"max_position_embeddings": 64, "id2label": {"1": "good", "0": 5, "10": "x"} | TEN})
    assert labels_of(tmp_path) == ["5", "good", *(str(number) for number in range(2, 10)), "x"]
    assert positions_of(read_config(tmp_path)) == 64


TEN = {str(number): str(number) for number in range(2, 10)}


def test_weights_of_an_unknown_quantization_are_refused(tmp_path: Path) -> None:
    write(tmp_path, BERT | {"quantization_config": {"quant_method": "gptq", "bits": 4}})
    with pytest.raises(InputError, match="the model's weights are quantized by 'gptq', which is not known here"):
        format_of(tmp_path)
    write(tmp_path, BERT | {"quantization_config": {"quant_method": "bitsandbytes"}})
    assert format_of(tmp_path) == "torch_bnb"


@pytest.mark.parametrize(
    "odd",
    [
        {"hidden_dropout_prob": "x"},
        {"hidden_act": 3},
        {"hidden_act": "evil"},
        {"pad_token_id": 5000},
        {"layer_norm_eps": None},
        {"model_type": "nope"},
    ],
)
def test_odd_values_that_the_library_trips_over_are_one_clear_error(
    make_model: Callable[..., Path], tmp_path: Path, odd: dict[str, Any]
) -> None:
    folder = model_like(make_model(), tmp_path / "odd", **odd)
    with pytest.raises(InputError) as caught:
        load_model(folder, "text-classification", labels=["a", "b"])
    assert caught.value.what.startswith("cannot load the model for text-classification: ")
    assert caught.value.where == str(folder)


@pytest.mark.parametrize("name", ["pipeline", "utils", "AutoModel", "__name__", "NoSuchModel"])
def test_the_class_that_a_config_names_must_be_a_model(
    make_model: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    with pytest.raises(InputError, match=f"config.json names the class '{name}', which transformers does not have"):
        load(model_like(make_model(), tmp_path / "odd", architectures=[name]))


@pytest.mark.parametrize(("wrong", "what"), WRONG[:1] + WRONG[9:13])
def test_a_plan_refuses_it(
    plan: Callable[..., Any], make_model: Callable[..., Path], tmp_path: Path, wrong: dict[str, Any], what: str
) -> None:
    folder = model_like(make_model(), tmp_path / "odd", **wrong)
    with pytest.raises(InputError) as caught:
        plan(TEACHER.replace("MODEL", str(folder)))
    assert what in caught.value.what


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("tokenizer.json", None, "the model has no tokenizer.json"),
        ("tokenizer.json", b"{", "the model's tokenizer.json cannot be read"),
        ("tokenizer.json", b"\xff", "the model's tokenizer.json cannot be read"),
        ("tokenizer.json", b"[" * 100_000, "the model's tokenizer.json cannot be read"),
        ("tokenizer_config.json", b"[]", "the model's tokenizer_config.json is not an object"),
        ("tokenizer_config.json", b"{", "the model's tokenizer_config.json cannot be read"),
        ("model.safetensors", b"half", "'model.safetensors' is damaged or cut off (4 bytes): "),
    ],
)
def test_a_plan_refuses_a_model_whose_other_files_are_damaged(
    plan: Callable[..., Any],
    make_model: Callable[..., Path],
    tmp_path: Path,
    name: str,
    content: bytes | None,
    what: str,
) -> None:
    folder = model_like(make_model(), tmp_path / "odd")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        plan(TEACHER.replace("MODEL", str(folder)))
    assert caught.value.what.startswith(what)
    assert str(caught.value.where).startswith(str(folder))
