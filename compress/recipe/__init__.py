"""Recipes: their schema, and their reading and checking with line numbers."""
