"""The measuring of artifacts on targets: quality, latency, memory and size, in a process for each pair."""
