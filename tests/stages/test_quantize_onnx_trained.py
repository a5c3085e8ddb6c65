"""Training with the rounding of the graph: the graph says what the trained network said, with the scales it learned."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from pydantic import ValidationError

from compress.context import Context
from compress.errors import CompressError, InputError
from compress.graphs import embedding_tables
from compress.models.load import load_model, save_model
from compress.models.tokenizer import copy_tokenizer, load_tokenizer
from compress.recipe.schema import Target
from compress.runtimes import load
from compress.stages import quantize_onnx_4bit, quantize_onnx_dynamic, quantize_onnx_static, quantize_onnx_trained
from compress.store.artifacts import Artifact
from compress.training import checkpoints
from compress.training.fake_quantization import FakeQuantization
from tests.chain import Chain, context_of
from tests.processors import reduced_or_slowly_not, sums_in_16_bits, sums_in_32_bits
from tests.training.conftest import Kept

pytestmark = [pytest.mark.int8, pytest.mark.usefixtures("exported_once")]

TASK = "text-classification"
SEVEN_BITS = {"reduce_range": True}
EIGHT_BITS = {"reduce_range": False}
SCHEMES: list[dict[str, Any]] = [
    {"scheme": "int8_dynamic"},
    {"scheme": "int8_static"},
    {"scheme": "int4", "block_size": 16},
    {"scheme": "int4", "accuracy_level": 4},  # blocks as they fit each matrix
    {"scheme": "int4", "symmetric": False, "accuracy_level": 1},
]
IN_8_BITS = [{"scheme": kind, **EIGHT_BITS} for kind in ("int8_dynamic", "int8_static")]
SLOWLY_IN_8_BITS = [sums_in_32_bits, pytest.mark.slow]
FAST = {"epochs": 1, "learning_rate": 2e-3, "scale_learning_rate": 2e-2, "batch_size": 8}
NONE = {"epochs": 0}


class Trained:
    """What the stage wrote, and the network as it was when its training ended, still rounding."""

    def __init__(self, graph: onnx.ModelProto, facts: dict[str, Any], network: Any, fake: FakeQuantization) -> None:
        self.graph, self.facts, self.network, self.fake = graph, facts, network, fake
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}


@pytest.fixture
def train(chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the stage on the chain's student, or another model."""

    def run(model: Artifact | None = None, **settings: Any) -> Trained:
        return train_in(tmp_path, chain, monkeypatch, model, **settings)

    return run


def train_in(
    folder: Path, chain: Chain, monkeypatch: pytest.MonkeyPatch, model: Artifact | None = None, **settings: Any
) -> Trained:
    seen: list[Any] = []
    detach = FakeQuantization.detach

    def watch(self: FakeQuantization, network: Any) -> None:
        seen.extend([network, self])
        detach(self, network)

    monkeypatch.setattr(FakeQuantization, "detach", watch)
    out = folder / f"out-{len(list(folder.iterdir()))}"
    out.mkdir()
    facts = quantize_onnx_trained.run(
        model=model or chain.artifacts["student"],
        teacher=chain.artifacts["teacher"],
        config=quantize_onnx_trained.Config(**{"min_agreement": 0, **seven_bits(settings), **settings}),
        context=in_context(chain, folder),
        out=out,
    ).manifest_facts()
    return Trained(graph_of(out), facts | {"folder": out}, *seen)


@pytest.fixture(scope="module")
def learned(
    chain: Chain, exported_once: None, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[dict[str, Any]], Trained]:
    """The student after a training with a scheme, its table of words in 4 bits too; trained once for all tests."""
    known: dict[str, Trained] = {}

    def find(scheme: dict[str, Any]) -> Trained:
        if str(scheme) not in known:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(embedding_tables, "LARGE", 64)
                known[str(scheme)] = train_in(tmp_path_factory.mktemp("learned"), chain, patch, **scheme, recover=FAST)
        return known[str(scheme)]

    return find


def seven_bits(settings: dict[str, Any]) -> dict[str, Any]:
    """Right on any processor; 4 bits have no such setting."""
    return {} if settings.get("scheme") == "int4" else SEVEN_BITS


