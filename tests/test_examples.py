"""The examples, run as a user would."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from compress.use.classifier import Classifier
from tests.classifiers import TEXTS

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def service(onnx_folder: Path) -> Iterator[str]:
    """Address of the service, on a free port."""
    command = [sys.executable, str(EXAMPLES / "service.py"), str(onnx_folder), "0"]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as process:
        try:
            assert process.stdout is not None
            found = re.match(r"http://127\.0\.0\.1:\d+", process.stdout.readline().decode())
            assert found
            yield found[0]
        finally:
            process.kill()


def asked(service: str, content: Any) -> Any:
    with urlopen(service, json.dumps(content).encode(), timeout=30) as answer:
        return json.load(answer)


def test_the_service_answers_as_the_classifier_does(service: str, onnx_folder: Path) -> None:
    pairs = [[TEXTS[0], TEXTS[1]], [TEXTS[2], TEXTS[3]]]
    classifier = Classifier(onnx_folder)
    for texts, given in ((list(TEXTS), list(TEXTS)), (pairs, [tuple(pair) for pair in pairs])):
        assert asked(service, {"texts": texts}) == [
            {"label": answer.label, "probability": pytest.approx(answer.probability, abs=1e-6)}
            for answer in classifier(given)
        ]
    assert asked(service, {"texts": []}) == []


@pytest.mark.parametrize("content", [{}, [], {"texts": 5}, {"texts": [5]}, {"texts": ["a", ["a", "b"]]}, "no object"])
def test_the_service_says_what_is_no_question(service: str, content: Any) -> None:
    with pytest.raises(HTTPError) as caught:
        asked(service, content)
    assert caught.value.code == 400
    assert json.load(caught.value)["error"]
