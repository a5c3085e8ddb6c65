"""lineage.json: written and read to the same, and refused in words where it is damaged."""

import json

import pytest

from compress.errors import InputError
from compress.lineage.model import changed_files, read_lineage, write_lineage

from .lineages import measured_lineage


@pytest.fixture
def lineage(chain, make_model, reviews):
    return measured_lineage(chain, make_model, reviews)


def test_it_reads_back_to_the_same(lineage, tmp_path):
    write_lineage(lineage, tmp_path)
    assert read_lineage(tmp_path) == lineage
    assert read_lineage(tmp_path).key == lineage.key


def test_its_key_is_that_of_what_it_tells_whenever_that_was_written(lineage):
    later = lineage.model_copy(update={"created": "2031-01-01T00:00:00+00:00", "compress_version": "9"})
    assert later.key == lineage.key
    assert lineage.model_copy(update={"seed": 7}).key != lineage.key


def edit(**changes):
    return lambda content: json.dumps({**content, **changes})


DAMAGES = {
    "cut off": (lambda content: json.dumps(content)[:500], "lineage.json is damaged: "),
    "not JSON": (lambda content: "\x00", "lineage.json is damaged: "),
    "a list": (lambda content: "[]", "lineage.json is damaged: '': input should be"),
    "nested without end": (lambda content: "[" * 100_000, "lineage.json is damaged: "),
    "no steps": (edit(steps=[]), "lineage.json is damaged: 'steps': "),
    "an unknown key": (edit(more=1), "lineage.json is damaged: 'more': extra inputs"),
    "an older format": (edit(format=0), "lineage.json is damaged: 'format': input should be 1 or 2"),
    "a newer format": (edit(format=3), "lineage.json is of format 3; this compress reads 2"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_refused_with_where_and_a_fix(lineage, tmp_path, name):
    damage, message = DAMAGES[name]
    content = json.loads(lineage.model_dump_json())
    (tmp_path / "lineage.json").write_text(damage(content))
    with pytest.raises(InputError) as caught:
        read_lineage(tmp_path)
    assert caught.value.what.startswith(message)
    assert caught.value.where == str(tmp_path / "lineage.json")
    assert caught.value.fix


@pytest.mark.parametrize("name", ["../outside", "/etc/hosts", "a/../../b"])
@pytest.mark.parametrize("place", ["files", "adapted"])
def test_a_file_outside_of_the_folder_is_never_looked_at(lineage, tmp_path, name, place):
    content = json.loads(lineage.model_dump_json())
    files = content["adapted"] if place == "adapted" else content["steps"][-1]["files"]
    files[name] = "0" * 64
    (tmp_path / "lineage.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="leaves the folder"):
        read_lineage(tmp_path)


def test_each_file_that_differs_is_told(tmp_path):
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    sha = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"  # of "a"
    assert changed_files(tmp_path, {"a": sha, "b": sha, "c": sha}) == [
        "'b' differs: its SHA-256 is 3e23e8160039…, ca978112ca1b… was recorded",
        "'c' is missing",
    ]