def graph_of(folder: Path) -> onnx.ModelProto:
    return onnx.load(str(folder / "model.onnx"))


def in_context(chain: Chain, work: Path) -> Context:
    return replace(context_of(chain, work), cached=Kept(work / "kept"))


def logits_of(chain: Chain, folder: Path) -> np.ndarray:
    """Of the validation rows, one by one."""
    tokenizer = load_tokenizer(folder)
    predict = load(folder, Target(), TASK)
    rows = chain.plan.task.encode(chain.plan.task.validation, tokenizer)
    return np.concatenate([predict(tokenizer.pad([row])) for row in rows])


def fake_logits(chain: Chain, trained: Trained) -> np.ndarray:
    """The same of the network while it rounds; in one batch, with padding."""
    tokenizer = load_tokenizer(trained.facts["folder"])
    rows = chain.plan.task.encode(chain.plan.task.validation, tokenizer)
    batch = {name: torch.from_numpy(array) for name, array in tokenizer.pad(rows).items()}
    trained.fake.attach(trained.network)
    with torch.no_grad():
        return trained.network(**batch).logits.numpy()


STARTED_OR_TRAINED = [
    *(pytest.param(scheme, FAST, id=f"{scheme}-trained") for scheme in SCHEMES),
    *(pytest.param(scheme, NONE, id=f"{scheme}-started") for scheme in SCHEMES[:3]),
    *(pytest.param(scheme, NONE, id=f"{scheme}-started", marks=pytest.mark.slow) for scheme in SCHEMES[3:]),
    *(pytest.param(scheme, NONE, id=f"{scheme}-started", marks=sums_in_32_bits) for scheme in IN_8_BITS),
    *(pytest.param(scheme, FAST, id=f"{scheme}-trained", marks=SLOWLY_IN_8_BITS) for scheme in IN_8_BITS),
]
"""By default each scheme is trained with, and graphs of one form of each width are held against an untrained network.
Trainings in 8 bits are tried slowly: 7 bits take the same code with another largest number."""


@pytest.mark.parametrize(("scheme", "recover"), STARTED_OR_TRAINED)
def test_the_graph_computes_what_the_network_computed_in_training(
    scheme: dict[str, Any],
    recover: dict[str, Any],
    train: Any,
    learned: Callable[[dict[str, Any]], Trained],
    chain: Chain,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedding_tables, "LARGE", 64)  # so that the words' table has 4 bits, too
    trained = learned(scheme) if recover is FAST else train(**scheme, recover=recover)
    ours, expected = logits_of(chain, trained.facts["folder"]), fake_logits(chain, trained)
    assert np.abs(ours - expected).max() < 1e-4
    trained.fake.detach(trained.network)
    tokenizer = load_tokenizer(trained.facts["folder"])
    rows = tokenizer.pad(chain.plan.task.encode(chain.plan.task.validation, tokenizer))
    with torch.no_grad():
        floats = trained.network(**{name: torch.from_numpy(array) for name, array in rows.items()}).logits.numpy()
    assert np.abs(floats - expected).max() > 1e-3, "rounding is seen in these outputs"
    assert trained.facts["left_in_float"] == []
    assert trained.facts["as_trained"]["rows"] == 16
    assert trained.facts["as_trained"]["max_abs_difference"] < 1e-4


@pytest.mark.parametrize(
    "scheme", [*SCHEMES[:3], *(pytest.param(scheme, marks=pytest.mark.slow) for scheme in SCHEMES[3:])], ids=str
)
def test_a_graph_whose_scales_are_mixed_up_is_refused(
    scheme: dict[str, Any], train: Any, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = chain.artifacts["teacher"]
    write = quantize_onnx_trained._write

    def mix_up(graph: onnx.ModelProto, *rest: Any) -> None:
        write(graph, *rest)
        for tensor in graph.graph.initializer:
            scales = numpy_helper.to_array(tensor)
            if tensor.name.endswith(("_scale", "_scales")) and scales.size > 1:  # of a matrix
                ordered = np.sort(scales, axis=None)[::-1].reshape(scales.shape)
                tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(ordered), tensor.name))

    monkeypatch.setattr(quantize_onnx_trained, "_write", mix_up)
    with pytest.raises(CompressError, match=r"the graph differs from the network as it was trained: .* of 16 rows"):
        train(model=model, **scheme, recover=NONE)
    if scheme is SCHEMES[0]:
        facts = train(model=model, **scheme, recover=NONE, tolerance=100.0).facts["as_trained"]
        assert facts["median_abs_difference"] <= facts["max_abs_difference"]


