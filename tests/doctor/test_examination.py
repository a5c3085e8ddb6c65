"""Models examined as they run, in processes of their own."""

from pathlib import Path
from typing import Any

import pytest

from compress.context import Context
from compress.doctor import graph
from compress.doctor.examination import examine, row_tokens
from compress.doctor.examined import Examination
from compress.doctor.graph import examine_onnx
from compress.errors import CompressError, InputError
from compress.stages import export_onnx
from tests.chain import Chain
from tests.fresh import fork_children


def export(chain: Chain, fuse: str, out: Path) -> Path:
    out.mkdir()
    context = Context(chain.plan.task, 0, "cpu", False, out, lambda *_: None, lambda *_: pytest.fail("not asked for"))
    export_onnx.run(model=chain.artifacts["teacher"], config=export_onnx.Config(fuse=fuse), context=context, out=out)
    return out


def quickly(folder: Path, **given: Any) -> Examination:
    return Examination(str(folder), None, 1, 1, call_seconds=0.01, kernel_seconds=0.01, **given)


def silent(*_: Any) -> None: ...


def test_layers_exported_with_and_without_fusion_are_counted(chain, exported_once, tmp_path, monkeypatch):
    """In this process; tests/cli/test_doctor.py has a graph examined in one of its own."""
    fork_children(monkeypatch)
    monkeypatch.setattr(graph, "peak_gflops", lambda kinds, *_: dict.fromkeys(kinds, 100.0))
    unfused = examine_onnx(quickly(export(chain, "never", tmp_path / "never"), length=32), silent)
    (found,) = [item for item in unfused.findings if item.what.startswith("attention")]
    assert found.what == "attention is not fused in 2 of 2 layers"
    assert found.cost is not None
    fused = examine_onnx(quickly(export(chain, "always", tmp_path / "always")), silent)
    assert [item for item in fused.findings if item.what.startswith("attention")] == []
    assert (unfused.facts["sequence_length"], fused.facts["sequence_length"]) == (32, 128)
    assert unfused.facts["operations"] == pytest.approx(operations_of_tiny_bert(32))
    assert sum(fused.facts["time_by_operator"].values()) == pytest.approx(1)


def operations_of_tiny_bert(length: int) -> dict[str, float]:
    """By hand: 2 layers, 32 wide, 64 neurons; pooler and classifier see one token."""
    layer = 2 * length * (4 * 32 * 32 + 2 * 32 * 64) + 4 * length * length * 32
    return {"fp32": 2.0 * layer + 2 * (32 * 32 + 32 * 2)}


def test_a_torch_folder_is_examined_as_it_runs(chain, monkeypatch):
    fork_children(monkeypatch, {"compress.doctor.examination": "torch"})
    found = examine(quickly(chain.artifacts["teacher"].path, row_tokens=[8, 9, 10]), silent)
    assert found.facts["format"] == "torch"
    assert found.facts["rows"] == {"count": 3, "median_tokens": 9, "max_tokens": 10}
    whats = [item.what for item in found.findings]
    assert "torch runs the model operator by operator, which is rarely the fastest" in whats
    assert "at 128 tokens a row, 93% of the tokens computed are padding" in whats


def test_what_kills_the_process_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("compress.doctor.examination.sys.executable", "/bin/false")
    with pytest.raises(CompressError, match=r"examining the model failed \(exit code 1"):
        examine(quickly(tmp_path), silent)


def test_rows_are_counted_in_the_models_own_tokens(chain, tmp_path):
    folder = chain.artifacts["onnx"].path
    assert row_tokens(folder, ["good film", "the film was good"], None) == [4, 6]
    assert row_tokens(folder, ["good film"], ["bad"]) == [6]
    assert len(row_tokens(folder, ["good"] * 4100, None)) == 1367
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        row_tokens(tmp_path, ["good"], None)
