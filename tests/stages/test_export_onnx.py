"""export_onnx, against torch."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from compress.errors import CompressError, InputError
from compress.formats import find
from compress.graphs.read import parameters_in
from compress.models.architectures import Shape, read_shape
from compress.models.config_file import read_config
from compress.models.load import load_model, save_model
from compress.models.tokenizer import copy_tokenizer
from compress.planning.planner import make_plan
from compress.recipe.schema import Recipe, Target
from compress.recipe.validation import Origin
from compress.running.runner import run_plan
from compress.runtimes import load
from compress.stages import export_onnx
from compress.store.artifacts import Artifact
from tests.chain import Chain, Silent, chain_recipe, context_of, graph_of
from tests.families import FAMILIES

TASK = "text-classification"


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_fuses_in_every_layer_of_unevenly_pruned_models(
    family: str, uneven: Callable[[str], Artifact], chain: Chain, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    facts = export_onnx.run(
        model=uneven(family), config=export_onnx.Config(), context=context_of(chain, tmp_path), out=out
    )
    operator = "MultiHeadAttention" if family == "modernbert" else "Attention"
    assert facts["fused"][operator] == 2
    attentions = [node for node in graph_of(out).graph.node if node.op_type == operator]
    assert [{item.name: item.i for item in node.attribute}["num_heads"] for node in attentions] == [1, 3]
    assert kinds(graph_of(out))["Softmax"] == 0
    assert facts["parity"]["max_abs_difference"] < 1e-5
    assert facts["parity"]["rows"] == 17


@pytest.mark.parametrize("family", ["squeezebert"])
def test_architectures_that_are_not_known_export_without_fusion_and_equal_torch(
    family: str, make_model: Callable[..., Path], chain: Chain, tmp_path: Path
) -> None:
    folder = tmp_path / family
    save_model(load_model(make_model(family), TASK, labels=("bad", "good")), folder)
    copy_tokenizer(make_model(family), folder)
    model = Artifact(folder, "3" * 64, "torch")
    out = tmp_path / "out"
    out.mkdir()
    facts = export_onnx.run(model=model, config=export_onnx.Config(), context=context_of(chain, tmp_path), out=out)
    assert facts["fused"] is None
    assert facts["parity"]["max_abs_difference"] < 1e-5
    shape = read_shape(read_config(folder))
    with pytest.raises(InputError, match="no fusion is known for this model's architecture"):
        export_onnx.STAGE.shape_of(export_onnx.Config(fuse="always"), {"model": shape})


def test_modernbert_sees_its_own_window_at_any_length_and_any_padding(
    make_classifier: Callable[..., Any], make_model: Callable[..., Path], chain: Chain, tmp_path: Path
) -> None:
    model = make_classifier("modernbert")
    folders = {}
    for window in (4, 8):
        model.config.local_attention = window
        source, out = tmp_path / f"torch-{window}", tmp_path / f"onnx-{window}"
        save_model(model, source)
        copy_tokenizer(make_model("modernbert"), source)
        out.mkdir()
        artifact = Artifact(source, "4" * 64, "torch")
        facts = export_onnx.run(
            model=artifact, config=export_onnx.Config(fuse="always"), context=context_of(chain, tmp_path), out=out
        )
        assert (facts["fused"]["MultiHeadAttention"], facts["fused"]["RotaryEmbedding"]) == (2, 4)
        # what sees nothing but padding in its window is anything's guess; eager attention's is the one exported
        folders[window] = load_model(source, TASK, attention="eager"), load(out, Target(), TASK)
    random = np.random.default_rng(0)
    for rows, length in ((1, 1), (1, 5), (3, 17), (8, 64)):
        ids = random.integers(5, 60, (rows, length))
        mask = np.ones_like(ids)
        mask[0, : length // 3] = 0  # padding on the left
        mask[-1, 2 * length // 3 + 1 :] = 0  # and on the right
        batch = {"input_ids": ids, "attention_mask": mask}
        ours = {}
        for window, (eager, graph) in folders.items():
            with torch.no_grad():
                expected = eager(**{name: torch.from_numpy(array) for name, array in batch.items()}).logits.numpy()
            ours[window] = graph(batch)
            assert np.abs(ours[window] - expected).max() < 1e-4, (window, rows, length)
    assert np.abs(ours[4] - ours[8]).max() > 1e-2, "the window matters"


def test_any_batch_any_length_and_any_padding_equal_torch(chain: Chain) -> None:
    ours = load(chain.artifacts["onnx"].path, Target(), TASK)
    torchs = load(chain.artifacts["pruned"].path, Target(runtime="torch"), TASK)
    random = np.random.default_rng(0)
    for rows, length in ((1, 1), (1, 5), (3, 17), (8, 64)):
        ids = random.integers(5, 60, (rows, length))
        mask = np.ones_like(ids)
        mask[0, : length // 3] = 0  # padding on the left
        mask[-1, 2 * length // 3 + 1 :] = 0  # and on the right
        batch = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        assert np.abs(ours(batch) - torchs(batch)).max() < 1e-5, (rows, length)


def test_the_folder_holds_what_other_tools_need(chain: Chain) -> None:
    from transformers import AutoConfig, AutoTokenizer

    folder = chain.artifacts["onnx"].path
    assert AutoConfig.from_pretrained(folder).id2label == {0: "bad", 1: "good"}
    assert AutoTokenizer.from_pretrained(folder)("good film")["input_ids"]
    onnx.checker.check_model(str(folder / "model.onnx"))


def test_past_the_tolerance_the_step_fails(chain: Chain, tmp_path: Path) -> None:
    with pytest.raises(CompressError, match=r"exported model differs from torch by .* allowed is [\d.]+e-12"):
        export_onnx.run(
            model=chain.artifacts["pruned"],
            config=export_onnx.Config(tolerance=1e-12),
            context=context_of(chain, tmp_path),
            out=tmp_path,
        )


def test_attention_that_does_not_fuse_fails_the_step(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnxruntime.transformers.fusion_options import FusionOptions

    original = FusionOptions.__init__

    def without_attention(self: Any, model_type: str) -> None:
        original(self, model_type)
        self.enable_attention = False

    monkeypatch.setattr(FusionOptions, "__init__", without_attention)
    with pytest.raises(CompressError, match="attention fused in 0 of 1 layers") as caught:
        export_onnx.run(
            model=chain.artifacts["pruned"],
            config=export_onnx.Config(),
            context=context_of(chain, tmp_path),
            out=tmp_path,
        )
    assert "fuse: never" in str(caught.value)


def test_without_fusion_there_is_none(chain: Chain, tmp_path: Path) -> None:
    facts = export_onnx.run(
        model=chain.artifacts["pruned"],
        config=export_onnx.Config(fuse="never"),
        context=context_of(chain, tmp_path),
        out=tmp_path,
    )
    assert facts["fused"] is None
    assert kinds(graph_of(tmp_path))["Attention"] == 0
    assert facts["parity"]["max_abs_difference"] < 1e-5


def loaded_kinds(folder: Path, scratch: Path) -> Counter[str]:
    """Operators of a graph as onnxruntime's session has them after its own fusions."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(scratch / "loaded.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    return kinds(onnx.load(options.optimized_model_filepath))


