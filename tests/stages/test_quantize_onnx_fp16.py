"""Half precision, against the float model; what a half cannot hold, and what a CPU cannot use."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from compress.cli import main
from compress.comparing.held_back import built_in_batches
from compress.export.export import export
from compress.graphs.masks import MASKING, clip_masks
from compress.graphs.read import read_float_graph
from compress.models.load import load_model
from compress.models.tokenizer import copy_tokenizer, load_tokenizer
from compress.planning.planner import make_plan
from compress.quantizing.magnitudes import magnitudes
from compress.recipe.schema import Recipe, Target
from compress.recipe.validation import Origin
from compress.running.runner import run_plan
from compress.runtimes import load
from compress.runtimes.onnxruntime import lacks_provider
from compress.stages import quantize_onnx_fp16
from compress.store.artifacts import Artifact
from tests.chain import Chain, Silent, context_of

TASK = "text-classification"
CUDA = "CUDAExecutionProvider"
REMARK = "no faster than the float model"


def batch() -> dict[str, np.ndarray]:
    ids = np.random.default_rng(2).integers(5, 60, (6, 20))
    mask = np.ones_like(ids)
    mask[1, 9:] = 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def converted(source: Artifact, chain: Chain, out: Path, **settings: Any) -> tuple[onnx.ModelProto, dict[str, Any]]:
    out.mkdir()
    config = quantize_onnx_fp16.Config(**settings)
    facts = quantize_onnx_fp16.run(
        model=source, config=config, context=context_of(chain, out), out=out
    ).manifest_facts()
    return onnx.load(str(out / "model.onnx")), facts


def folder_of(graph: onnx.ModelProto, like: Path, folder: Path) -> Artifact:
    folder.mkdir()
    onnx.save(graph, str(folder / "model.onnx"))
    (folder / "config.json").write_bytes((like / "config.json").read_bytes())
    copy_tokenizer(like, folder)
    return Artifact(folder, "5" * 64, "onnx")


@pytest.fixture(scope="module")
def unfused(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A graph whose norms and masks are written out."""
    source, folder = chain.artifacts["teacher"].path, tmp_path_factory.mktemp("unfused")
    export(load_model(source, TASK, attention="eager"), folder / "model.onnx", opset=14, fuses=False)
    (folder / "config.json").write_bytes((source / "config.json").read_bytes())
    copy_tokenizer(source, folder)
    return Artifact(folder, "4" * 64, "onnx")


def test_weights_are_halves_and_what_goes_in_and_out_is_not(chain: Chain) -> None:
    source, half = chain.artifacts["onnx"], chain.artifacts["half"]
    before, after = (onnx.load(str(item.path / "model.onnx")) for item in (source, half))
    onnx.checker.check_model(after)
    expected = {tensor.name: numpy_helper.to_array(tensor) for tensor in before.graph.initializer}
    for tensor in after.graph.initializer:
        assert tensor.data_type != TensorProto.FLOAT
        if tensor.data_type == TensorProto.FLOAT16:
            assert np.abs(numpy_helper.to_array(tensor) - expected[tensor.name]).max() <= 2**-11 * max(
                1.0, np.abs(expected[tensor.name]).max()
            )
    kinds = [[item.type.tensor_type.elem_type for item in (*m.graph.input, *m.graph.output)] for m in (before, after)]
    assert kinds[0] == kinds[1] == [TensorProto.INT64] * 3 + [TensorProto.FLOAT]
    sizes = [(item.path / "model.onnx").stat().st_size for item in (source, half)]
    assert sizes[1] < 0.65 * sizes[0]
    assert half.facts["kept_in_float"] == []
    assert half.facts["parity"]["agreement"] == 1.0
    ours, theirs = (load(item.path, Target(), TASK)(batch()) for item in (half, source))
    assert 0 < np.abs(ours - theirs).max() < 1e-2


