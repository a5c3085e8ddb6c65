"""ONNX graphs: their reading, their rewriting, and their writing in other number formats."""
