"""Runs of plans: their steps are made, measured and reported, and before that forecast and rehearsed."""
