"""The final folder of a run: what stands in it, what it shares, and when it is left alone."""

import errno
import os
import shutil
from typing import get_args

import pytest

from compress.files import whole as files
from compress.files.whole import file_sha256, fingerprint, folder_files
from compress.formats import onnx
from compress.lineage import final as final_module
from compress.lineage.final import write_final
from compress.lineage.model import changed_files, read_lineage
from compress.measurement import QualityVerdict
from compress.running.folder import dump_recipe
from compress.store.artifacts import check_files
from compress.use import asked
from tests.chain import FAST
from tests.report.reports import sample_report

from .lineages import LAST, lineage_of


@pytest.fixture
def written(chain, make_model, reviews, tmp_path):
    """Writes the final folder of the chain up to int8, and says whether there was anything to do."""
    plan, _ = lineage_of(chain, make_model, reviews)

    def write(artifacts=chain.artifacts, report=None):
        return write_final(plan, artifacts, tmp_path, report, dump_recipe(plan))

    assert write() is True
    return write


def inodes(folder):
    return {name: (folder / name).stat().st_ino for name in folder_files(folder)}


def test_it_holds_the_artifacts_files_its_lineage_and_its_card(chain, written, tmp_path):
    made = chain.artifacts[LAST]
    assert set(folder_files(tmp_path / "final")) == {*made.manifest.files, "lineage.json", "README.md"}
    told = read_lineage(tmp_path / "final")
    assert told.adapted.keys() == {"tokenizer.json", "tokenizer_config.json"}
    assert told.files == made.manifest.files | told.adapted
    assert changed_files(tmp_path / "final", told.files) == []
    assert [path.name for path in tmp_path.iterdir()] == ["final"]


def test_it_counts_as_made_here_with_the_files_that_were_adapted(written, tmp_path):
    final = tmp_path / "final"
    assert asked._hashes(final, onnx.FORMAT).items() <= asked._files_as_made(final).items()
    (final / "tokenizer.json").write_text((final / "tokenizer.json").read_text() + " ")
    assert not asked._hashes(final, onnx.FORMAT).items() <= asked._files_as_made(final).items()


def test_a_run_writes_it(chain):
    lineage = read_lineage(chain.runs_dir / "tiny" / "final")
    assert (lineage.final.name, lineage.final.key) == ("nf4", chain.artifacts["nf4"].key)
    assert [step.name for step in lineage.steps] == ["teacher", "nf4"]  # what led to it, and nothing else


