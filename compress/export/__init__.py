"""From a torch model to an ONNX graph."""
