"""What the store's manifests alone tell of an artifact."""

import shutil

import pytest

from compress.errors import CompressError, InputError
from compress.lineage.ancestry import UNKNOWN, find_lineage


def test_a_steps_manifest_leads_back_through_the_store(chain):
    found = find_lineage(chain.runs_dir / "tiny" / "steps" / "int8")
    assert [step.name for step in found.steps] == ["teacher", "student", "pruned", "onnx", "int8"]
    assert [step.key for step in found.steps] == [chain.artifacts[step.name].key for step in found.steps]
    assert found.steps[2].inputs == {"model": "student", "teacher": "teacher"}
    (source,) = found.sources
    assert source.key == chain.artifacts["teacher"].manifest.inputs["model"]
    assert (source.pinned, source.places) == (UNKNOWN, ("teacher.model",))
    assert (found.recipe, found.data, found.measured) == (None, None, None)


def test_in_the_store_itself_steps_are_called_by_their_folders(chain):
    found = find_lineage(chain.artifacts["student"].path)
    assert [step.name for step in found.steps] == [chain.artifacts[name].path.name for name in ("teacher", "student")]


def test_what_the_store_no_longer_holds_ends_the_chain(chain, tmp_path):
    shutil.copytree(chain.artifacts["onnx"].path, tmp_path / "store" / "onnx")
    found = find_lineage(tmp_path / "store" / "onnx")
    assert [step.name for step in found.steps] == ["onnx"]
    assert [source.key for source in found.sources] == [chain.artifacts["pruned"].key]


def test_manifests_that_name_each_other_in_a_circle_end(chain, tmp_path):
    keys = ("a" * 64, "b" * 64)
    for own, other in (keys, keys[::-1]):
        folder = tmp_path / f"distill-{own[:16]}"
        shutil.copytree(chain.artifacts["student"].path, folder)
        manifest = chain.artifacts["student"].manifest.model_copy(update={"key": own, "inputs": {"teacher": other}})
        (folder / "manifest.json").write_text(manifest.sealed().model_dump_json())
    found = find_lineage(tmp_path / f"distill-{'a' * 16}")
    assert [step.key for step in found.steps] == [keys[1], keys[0]]


def test_a_folder_that_tells_nothing_is_refused(tmp_path, chain):
    with pytest.raises(InputError, match=r"has neither lineage\.json nor manifest\.json") as caught:
        find_lineage(tmp_path)
    assert caught.value.fix == "give runs/NAME/final, runs/NAME/steps/STEP, or a folder that --out wrote"
    with pytest.raises(InputError, match="is no folder"):
        find_lineage(tmp_path / "none")
    run = chain.runs_dir / "tiny"
    with pytest.raises(InputError, match="has neither") as caught:
        find_lineage(run)
    assert caught.value.fix == f"give {run / 'final'}"


def test_a_damaged_manifest_is_told(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(CompressError, match="its manifest is missing or unreadable"):
        find_lineage(tmp_path)