def test_only_weights_may_be_shared_with_the_store_which_stays_whole(chain, written, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_clone", lambda source, target: False)
    shutil.rmtree(tmp_path / "final")
    assert written() is True
    made = chain.artifacts[LAST].path
    shared = {
        name for name in chain.artifacts[LAST].manifest.files if (tmp_path / "final" / name).samefile(made / name)
    }
    assert shared == {"model.onnx"}
    assert (tmp_path / "final" / "model.onnx").stat().st_mode & 0o777 == 0o444
    for name in ("config.json", "tokenizer.json", "README.md"):
        (tmp_path / "final" / name).write_text("edited")
    check_files(chain.artifacts[LAST])


def test_it_is_left_alone_when_nothing_changed_and_so_is_an_edited_card(written, tmp_path):
    (tmp_path / "final" / "README.md").write_text("mine")
    before = inodes(tmp_path / "final")
    assert written() is False
    assert inodes(tmp_path / "final") == before
    assert (tmp_path / "final" / "README.md").read_text() == "mine"


@pytest.mark.parametrize("name", ["config.json", "model.onnx", "tokenizer.json", "lineage.json", "README.md"])
def test_what_is_missing_or_damaged_is_written_again(written, tmp_path, name):
    before = file_sha256(tmp_path / "final" / "config.json")
    (tmp_path / "final" / name).unlink()
    assert written() is True
    if name != "README.md":
        (tmp_path / "final" / name).unlink()
        (tmp_path / "final" / name).write_text("{}")
        assert written() is True
    assert file_sha256(tmp_path / "final" / "config.json") == before
    assert written() is False


def test_new_figures_are_told(written, tmp_path):
    assert read_lineage(tmp_path / "final").unmeasured == "nothing was measured: the recipe has no targets"
    assert written(report=sample_report()) is True
    lineage = read_lineage(tmp_path / "final")
    assert (lineage.unmeasured, lineage.measured.targets[0].final.step) == (None, LAST)
    assert written(report=sample_report()) is False


def test_a_disk_that_fails_leaves_the_one_of_before(written, tmp_path, monkeypatch):
    before = inodes(tmp_path / "final")

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(final_module, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        written(report=sample_report())
    assert inodes(tmp_path / "final") == before
    assert [path.name for path in tmp_path.iterdir()] == ["final"]


def test_the_lineage_tells_each_step_as_its_manifest_does(chain, make_model, reviews):
    _, lineage = lineage_of(chain, make_model, reviews)
    assert [step.name for step in lineage.steps] == ["teacher", "student", "pruned", "onnx", "int8"]
    for step in lineage.steps:
        manifest = chain.artifacts[step.name].manifest
        for part in ("stage", "version", "key", "config", "files", "facts", "versions", "host", "seed", "created"):
            assert getattr(step, part) == getattr(manifest, part), part
        by_name = {other.name: other.key for other in lineage.steps}
        for role, value in step.inputs.items():
            source = lineage.source(value)
            assert manifest.inputs[role] == (fingerprint(source.key) if source else by_name[value])
    assert lineage.steps[0].config["epochs"] == 16
    assert FAST["epochs"] == lineage.steps[1].config["epochs"]
    assert lineage.steps[2].inputs == {"model": "student", "teacher": "teacher"}


def test_the_lineage_tells_the_sources_and_the_rows(chain, make_model, reviews):
    plan, lineage = lineage_of(chain, make_model, reviews)
    rows, model = lineage.sources
    train = str(reviews / "train.csv")
    assert (rows.kind, rows.said, rows.pinned, rows.places) == ("table", train, train, ("task.train",))
    assert rows.files == {"train.csv": file_sha256(reviews / "train.csv")}
    assert (model.kind, model.places) == ("model", ("teacher.model",))
    assert model.files["model.safetensors"] == file_sha256(make_model() / "model.safetensors")
    data = lineage.data
    assert (data.train_rows, data.validation_rows, data.test_rows) == (48, 16, 0)
    assert (data.train_key, data.test_key) == (plan.task.train_key, plan.task.test_key)
    assert (data.labels, data.hub_task) == (("bad", "good"), "text-classification")


def test_the_figures_are_the_reports(chain, make_model, reviews):
    report = sample_report(targets=("cpu", "other"))
    _, lineage = lineage_of(chain, make_model, reviews, report=report)
    assert [item.target for item in lineage.measured.targets] == ["cpu", "other"]
    for item in lineage.measured.targets:
        rows = {row.step: row for row in report.on(item.target)}
        for found, row in ((item.final, rows[LAST]), (item.baseline, rows["teacher"])):
            assert (found.step, found.score, found.size_bytes) == (row.step, row.quality, row.size_bytes)
            assert (found.p50_ms, found.p90_ms) == (row.latency_ms.p50, row.latency_ms.p90)
            assert found.versus_baseline == row.versus_baseline
        assert item.final.versus_baseline.quality_verdict in get_args(QualityVerdict)
        assert item.conditions == report.conditions[item.target]
    assert (lineage.measured.host, lineage.measured.created) == (report.host, report.created)


def test_a_step_that_could_not_be_measured_says_why(chain, make_model, reviews):
    report = sample_report(failed={LAST: "it was killed by signal 9"})
    _, lineage = lineage_of(chain, make_model, reviews, report=report)
    found = lineage.measured.targets[0].final
    assert (found.status, found.reason, found.score) == ("failed", "it was killed by signal 9", None)
