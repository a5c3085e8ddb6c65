"""Folders of a tiny classifier that is not trained, as tools leave them: torch, ONNX, and a run's."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compress.files.whole import file_sha256

MAX_LENGTH = 12
"""Tokens that the run's lineage says were measured."""
TEXTS = (
    "the film was superb",
    "dull",
    "it was a story about people in town and they said it with some music and it was bad",
    "a lovely film with some great music",
)


@pytest.fixture(scope="session")
def torch_folder(
    make_classifier: Callable[..., Any], make_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """As transformers saves it; its answers differ from text to text."""
    import torch

    from compress.models.load import save_model
    from compress.models.tokenizer import copy_tokenizer, load_tokenizer

    folder, model = tmp_path_factory.mktemp("torch"), make_classifier("bert", seed=5)
    rows = load_tokenizer(make_model()).encode(TEXTS, None, 256)
    with torch.no_grad():  # so that texts differ in what is said of them, and both labels are
        model.classifier.weight.mul_(30)
        logits = [model(**{name: torch.tensor([ids]) for name, ids in row.items()}).logits[0] for row in rows]
        model.classifier.bias.sub_(torch.stack(logits).mean(dim=0))
    save_model(model, folder)
    copy_tokenizer(make_model(), folder)
    return folder


@pytest.fixture(scope="session")
def onnx_folder(torch_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its graph in float, which knows nothing of a run."""
    from compress.export.export import export
    from compress.models.load import load_model
    from compress.models.tokenizer import copy_tokenizer

    folder = tmp_path_factory.mktemp("onnx")
    network = load_model(torch_folder, "text-classification", attention="eager")
    export(network, folder / "model.onnx", opset=17, fuses=False, skip_layer_norm=False)
    shutil.copyfile(torch_folder / "config.json", folder / "config.json")
    copy_tokenizer(torch_folder, folder)
    return folder


@pytest.fixture
def run_folder(onnx_folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """The folder of a run: `final/` with what its lineage says of the data, and a step beside it."""

    def make(**columns: str) -> Path:
        run = tmp_path / "runs" / "tiny"
        final, stored = run / "final", tmp_path / "runs" / "store" / "export"
        for folder in (final, stored):
            folder.mkdir(parents=True)
            for file in onnx_folder.iterdir():
                shutil.copyfile(file, folder / file.name)
        (run / "steps").mkdir()
        (run / "steps" / "onnx").symlink_to(stored)
        files = {file.name: file_sha256(file) for file in final.iterdir()}
        data = {"columns": {"text": "review", "label": "stars", **columns}, "max_length": MAX_LENGTH}
        (final / "lineage.json").write_text(json.dumps({"data": data, "steps": [{"files": files}]}))
        return run

    return make
