"""ONNX graphs: read, rewritten, and written in other number formats."""