@pytest.mark.parametrize(
    ("stage", "scheme"),
    [
        (quantize_onnx_dynamic, {"scheme": "int8_dynamic"}),
        (quantize_onnx_static, {"scheme": "int8_static"}),
        pytest.param(quantize_onnx_dynamic, {"scheme": "int8_dynamic", **EIGHT_BITS}, marks=sums_in_32_bits),
        pytest.param(quantize_onnx_static, {"scheme": "int8_static", **EIGHT_BITS}, marks=sums_in_32_bits),
        (quantize_onnx_4bit, {"scheme": "int4"}),
        (quantize_onnx_4bit, {"scheme": "int4", "symmetric": False, "block_size": 16}),
    ],
)
def test_without_training_it_is_rounding_to_nearest(
    stage: Any, scheme: dict[str, Any], train: Any, chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding_tables, "LARGE", 64)
    trained = train(model=chain.artifacts["pruned"], recover=NONE, **scheme)
    settings = seven_bits(scheme) | {name: value for name, value in scheme.items() if name != "scheme"}
    config, out = stage.Config(min_agreement=0, **settings), tmp_path / "plain"
    out.mkdir()
    stage.run(model=chain.artifacts["onnx"], config=config, context=context_of(chain, out), out=out)
    plain = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph_of(out).graph.initializer}
    assert plain.keys() == trained.constants.keys()
    for name, array in plain.items():
        ours = trained.constants[name]
        assert array.dtype == ours.dtype
        assert np.array_equal(array, np.where(array == 0, 0, ours) if name.endswith("_scales") else ours), name
    assert trained.facts["scales"]["largest_change"] == 0


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_the_scales_that_are_written_are_those_that_were_learned(
    scheme: dict[str, Any], learned: Callable[[dict[str, Any]], Trained]
) -> None:
    trained = learned(scheme)
    written = [
        array.reshape(-1)
        for name, array in trained.constants.items()
        if name.endswith(("_scale", "_scales")) and array.dtype == np.float32
    ]
    with torch.no_grad():
        scales = [grid.scales.numpy().reshape(-1) for grid in trained.fake.weights().values()]
        ranges: list[Any] = list(trained.fake.ranges)
        scales += [one.scale.numpy().reshape(-1) for one in ranges]
    assert len(ranges) == (6 if scheme["scheme"] == "int8_static" else 0), "queries, keys and values share theirs"
    assert np.array_equal(np.sort(np.concatenate(written)), np.sort(np.concatenate(scales)))
    moved = [float(grid.growth.detach().abs().mean()) for grid in trained.fake.weights().values()]
    moved += [float(one.growth.detach().abs()) for one in ranges]
    assert min(moved) > 1e-4, "each has learned"
    assert trained.facts["scales"]["mean_change"] > 1e-3
    if ranges:
        zeros = [array for name, array in trained.constants.items() if name.endswith("_zero_point") and not array.ndim]
        with torch.no_grad():
            assert sorted(map(int, zeros)) == sorted(int(one.zero) for one in ranges)
        assert any(float(one.shift.detach()) != 0 for one in ranges)


def with_outliers(chain: Chain, folder: Path) -> Artifact:
    """The teacher, but for some channels that are always 0 and whose weights are many times larger than the others."""
    network = load_model(chain.artifacts["teacher"].path, TASK)
    encoder = network.bert
    with torch.no_grad():
        for layer in encoder.encoder.layer:
            value, norm = layer.attention.self.value, layer.output.LayerNorm
            for silent in (value.weight, value.bias, norm.weight, norm.bias):
                silent[::8] = 0
            layer.attention.output.dense.weight[:, ::8] = 4
        encoder.pooler.dense.weight[:, ::8] = 4
    save_model(network, folder)
    copy_tokenizer(chain.artifacts["teacher"].path, folder)
    return Artifact(folder, "6" * 64, "torch")


