"""A check of both classifiers without a transformer: texts alone and padded on any side, in torch and in ONNX."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from compress.export.export import export

LENGTHS = (1, 2, 3, 4, 9)


def check_by_hand(model: Any, by_hand: Callable[[Any, list[int]], torch.Tensor], tokens: int, tmp_path: Path) -> None:
    """Hold a model and its graph, which has standard operators alone, against logits worked out by hand.

    Args:
        by_hand: (model, the ids of one text without padding) -> its logits.
        tokens: tokens of the vocabulary.
    """
    random = np.random.default_rng(0)
    texts = [random.integers(0, tokens, length).tolist() for length in LENGTHS]
    expected = torch.stack([by_hand(model, ids) for ids in texts])
    export(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    assert {node.domain for node in onnx.load(tmp_path / "model.onnx").graph.node} == {""}
    for side in ("left", "right", "both"):
        ids, mask = np.full((5, 12), 7), np.zeros((5, 12), np.int64)
        for row, text in enumerate(texts):
            start = {"left": 12 - len(text), "right": 0, "both": 1}[side]
            ids[row, start : start + len(text)], mask[row, start : start + len(text)] = text, 1
        with torch.no_grad():
            logits = model(torch.tensor(ids), torch.tensor(mask)).logits
            in_training = model.train()(torch.tensor(ids), torch.tensor(mask)).logits
            model.eval()
            segments = torch.zeros_like(torch.tensor(ids))
            in_pipeline = model(
                input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask), token_type_ids=segments
            ).logits
        (in_onnx,) = session.run(None, {"input_ids": ids, "attention_mask": mask})
        for given in (logits, in_training, in_pipeline, torch.tensor(in_onnx)):
            torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-4)
    for text, logits in zip(texts, expected, strict=True):
        torch.testing.assert_close(model(torch.tensor([text])).logits[0], logits, rtol=1e-4, atol=1e-4)
        (alone,) = session.run(None, {"input_ids": np.array([text]), "attention_mask": np.ones((1, len(text)), int)})
        torch.testing.assert_close(torch.tensor(alone[0]), logits, rtol=1e-4, atol=1e-4)
