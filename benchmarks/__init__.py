"""Benchmarks: one folder a question; `python -m benchmarks.NAME` answers it and writes `results/`."""
