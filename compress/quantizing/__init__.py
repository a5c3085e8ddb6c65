"""Quantization of a float graph into a folder with a quantized one, within a budget of quality."""