def test_a_graph_that_is_written_out_keeps_the_parts_of_its_norms(
    unfused: Artifact, chain: Chain, tmp_path: Path
) -> None:
    written, facts = converted(unfused, chain, tmp_path / "half")
    onnx.checker.check_model(written)
    kinds = {node.name: node.op_type for node in written.graph.node}
    assert {kinds[name] for name in facts["kept_in_float"]} == {"Pow", "ReduceMean", "Sqrt"}
    assert facts["parity"]["agreement"] == 1.0
    _, all_of_it = converted(unfused, chain, tmp_path / "all", float_operators=())
    assert all_of_it["kept_in_float"] == []


def test_masks_come_into_reach_and_mask_as_before(unfused: Artifact) -> None:
    graph = read_float_graph(unfused.path / "model.onnx")
    assert clip_masks(graph) == 1
    finite = [numpy_helper.to_array(tensor) for tensor in graph.graph.initializer if tensor.data_type == 1]
    assert max(np.abs(values[np.isfinite(values)]).max(initial=0) for values in finite) == MASKING
    padded = batch()
    alone = {name: array[1:2, :9] for name, array in padded.items()}
    from compress.runtimes.onnxruntime import open_graph

    predict = open_graph(graph)
    assert np.abs(predict(padded)[1] - predict(alone)[0]).max() < 1e-5
    assert np.abs(predict(padded) - load(unfused.path, Target(), TASK)(padded)).max() < 1e-6


def test_numbers_that_a_half_cannot_hold_stay_in_float(chain: Chain, tmp_path: Path) -> None:
    source = chain.artifacts["onnx"]
    graph = read_float_graph(source.path / "model.onnx")
    fused = next(node for node in graph.graph.node if node.op_type == "BiasGelu")
    reader = next(node for node in graph.graph.node if node.input[0] == fused.output[0])
    constants = {tensor.name: tensor for tensor in graph.graph.initializer}
    bias = numpy_helper.to_array(constants[fused.input[1]]).copy()
    bias[0] = 9e3  # times the rows of the next matrix, that is more than a half holds
    constants[fused.input[1]].CopyFrom(numpy_helper.from_array(bias, fused.input[1]))
    weights = numpy_helper.to_array(constants[reader.input[1]]).copy()
    weights[0] = 20.0
    constants[reader.input[1]].CopyFrom(numpy_helper.from_array(weights, reader.input[1]))
    large = folder_of(graph, source.path, tmp_path / "large")
    written, facts = converted(large, chain, tmp_path / "half", min_agreement=0.0)
    assert 1.7e5 < facts["largest_activation"] < 1.9e5
    kept = facts["kept_in_float"]
    added = next(node for node in graph.graph.node if reader.output[0] in node.input)
    assert reader.name in kept
    assert added.name in kept
    assert fused.name not in kept
    ours, theirs = (load(path, Target(), TASK)(batch()) for path in (tmp_path / "half", large.path))
    assert np.abs(ours - theirs).max() < 1e-2
    casts = {node.input[0] for node in written.graph.node if node.op_type == "Cast"}
    assert fused.output[0] in casts


def test_magnitudes_are_those_of_the_graph(chain: Chain) -> None:
    source = chain.artifacts["onnx"].path
    graph = read_float_graph(source / "model.onnx")
    batches = built_in_batches(load_tokenizer(source), 32)
    found = magnitudes(graph, batches, lambda *_: None)
    assert found["logits"] == pytest.approx(np.abs(load(source, Target(), TASK)(batches[0])).max(), rel=1e-5)
    assert {name for node in graph.graph.node if node.op_type == "MatMul" for name in node.output} <= set(found)
    assert not {name for node in graph.graph.node if node.op_type == "Shape" for name in node.output} & set(found)


def test_only_named_rows_make_it_depend_on_the_data() -> None:
    assert not quantize_onnx_fp16.STAGE.reads_data(quantize_onnx_fp16.Config())
    assert quantize_onnx_fp16.STAGE.reads_data(quantize_onnx_fp16.Config(calibration_rows=8))


