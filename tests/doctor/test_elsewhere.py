"""Whether a graph loads in OpenVINO, told without it, and held against it where it is installed."""

from importlib.util import find_spec

import onnx
import pytest

from compress.doctor import elsewhere
from compress.doctor.executed import ProfiledGraph
from compress.recipe.schema import Target
from compress.runtimes import CannotRunError, load
from compress.stages.quantize_onnx_static import STAGE
from tests.chain import context_of
from tests.doctor.subjects import fused_graph, graph, node, same_rates

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")


def finding(model):
    return elsewhere.openvino(ProfiledGraph(model, [], 1, 32, {1: 1.0}, same_rates, lambda *_: 0.0))


def test_operators_that_openvino_reads_are_no_finding():
    assert finding(fused_graph()) is None
    assert finding(graph([node("QAttention", ["x"], ["y"])])) is None  # of another domain, and no graph at all


@pytest.mark.parametrize(
    ("op", "fix"),
    [("QAttention", "compress quantize FLOAT --form qdq"), ("PackedAttention", "compress export MODEL --fuse never")],
)
def test_operators_that_it_does_not_are_named_with_the_fix(op, fix):
    found = finding(graph([node(op, ["x"], ["y"], domain="com.microsoft"), node("Relu", ["y"], ["z"])]))
    assert found is not None
    assert "does not load in OpenVINO" in found.what
    assert found.evidence == f"operators of ONNX Runtime alone: 1 {op}"
    assert fix in found.fix
    assert found.cost is None


@pytest.mark.int8
@needs_openvino
@pytest.mark.parametrize("step", ["onnx", "int8", "static", "int4", "half"])
def test_it_is_as_openvino_itself_says(chain, step):
    folder = chain.artifacts[step].path
    found = finding(onnx.load(str(folder / "model.onnx")))
    if found is None:
        load(folder, Target(runtime="openvino"), "text-classification")
        return
    with pytest.raises(CannotRunError, match=r"No conversion rule found .*QAttention"):
        load(folder, Target(runtime="openvino"), "text-classification")
    assert "QAttention" in found.evidence


@pytest.mark.int8
@needs_openvino
def test_the_form_of_the_fix_loads(chain, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    STAGE.run(
        model=chain.artifacts["onnx"],
        config=STAGE.config(form="qdq", min_agreement=0.0),
        context=context_of(chain, tmp_path),
        out=out,
    )
    assert finding(onnx.load(str(out / "model.onnx"))) is None
    load(out, Target(runtime="openvino"), "text-classification")
