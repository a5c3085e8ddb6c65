"""All findings together."""

from compress.doctor.advice import Finding
from compress.doctor.diagnosis import by_cost, diagnose
from tests.doctor.subjects import fused_graph


def test_the_costliest_finding_is_first_and_unknown_costs_are_last():
    one, two, three = Finding("a", "", "", None), Finding("b", "", "", 0.1), Finding("c", "", "", 0.5)
    assert by_cost([one, None, two, three]) == [three, two, one]


def test_a_graph_without_defects_gives_no_finding(subject):
    assert diagnose(subject(fused_graph(), us={"MatMul": 10.0, "MultiHeadAttention": 10.0})) == []
