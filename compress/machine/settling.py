"""The time that a machine needs to become quiet between two timed turns."""

SETTLE_SECONDS = 0.1
"""Seconds of waiting before a timed turn: a runtime's threads keep spinning for tens of milliseconds after a call."""
