"""The data of models: sources, readers of tables, labels, splits."""