def test_a_model_that_collapses_in_4_bits_recovers(train: Any, chain: Chain, tmp_path: Path) -> None:
    model = with_outliers(chain, tmp_path / "spiky")
    task = chain.plan.task

    def score(logits: np.ndarray) -> float:
        return task.answers(logits, task.validation).outcome(task.truth(task.validation), "accuracy").value

    settings = {"scheme": "int4", "embeddings": False}
    plain = train(model=model, recover=NONE, **settings)
    recovered = train(model=model, recover={**FAST, "epochs": 10, "scale_learning_rate": 0.1}, **settings)
    assert score(logits_of(chain, plain.facts["folder"])) <= 0.6
    assert score(logits_of(chain, recovered.facts["folder"])) >= 0.9
    assert plain.facts["parity"]["agreement"] <= 0.6
    assert recovered.facts["parity"]["agreement"] >= 0.9, "the float model gets them right"
    with pytest.raises(CompressError, match="quantization collapsed"):
        train(model=model, recover=NONE, min_agreement=0.8, **settings)


def test_nothing_is_dropped_in_training_unless_it_is_asked_for(
    train: Any, learned: Callable[[dict[str, Any]], Trained]
) -> None:
    asked_for = train(scheme="int8_dynamic", recover={**FAST, "epochs": 0.2, "dropout": 0.3})
    for trained, shares in ((learned(SCHEMES[0]), {0.0}), (asked_for, {0.3, 0.0})):
        dropouts = [module.p for module in trained.network.modules() if isinstance(module, torch.nn.Dropout)]
        assert len(dropouts) == 5
        assert set(dropouts) == shares, "attention has a share of its own"


class Killed(BaseException):
    """What ends a training in the middle."""


def test_a_killed_training_goes_on_to_the_same_graph(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.0)
    recover = {**FAST, "epochs": 2}
    config = quantize_onnx_trained.Config(scheme="int8_static", recover=recover, min_agreement=0, **SEVEN_BITS)
    begun: list[int] = []

    def run(work: Path, last: int = 0) -> bytes:
        def progress(what: str, done: int, total: int) -> None:
            if what == "training with rounding":
                begun.append(done)
                if done == last:
                    raise Killed

        (out := work / "out").mkdir(parents=True, exist_ok=True)
        quantize_onnx_trained.run(
            model=chain.artifacts["student"],
            teacher=chain.artifacts["teacher"],
            config=config,
            context=replace(in_context(chain, work), progress=progress),
            out=out,
        )
        return (out / "model.onnx").read_bytes()

    whole = run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "killed", last=9)
    begun.clear()
    assert run(tmp_path / "killed") == whole
    assert begun[0] > 1, "it went on, and did not start anew"


def test_layers_that_are_named_stay_in_float(train: Any) -> None:
    kept = ("classifier", "bert.embeddings.word_embeddings", "bert.encoder.layer.0.output.dense")
    trained = train(keep_float=kept, recover=NONE)
    assert len(trained.facts["left_in_float"]) == 3
    shapes = {tensor.shape for tensor in trained.constants.values() if tensor.dtype == np.float32 and tensor.ndim == 2}
    assert shapes >= {(32, 2), (64, 32)}
    assert len(shapes) == 3


