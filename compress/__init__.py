"""Shrink models by recipe, export them to ONNX, and measure what each step bought."""

__version__ = "0.1.0"