def test_rows_that_are_named_are_looked_at(chain: Chain, tmp_path: Path) -> None:
    _, facts = converted(chain.artifacts["onnx"], chain, tmp_path / "half", calibration_rows=8)
    assert facts["largest_activation"] != chain.artifacts["half"].facts["largest_activation"]


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ({"small": Target()}, "target 'small' computes on a CPU"),
        ({"gpu": Target(device="cuda")}, None),
        ({"gpu": Target(device="cuda"), "cpu": Target()}, "target 'cpu' computes on a CPU"),
    ],
)
def test_only_cpu_targets_are_remarked_on(targets: dict[str, Target], said: str | None) -> None:
    remark = quantize_onnx_fp16.STAGE.remark
    assert remark is not None
    told = remark(quantize_onnx_fp16.Config(), targets)
    assert told is None if said is None else str(told).startswith(said)


def test_without_targets_this_machine_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    remark = quantize_onnx_fp16.STAGE.remark
    assert remark is not None
    for lacks, told in (("no CUDA here", True), (None, False)):
        monkeypatch.setattr("compress.runtimes.onnxruntime.lacks_provider", lambda _, lacks=lacks: lacks)
        assert (remark(quantize_onnx_fp16.Config(), {}) is not None) is told


def recipe_of(model: Path, reviews: Path) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "halved",
            "task": {"test": str(reviews / "test.csv"), "max_length": 32},
            "steps": [{"name": "half", "stage": "quantize_onnx_fp16", "model": str(model)}],
            "targets": {"cpu": {"runtime": "onnxruntime", "threads": 1, "sequence_length": 16}},
            "baselines": "none",
            "bench": {"rounds": 2, "warmup": 1, "samples": 2},
        }
    )


@pytest.mark.usefixtures("forked")
def test_a_run_and_its_report_tell_what_a_cpu_does_not_gain(chain: Chain, reviews: Path, tmp_path: Path) -> None:
    observer = Silent()
    plan = make_plan(recipe_of(chain.artifacts["onnx"].path, reviews), Origin())
    result = run_plan(plan, tmp_path, observer)
    (warning,) = observer.warnings
    assert warning.startswith("step 'half': target 'cpu' computes on a CPU")
    assert REMARK in warning
    assert result.report is not None
    assert warning in result.report.notes
    assert REMARK in (result.folder / "report.md").read_text()
    assert REMARK in (result.folder / "run.log").read_text()


@pytest.mark.parametrize("command", ["plan", "quantize"])
def test_the_command_line_warns(
    command: str,
    chain: Chain,
    reviews: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    model = chain.artifacts["onnx"].path
    Path("r.yaml").write_text(
        f"name: r\ntask: {{test: {reviews / 'test.csv'}}}\n"
        f"steps: [{{name: half, stage: quantize_onnx_fp16, model: {model}}}]\n"
        "targets: {cpu: {runtime: onnxruntime}}"
    )
    line = {"plan": ["r.yaml", "--no-forecast"], "quantize": [str(model), "--how", "onnx_fp16"]}[command]
    with pytest.raises(SystemExit) as exit_:
        main([command, *line])
    said = " ".join(capsys.readouterr().err.split())
    assert exit_.value.code == 0, said
    assert "warning: step" in said
    assert REMARK in said


@pytest.mark.gpu
def test_on_cuda_halves_agree_with_floats(chain: Chain) -> None:
    assert lacks_provider(CUDA) is None
    source, half = chain.artifacts["onnx"], chain.artifacts["half"]
    ours = load(half.path, Target(device="cuda"), TASK)(batch())
    theirs = load(source.path, Target(device="cuda"), TASK)(batch())
    assert np.isfinite(ours).all()
    assert 0 < np.abs(ours - theirs).max() < 2e-2