@pytest.mark.int8
@pytest.mark.parametrize("step", ["onnx", "int8"])
def test_norms_stay_apart_from_additions_also_in_a_session(step: str, chain: Chain, tmp_path: Path) -> None:
    assert kinds(graph_of(chain.artifacts[step].path))["Sum"] == 3  # of the embeddings, and two of the layer
    found = loaded_kinds(chain.artifacts[step].path, tmp_path)
    assert (found["Sum"], found["LayerNormalization"], found["SkipLayerNormalization"]) == (3, 3, 0)
    assert found["EmbedLayerNormalization"] == 0


def test_norms_fuse_with_additions_where_that_is_asked_for(chain: Chain, tmp_path: Path) -> None:
    facts = export_onnx.run(
        model=chain.artifacts["pruned"],
        config=export_onnx.Config(skip_layer_norm=True),
        context=context_of(chain, tmp_path),
        out=tmp_path,
    )
    assert facts["fused"]["SkipLayerNormalization"] == 2
    assert kinds(graph_of(tmp_path))["Sum"] == 0
    assert facts["parity"]["max_abs_difference"] < 1e-5


def test_parameters_are_counted_alike_in_torch_and_onnx(chain: Chain) -> None:
    torchs = find("torch").parameters(chain.artifacts["pruned"].path)
    for step in ("onnx", "int8", "static", "int4"):
        ours = parameters_in(chain.artifacts[step].path / "model.onnx")
        assert ours == pytest.approx(torchs, rel=0.02), step


@pytest.mark.int8
def test_modernbert_goes_through_the_whole_chain(
    make_model: Callable[..., Path], reviews: Path, tmp_path: Path
) -> None:
    recipe = chain_recipe(make_model("modernbert"), reviews)
    names = ("teacher", "student", "pruned", "onnx", "int8", "int4")
    steps = [step.model_dump() for step in recipe.steps if step.name in names]
    steps[0]["epochs"] = 4
    steps[1] |= {"layers": [1], "epochs": 1}  # the one that has a norm before its attention
    steps[2] |= {"importance": "magnitude", "recover": {"epochs": 0}}
    plan = make_plan(Recipe.model_validate({**recipe.model_dump(), "steps": steps}), Origin())
    artifacts = run_plan(plan, tmp_path, Silent()).artifacts
    shape = read_shape(read_config(artifacts["pruned"].path))
    assert shape == Shape("modernbert", 1, 32, 8, (2,), (32,), (True,))
    assert artifacts["onnx"].facts["fused"]["MultiHeadAttention"] == 1
    before, after = (find("torch").parameters(artifacts[name].path) for name in ("student", "pruned"))
    assert before - after == 2 * 4 * 8 * 32 + 32 * 3 * 32
    for name in ("int8", "int4"):
        assert artifacts[name].facts["parity"]["agreement"] >= 0.8
        assert kinds(graph_of(artifacts[name].path))["MatMul"] == 0
