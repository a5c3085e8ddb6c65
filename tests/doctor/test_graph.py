"""Operators that are timed alone."""

import pytest

from compress.doctor.graph import time_operator


@pytest.mark.parametrize("op", ["MultiHeadAttention", "SkipLayerNormalization", "Add+LayerNormalization"])
def test_operators_can_be_timed_alone(op, monkeypatch):
    monkeypatch.setattr("compress.doctor.graph.OPERATOR_SECONDS", 0.0)
    assert time_operator(1, op, (1, 8, 32), heads=2) > 0
