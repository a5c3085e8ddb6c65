"""From a float graph to a folder with a quantized one, within a budget of quality."""
