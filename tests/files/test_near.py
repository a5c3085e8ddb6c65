"""A path that leads nowhere: what stands beside it and was probably meant, told by all that read paths."""

from pathlib import Path

import pytest

from compress.errors import InputError
from compress.files.near import similar_name
from compress.models.folder import model_folder
from compress.recipe.shipped import find_recipe
from compress.report.two_reports import load_report


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("recipee.yaml", "recipe.yaml"),
        ("recipe.yml", None),
        ("fnal", "final"),
        ("other.yaml", None),
        ("no/a.yaml", None),
    ],
)
def test_a_near_name_has_the_same_ending(tmp_path: Path, wanted: str, found: str | None) -> None:
    (tmp_path / "recipe.yaml").touch()
    (tmp_path / "final").mkdir()
    assert similar_name(tmp_path / wanted) == found


def test_recipes_reports_and_models_are_proposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").touch()
    (tmp_path / "final").mkdir()
    fixes = []
    for call in (
        lambda: find_recipe("tinyy.yaml"),
        lambda: load_report(Path("finall"), "REPORT"),
        lambda: model_folder(Path("finall")),
    ):
        with pytest.raises(InputError) as caught:
            call()
        assert caught.value.fix is not None
        fixes.append(caught.value.fix)
    assert fixes[0].startswith("did you mean 'tiny.yaml'? accepted: a file, quickstart, ")
    assert fixes[1] == "did you mean 'final'? name a run's folder, or its report.json"
    assert fixes[2] == "did you mean 'final'? give a model's folder, such as runs/NAME/final"
