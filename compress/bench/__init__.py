"""Measure artifacts on targets: quality, latency, memory and size, each in a process of its own."""
