"""A final folder in the tools that others load it with: the answers that measuring had, on short and long texts."""

import random
from importlib.util import find_spec

import numpy as np
import pytest

from benchmarks.newcomer.loader_programs import PROGRAMS, Asked
from benchmarks.newcomer.other_loaders import (
    ask_javascript,
    ask_python,
    card_code,
    install_optimum,
    install_transformers_js,
)
from compress.lineage.final import write_final
from compress.lineage.model import read_lineage
from compress.models.config_file import labels_of
from compress.models.tokenizer import load_tokenizer
from compress.recipe.schema import Target
from compress.running.folder import dump_recipe
from compress.runtimes import load
from compress.runtimes.onnxruntime import open_file
from tests.conftest import BAD, GOOD, review

from .lineages import lineage_of

EACH = 100
needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")


@pytest.fixture(scope="module")
def texts():
    """Short ones, and long ones whose second half, after the cut, speaks for the other label."""
    random_ = random.Random(5)
    short = [review(("bad", "good")[number % 2], random_) for number in range(EACH)]
    halves = [(GOOD, BAD) if number % 2 else (BAD, GOOD) for number in range(EACH)]
    return short + [" ".join(random_.choices(first, k=30) + random_.choices(then, k=60)) for first, then in halves]


@pytest.fixture(scope="module")
def final_of(chain, make_model, reviews, tmp_path_factory):
    """Writes the final folder of the chain up to a step."""
    written = {}

    def make(step):
        if step not in written:
            written[step] = tmp_path_factory.mktemp(step)
            plan, _ = lineage_of(chain, make_model, reviews, step)
            write_final(plan, chain.artifacts, written[step], None, dump_recipe(plan))
        return written[step] / "final"

    return make


def answers(predict, folder, texts):
    tokenizer, labels = load_tokenizer(folder), labels_of(folder)
    rows = tokenizer.encode(texts, None, read_lineage(folder).data.max_length)
    assert {len(row["input_ids"]) for row in rows[EACH:]} == {32}
    found = [labels[int(np.argmax(predict(tokenizer.pad([row]))[0]))] for row in rows]
    assert found[EACH:] == ["bad", "good"] * (EACH // 2)  # as their first halves say
    assert abs(found[:EACH].count("good") - EACH // 2) < EACH // 10
    return found


def measured(folder, texts):
    """Answers as measuring has them."""
    runtime = "onnxruntime" if read_lineage(folder).final.format == "onnx" else "torch"
    return answers(load(folder, Target(runtime=runtime), "text-classification"), folder, texts)


@pytest.mark.int8
@pytest.mark.parametrize(
    ("program", "step", "containing"),
    [
        ("card_alone", "int8", "onnxruntime"),
        ("card_alone", "bundled", "import onnxruntime"),
        ("auto_tokenizer", "int8", ""),
        pytest.param("openvino", "onnx", "", marks=needs_openvino),
        ("card_together", "teacher", "pipeline"),
        pytest.param("card_together", "pruned", "compress.load", marks=pytest.mark.slow),
    ],
)
def test_each_loader_answers_as_measuring_did(final_of, texts, monkeypatch, program, step, containing):
    folder = final_of(step)
    expected = measured(folder, texts)
    monkeypatch.chdir(folder)
    code = card_code(folder, "python", containing) if containing else ""
    assert list(PROGRAMS[program](Asked(texts, code))) == expected


@pytest.mark.int8
def test_the_artifacts_own_files_would_not_do(chain, final_of, texts, monkeypatch):
    monkeypatch.chdir(chain.artifacts["int8"].path)  # whose tokenizer_config.json names no length
    found, expected = list(PROGRAMS["auto_tokenizer"](Asked(texts, ""))), measured(final_of("int8"), texts)
    assert found[:EACH] == expected[:EACH]
    assert sum(one != other for one, other in zip(found[EACH:], expected[EACH:], strict=True)) > EACH / 4


@pytest.mark.int8
@pytest.mark.network
def test_optimum_does_so_too(final_of, texts, tmp_path):
    python = str(install_optimum(tmp_path / "optimum"))
    folder, bundle = final_of("int8"), final_of("bundled")
    assert ask_python("optimum", folder, texts, python=python)["answers"] == measured(folder, texts)
    code = card_code(bundle, "python", "optimum")
    told = ask_python("card_together", bundle, texts, code=code, python=python)
    assert told["answers"] == measured(bundle, texts)


@pytest.mark.int8
@pytest.mark.network
def test_transformers_js_does_so_with_each_graph_of_a_bundle(final_of, texts, tmp_path):
    place, folder = install_transformers_js(tmp_path / "javascript"), final_of("bundled")
    code = card_code(folder, "js", "AutoTokenizer")
    for item in read_lineage(folder).final.facts["formats"].values():
        expected = answers(open_file(folder / item["file"], ["CPUExecutionProvider"], 1), folder, texts)
        assert ask_javascript(place, folder, texts, item["dtype"], code)["answers"] == expected, item["dtype"]
