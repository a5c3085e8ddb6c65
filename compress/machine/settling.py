"""How long a machine needs to become quiet between two things that are timed in turns."""

SETTLE_SECONDS = 0.1
"""A runtime's threads spin for some tens of milliseconds after a call; who is timed next waits for that."""