def test_names_that_are_no_layers_or_a_part_of_one_matrix_are_refused(train: Any) -> None:
    with pytest.raises(InputError, match="keep_float names 'clasifier', which is no layer here") as caught:
        train(keep_float=("clasifier",), recover=NONE)
    assert "classifier" in str(caught.value.fix)
    query = "bert.encoder.layer.0.attention.self.query"
    with pytest.raises(InputError, match=r"keep_float names some of .*query, .*key, .*value, which are one matrix"):
        train(keep_float=(query,), recover=NONE)
    trained = train(keep_float=(query,), recover=NONE, scheme="int4")
    assert len(trained.facts["left_in_float"]) == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"block_size": 16}, "block_size does nothing with scheme: int8_static; leave it out, or take int4"),
        ({"scheme": "int4", "calibration_rows": 8}, "calibration_rows does nothing with scheme: int4"),
        ({"scheme": "int4", "reduce_range": True}, "reduce_range does nothing with scheme: int4"),
        ({"scheme": "int3"}, "int8_dynamic"),
        ({"recover": {"scale_learning_rate": 0}}, "greater than 0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        quantize_onnx_trained.Config(**settings)


@sums_in_16_bits
@pytest.mark.parametrize("scheme", ["int8_dynamic", "int8_static"])
def test_8_bits_are_refused_where_the_processor_cuts_their_sums_off(scheme: str, train: Any, chain: Chain) -> None:
    model = chain.artifacts["factorized"]
    with pytest.raises(CompressError, match="the graph differs from the network as it was trained") as caught:
        train(model=model, recover=NONE, scheme=scheme, reduce_range=False)
    assert "reduce_range: true" in str(caught.value.fix)
    train(model=model, recover=NONE, scheme=scheme, reduce_range=True)


def test_what_the_machine_decides_is_left_out_where_it_does_not_matter() -> None:
    settle = quantize_onnx_trained.STAGE.settle
    assert settle is not None
    assert settle(quantize_onnx_trained.Config(), ["avx2"]).reduce_range is True
    assert settle(quantize_onnx_trained.Config(), ["avx2", "avx512_vnni"]).reduce_range is False
    assert settle(quantize_onnx_trained.Config(scheme="int4"), ["avx2"]).reduce_range is None


@pytest.mark.parametrize(
    ("family", "scheme"),
    [
        ("distilbert", {"scheme": "int8_static"}),
        ("electra", {"scheme": "int4"}),
        ("modernbert", {"scheme": "int8_static"}),
        pytest.param("roberta", {"scheme": "int8_dynamic"}, marks=pytest.mark.slow),  # electra has its layers, too
        pytest.param("modernbert", {"scheme": "int4"}, marks=pytest.mark.slow),
        pytest.param("distilbert", {"scheme": "int8_static", **EIGHT_BITS}, marks=SLOWLY_IN_8_BITS),
        pytest.param("roberta", {"scheme": "int8_dynamic", **EIGHT_BITS}, marks=SLOWLY_IN_8_BITS),
        pytest.param("modernbert", {"scheme": "int8_static", **EIGHT_BITS}, marks=SLOWLY_IN_8_BITS),
    ],
    ids=str,
)
def test_unevenly_pruned_models_of_other_families_round_alike_in_training_and_graph(
    family: str, scheme: dict[str, Any], uneven: Callable[[str], Artifact], train: Any, chain: Chain
) -> None:
    trained = train(model=uneven(family), recover=NONE, **scheme)
    ours, expected = logits_of(chain, trained.facts["folder"]), fake_logits(chain, trained)
    assert np.abs(ours - expected).max() < 1e-3 * np.abs(expected).max()
    assert trained.facts["left_in_float"] == []


@reduced_or_slowly_not
@pytest.mark.parametrize("family", ["albert", pytest.param("deberta-v2", marks=pytest.mark.slow)])
def test_other_families_round_alike_too(
    family: str,
    reduce_range: bool,
    make_classifier: Callable[..., Any],
    make_model: Callable[..., Path],
    train: Any,
    chain: Chain,
    tmp_path: Path,
) -> None:
    save_model(make_classifier(family, seed=3), tmp_path / family)
    copy_tokenizer(make_model(family), tmp_path / family)
    trained = train(model=Artifact(tmp_path / family, "3" * 64, "torch"), recover=NONE, reduce_range=reduce_range)
    ours, expected = logits_of(chain, trained.facts["folder"]), fake_logits(chain, trained)
    assert np.abs(ours - expected).max() < 1e-3 * np.abs(expected).max()


@reduced_or_slowly_not
def test_factorized_models_round_both_factors(reduce_range: bool, train: Any, chain: Chain) -> None:
    trained = train(model=chain.artifacts["factorized"], recover=FAST, scheme="int8_static", reduce_range=reduce_range)
    ours, expected = logits_of(chain, trained.facts["folder"]), fake_logits(chain, trained)
    assert np.abs(ours - expected).max() < 1e-4
    assert trained.facts["left_in_float"] == []
    assert "bert.embeddings.word_embeddings.expand" in trained.fake.names
