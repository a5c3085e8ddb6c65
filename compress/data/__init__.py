"""Where models and rows come from: sources, readers, splits."""
