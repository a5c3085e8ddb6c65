"""Finished models, asked for answers."""
