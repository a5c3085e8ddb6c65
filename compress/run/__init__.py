"""A plan run against the store: made, measured, reported; forecast and rehearsed before."""
