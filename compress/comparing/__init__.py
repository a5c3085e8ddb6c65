"""Comparisons of two models on rows that no training has seen."""
