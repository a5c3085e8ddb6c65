"""Torch models and their folders: loading, saving, shapes, cutting, tokenizers."""
