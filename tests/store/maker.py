"""A stand-in for a stage: what tests of the store make and keep."""

from compress.store.artifacts import Identity

IDENTITY = Identity("distill", 1, {"layers": 2, "rate": 0.1}, {"model": "abc"}, "rows", 0)
WEIGHTS = bytes(range(256)) * 16


class Maker:
    """Writes an artifact of two files, and counts how often."""

    def __init__(self):
        self.calls = 0

    def __call__(self, out, work):
        self.calls += 1
        (out / "config.json").write_text("{}")
        (out / "onnx").mkdir()
        (out / "onnx" / "model.onnx").write_bytes(WEIGHTS)
        return {"loss": 0.25}
