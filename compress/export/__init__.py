"""The export of a torch model to an ONNX graph."""
