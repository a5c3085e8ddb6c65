"""What the small files of a final folder say beside what the artifact's own say: how it was measured, and how it loads.

An artifact's files cannot say it: one export serves tasks of any length.
"""

import json
from pathlib import Path

from compress.files.whole import file_sha256, read_object, write_text
from compress.lineage.model import Lineage
from compress.models.architectures import SHAPES_KEY
from compress.models.expected_texts import expected_length
from compress.models.tokenizer import load_tokenizer
from compress.models.tokenizer_lengths import say_length

CONFIG = "config.json"
HOW_TO_LOAD = "compress.load(folder), of the package compress-models: from_pretrained builds layers of one shape alone"
"""Said beside the shapes of a torch model."""


def adapt(folder: Path, lineage: Lineage) -> dict[str, str]:
    """Let a folder's files say it.

    Args:
        folder: holds copies of the artifact's files.
        lineage: of a run, so with its data.

    Returns:
        SHA-256 of the files that were written, by name.
    """
    data = lineage.data
    assert data is not None
    has_rows = data.train_rows + data.test_rows > 0
    max_length = data.max_length if has_rows else expected_length(folder, load_tokenizer(folder).fast)
    written = [*say_length(folder, max_length)]
    if lineage.final.format != "onnx":  # whose graph holds the shapes itself
        written += _say_how_to_load(folder / CONFIG)
    return {name: file_sha256(folder / name) for name in written}


def _say_how_to_load(path: Path) -> list[str]:
    """Let config.json say what loads a model whose shapes it alone tells."""
    config = read_object(path)
    if SHAPES_KEY not in config:
        return []
    config[SHAPES_KEY] = {**config[SHAPES_KEY], "load_with": HOW_TO_LOAD}
    write_text(path, json.dumps(config, indent=2, sort_keys=True) + "\n")
    return [path.name]
