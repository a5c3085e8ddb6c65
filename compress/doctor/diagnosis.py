"""The diagnosis of an ONNX graph: what was executed, compared with what this machine can do.

Every check is a function of a `ProfiledGraph`: it reads the graph and the profile of one call, has a kernel or an
operator timed where a number is needed, and gives a `Finding` or None.
"""

from collections.abc import Sequence

from compress.doctor import calling, elsewhere, operators, products
from compress.doctor.advice import Finding
from compress.doctor.executed import ProfiledGraph


def diagnose(subject: ProfiledGraph) -> list[Finding]:
    """All findings on a graph, the costliest first, and those of unknown cost last."""
    return by_cost([check(subject) for check in CHECKS])


def by_cost(findings: Sequence[Finding | None]) -> list[Finding]:
    """The findings that are not None, the costliest first, and those of unknown cost last."""
    present = [finding for finding in findings if finding is not None]
    return sorted(present, key=lambda finding: -1.0 if finding.cost is None else finding.cost, reverse=True)


CHECKS = (
    operators.attention,
    products.number_format,
    products.accuracy_level,
    products.awkward_widths,
    products.left_in_float,
    operators.casts,
    operators.dequantized_tables,
    operators.packed_tables,
    operators.rounding,
    operators.skip_norm,
    operators.shape_arithmetic,
    operators.other_work,
    calling.thread_count,
    calling.padding,
    calling.age,
    calling.external_data,
    operators.not_on_cuda,
    elsewhere.openvino,
)
