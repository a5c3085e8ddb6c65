"""Measurements -> JSON (the truth), Markdown and a table. Renders only; never measures."""
