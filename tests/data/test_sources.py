import hashlib
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from compress.data.sources import Sources, folder_hashes
from compress.errors import CompressError, InputError
from compress.files.whole import fingerprint

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CARD = """\
---
configs:
- config_name: short
  data_files: [{split: train, path: short.csv}]
- config_name: long
  data_files: [{split: train, path: long.csv}]
---
"""


def write_model(folder, weights="model.safetensors"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "tokenizer.json").write_text("{}")
    (folder / weights).write_bytes(b"weights")
    return folder


def refused(get, source, kind=InputError):
    with pytest.raises(kind) as caught:
        get(source, "recipe.yaml:4")
    assert caught.value.where == "recipe.yaml:4"
    assert caught.value.fix
    return caught.value


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Adds a repository to a hub cache that alone can be reached; returns the folder of its commit."""
    import datasets
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "arrow")

    def add(kind, name):
        repository = cache / f"{kind}s--{name.replace('/', '--')}"
        snapshot = repository / "snapshots" / COMMIT
        snapshot.mkdir(parents=True)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(COMMIT)
        return snapshot

    return add


@pytest.fixture
def reviews_on_hub(hub):
    folder = hub("dataset", "org/reviews")
    (folder / "train.csv").write_text("text,label\na fine film,good\na bad film,bad\n")
    (folder / "test.csv").write_text("text,label\nso so,bad\n")
    return folder


def test_a_local_model_is_named_by_its_content(tmp_path):
    write_model(tmp_path / "one")
    write_model(tmp_path / "two")
    one, two = (Sources(tmp_path).model(name) for name in ("one", "two"))
    assert (one.path, one.key) == (tmp_path / "one", f"folder:{fingerprint(folder_hashes(tmp_path / 'one'))}")
    assert two.key == one.key


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.txt", "modeling.py"])
def test_a_local_models_key_changes_with_each_file_that_is_read(tmp_path, name):
    before = Sources().model(str(write_model(tmp_path / "a"))).key
    (tmp_path / "a" / name).write_text('{"model_type": "other"}')
    assert Sources().model(str(tmp_path / "a")).key != before


def test_a_local_models_key_does_not_mind_files_that_are_not_read(tmp_path):
    before = Sources().model(str(write_model(tmp_path / "a"))).key
    (tmp_path / "a" / "README.md").write_text("about")
    (tmp_path / "a" / "runs").mkdir()
    assert Sources().model(str(tmp_path / "a")).key == before


def test_an_onnx_model_is_a_model(tmp_path):
    write_model(tmp_path / "a", "model.onnx")
    assert Sources(tmp_path).model("a").path == tmp_path / "a"


def test_an_absolute_path_and_the_home_folder_are_understood(tmp_path, monkeypatch):
    write_model(tmp_path / "a")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Sources(tmp_path / "elsewhere").model(str(tmp_path / "a")).path == tmp_path / "a"
    assert Sources(tmp_path / "elsewhere").model("~/a").path == tmp_path / "a"


def test_a_folder_without_a_config_is_no_model(tmp_path):
    write_model(tmp_path / "a")
    (tmp_path / "a" / "config.json").unlink()
    assert refused(Sources(tmp_path).model, "a").what == "the model 'a' has no config.json"


def test_a_folder_without_weights_is_no_model(tmp_path):
    write_model(tmp_path / "a", "notes.txt")
    assert refused(Sources(tmp_path).model, "a").what == "the model 'a' has no weights"


def test_a_file_is_no_model(tmp_path):
    (tmp_path / "a").write_text("x")
    assert refused(Sources(tmp_path).model, "a").what == "the model 'a' is not a folder"


@pytest.mark.parametrize("weights", ["pytorch_model.bin", "model.pt", "model.pth", "model.ckpt", "m.pkl"])
def test_pickled_weights_are_refused(tmp_path, weights):
    write_model(tmp_path / "a", weights)
    error = refused(Sources(tmp_path).model, "a")
    assert error.what == (f"the weights of 'a' are pickled ({weights}); reading them could run foreign code")
    assert "safetensors" in error.fix


def test_pickled_weights_beside_safe_ones_are_not_read(tmp_path):
    write_model(tmp_path / "a")
    before = Sources(tmp_path).model("a").key
    (tmp_path / "a" / "pytorch_model.bin").write_bytes(b"pickle")
    assert Sources(tmp_path).model("a").key == before


def test_a_missing_path_tells_where_it_was_looked_for(tmp_path):
    error = refused(Sources(tmp_path).model, "./none")
    assert error.what == "the model './none' does not exist"
    assert f"checked {tmp_path / 'none'}; " in error.fix
    assert "hf://org/name@revision" in error.fix


def test_a_path_that_no_disk_can_hold_is_refused(tmp_path):
    error = refused(Sources(tmp_path).table, "x" * 5000)
    assert error.what == f"the data file '{'x' * 80}' cannot be looked for: File name too long"


def test_weights_that_may_not_be_read_are_told(tmp_path, monkeypatch):
    folder = write_model(tmp_path / "model")

    def closed(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("compress.data.sources.file_sha256", closed)
    with pytest.raises(InputError, match=r"the model 'model' cannot be read: Permission denied") as caught:
        Sources(tmp_path).model("model", "recipe.yaml:4")
    assert caught.value.where.startswith(str(folder))


@pytest.mark.parametrize("get", ["model", "table"])
def test_a_missing_path_that_looks_like_a_hub_name_suggests_the_hub(tmp_path, get):
    error = refused(getattr(Sources(tmp_path), get), "org/tiny-bert.v2")
    split = "?split=train" if get == "table" else ""
    assert error.fix.startswith(f"did you mean hf://org/tiny-bert.v2{split}, on the hub? checked /")
    assert str(tmp_path / "org" / "tiny-bert.v2") in error.fix


@pytest.mark.parametrize("source", ["../models/a", "../a", "a", "/none/a"])
def test_a_missing_path_that_cannot_be_a_hub_name_does_not_suggest_the_hub(tmp_path, source):
    assert "hf://org/name@revision" in refused(Sources(tmp_path).model, source).fix


@pytest.mark.parametrize(
    ("get", "source", "meant"),
    [
        ("model", "bert-base-uncased", "hf://bert-base-uncased, "),
        ("model", "gpt2", "hf://gpt2, "),
        ("table", "imdb", "hf://imdb?split=train, "),
        ("table", "stanfordnlp/sst2", "hf://stanfordnlp/sst2?split=train, "),
    ],
)
def test_a_name_of_the_hub_without_its_beginning_is_told(tmp_path, get, source, meant):
    assert refused(getattr(Sources(tmp_path), get), source).fix.startswith(f"did you mean {meant}on the hub?")


@pytest.mark.parametrize("source", ["train.csv", "train.csv.gz", "data/train.JSONL", "../imdb", "~/imdb"])
def test_a_missing_file_of_rows_is_not_looked_for_on_the_hub(tmp_path, source):
    assert "hf://org/name@revision" in refused(Sources(tmp_path).table, source).fix


def test_a_local_table_is_read_from_the_recipes_folder(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\nhello,1\n")
    assert Sources(tmp_path).table("a.csv").rows == [("hello", "1")]
    assert refused(Sources(tmp_path / "b").table, "a.csv").what == "the data file 'a.csv' does not exist"


@pytest.mark.parametrize("source", ["hf://org/tiny", "hf://org/tiny@main", f"hf://org/tiny@{COMMIT}"])
def test_a_hub_model_is_named_by_its_commit(hub, source):
    folder = write_model(hub("model", "org/tiny"))
    told = []
    fetched = Sources(announce=told.append).model(source)
    assert (fetched.path, fetched.key) == (folder, f"hf:org/tiny@{COMMIT}")
    assert told == []


def test_of_a_hub_model_only_what_stands_at_the_top_is_fetched(hub, monkeypatch):
    import huggingface_hub
    from huggingface_hub.utils import filter_repo_objects

    folder = write_model(hub("model", "org/tiny"))
    asked = {}
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **options: asked.update(options) or folder)
    Sources().model("hf://org/tiny@main")
    at_the_top = ["config.json", "model.onnx", "model.onnx_data", "model.safetensors", "tokenizer.json", "vocab.txt"]
    elsewhere = [
        "onnx/model_fp16.onnx",
        "onnx/config.json",
        "1_Pooling/config.json",
        "pytorch_model.bin",
        "tf_model.h5",
    ]
    patterns = {name: asked[name] for name in ("allow_patterns", "ignore_patterns")}
    assert list(filter_repo_objects([*at_the_top, *elsewhere], **patterns)) == at_the_top


def test_a_hub_model_with_pickled_weights_is_refused(hub):
    write_model(hub("model", "org/tiny"), "pytorch_model.bin")
    assert "are pickled (pytorch_model.bin)" in refused(Sources().model, "hf://org/tiny").what


def test_a_hub_model_that_is_not_there_is_an_error_of_the_work(hub):
    error = refused(Sources().model, "hf://org/none@main", CompressError)
    assert error.what.startswith("cannot fetch the model 'org/none@main': ")
    assert (error.exit_code, "network" in error.fix) == (1, True)


def test_a_missing_pinned_commit_is_announced_before_it_is_fetched(hub):
    write_model(hub("model", "org/tiny"))
    told = []
    refused(Sources(announce=told.append).model, f"hf://org/tiny@{'f' * 40}", CompressError)
    assert told == ["downloading org/tiny@ffffffff from the hub"]


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("hf://org/a/b", "'hf://org/a/b' is not a hub source"),
        ("hf://", "'hf://' is not a hub source"),
        ("hf://org/a b", "is not a hub source"),
        ("hf://org/rows?splt=train", "asks for splt"),
    ],
)
def test_a_hub_source_that_is_wrong_is_refused(source, what):
    assert what in refused(Sources().table, source).what


@pytest.mark.parametrize("revision", ["", "@main", f"@{COMMIT}"])
def test_a_hub_dataset_gives_one_split(reviews_on_hub, revision):
    table = Sources().table(f"hf://org/reviews{revision}?split=train")
    assert table.columns == ("text", "label")
    assert table.rows == [("a fine film", "good"), ("a bad film", "bad")]
    assert table.name == f"hf://org/reviews{revision}?split=train"
    assert Sources().table(f"hf://org/reviews{revision}?split=test").rows == [("so so", "bad")]


@pytest.mark.parametrize("query", ["", "?split=dev"])
def test_an_unknown_split_lists_the_splits(reviews_on_hub, query):
    error = refused(Sources().table, f"hf://org/reviews@main{query}")
    assert error.what == f"the dataset 'hf://org/reviews@main{query}' has the splits train, test"
    assert error.fix == "name one: hf://org/reviews@main?split=train"


def test_a_hub_dataset_without_its_reader_names_the_extra_before_it_is_fetched(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.setattr("compress.extras.find_spec", lambda name: None if name == "datasets" else find_spec(name))
    monkeypatch.setattr("compress.data.sources._snapshot", lambda *_: pytest.fail("it was fetched"))
    error = refused(Sources().table, "hf://org/reviews?split=train")
    assert error.what == "a data set of the hub needs the package datasets, which is not installed"
    assert error.fix == 'pip install "compress-models[datasets]"'


def test_a_hub_dataset_of_jsonl_writes_numbers_as_text(hub):
    folder = hub("dataset", "org/rows")
    rows = [{"text": "a", "stars": 5, "note": None}, {"text": "b", "stars": 1, "note": "x"}]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    table = Sources().table("hf://org/rows?split=train")
    assert table.columns == ("text", "stars", "note")
    assert table.rows == [("a", "5", ""), ("b", "1", "x")]


def test_a_hub_datasets_class_numbers_become_their_names(hub):
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    data = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, -1]}, features=features)
    data.to_parquet(hub("dataset", "org/classes") / "train.parquet")
    table = Sources().table("hf://org/classes?split=train")
    assert table.rows == [("a", "good"), ("b", "bad"), ("c", "")]


def test_each_class_column_of_a_hub_dataset_has_its_own_names(hub):
    import datasets

    names = {"stars": ["one", "two"], "label": ["bad", "good"]}
    features = {name: datasets.ClassLabel(names=known) for name, known in names.items()}
    features = datasets.Features({**features, "text": datasets.Value("string")})
    data = datasets.Dataset.from_dict({"stars": [0, 1], "label": [1, 0], "text": ["a", "b"]}, features=features)
    data.to_parquet(hub("dataset", "org/classes") / "train.parquet")
    table = Sources().table("hf://org/classes?split=train")
    assert table.rows == [("one", "good", "a"), ("two", "bad", "b")]


def test_a_hub_dataset_with_configurations_gives_the_named_one(hub):
    folder = hub("dataset", "org/lengths")
    (folder / "README.md").write_text(CARD)
    (folder / "short.csv").write_text("text,label\na,1\n")
    (folder / "long.csv").write_text("text,label\naaa,1\n")
    assert Sources().table("hf://org/lengths?config=long&split=train").rows == [("aaa", "1")]
    error = refused(Sources().table, "hf://org/lengths?config=none&split=train")
    assert error.what.startswith("cannot read the dataset 'hf://org/lengths?config=none&split=train'")
    assert "short" in error.what
    assert "long" in error.what


def test_a_hub_dataset_with_code_of_its_own_is_refused(hub):
    folder = hub("dataset", "org/script")
    (folder / "script.py").write_text("raise SystemExit(9)")
    assert refused(Sources().table, "hf://org/script?split=train").what.startswith("cannot read the dataset")


@pytest.mark.parametrize("place", ["{outside}", "../{name}", "file://{outside}", "link.csv", "data/link.csv"])
def test_a_hub_dataset_whose_description_leads_out_of_its_folder_is_refused(hub, tmp_path, place):
    folder = hub("dataset", "org/evil")
    outside = folder.parent / "secret.csv"
    outside.write_text("text,label\nsecret,1\n")
    (folder / "data").mkdir()
    for link in (folder / "link.csv", folder / "data" / "link.csv"):
        link.symlink_to(outside)
    place = place.format(outside=outside, name=outside.name)
    (folder / "README.md").write_text(CARD.replace("short.csv", place).partition("- config_name: long")[0] + "---\n")
    error = refused(Sources().table, "hf://org/evil?split=train")
    assert error.what.startswith("the dataset 'hf://org/evil?split=train' names '")
    assert error.what.endswith("', outside of its folder")


def test_a_hub_datasets_files_are_links_to_its_blobs(hub):
    folder = hub("dataset", "org/linked")
    blobs = folder.parents[1] / "blobs"
    blobs.mkdir()
    (blobs / "1").write_text("text,label\na,1\n")
    (folder / "data").mkdir()
    (folder / "data" / "train.csv").symlink_to("../../../blobs/1")
    assert Sources().table("hf://org/linked?split=train").rows == [("a", "1")]


def test_the_cache_stands_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPRESS_CACHE", str(tmp_path / "c"))
    assert Sources().cache == tmp_path / "c"
    monkeypatch.delenv("COMPRESS_CACHE")
    assert Sources().cache.name == "compress"


def test_what_was_read_is_noted_with_what_names_its_content(tmp_path, reviews_on_hub, hub, monkeypatch):
    write_model(tmp_path / "a")
    (tmp_path / "a.csv").write_text("text,label\nhello,1\n")
    write_model(hub("model", "org/tiny"))
    monkeypatch.chdir(tmp_path)
    sources = Sources(Path())
    sources.model("a")
    sources.model("hf://org/tiny@main")
    sources.table("a.csv")
    sources.table("hf://org/reviews?split=train")
    used = sources.used
    assert list(used) == [
        ("model", "a"),
        ("model", "hf://org/tiny@main"),
        ("table", "a.csv"),
        ("table", "hf://org/reviews?split=train"),
    ]
    local, model, table, rows = used.values()
    assert (local.pinned, local.files) == (str(tmp_path / "a"), folder_hashes(tmp_path / "a"))
    assert local.key == f"folder:{fingerprint(folder_hashes(tmp_path / 'a'))}"
    assert (model.pinned, model.key, model.files) == (f"hf://org/tiny@{COMMIT}", f"hf:org/tiny@{COMMIT}", {})
    sha256 = hashlib.sha256(b"text,label\nhello,1\n").hexdigest()
    assert (table.pinned, table.key, table.files) == (
        str(tmp_path / "a.csv"),
        f"file:{sha256}",
        {"a.csv": sha256},
    )
    assert (rows.pinned, rows.key) == (f"hf://org/reviews@{COMMIT}?split=train", f"hf:org/reviews@{COMMIT}")


@pytest.mark.parametrize("name", ["manifest.json", "lineage.json"])
def test_a_models_key_does_not_mind_what_only_tells_of_it(tmp_path, name):
    before = folder_hashes(write_model(tmp_path / "a"))
    (tmp_path / "a" / name).write_text('{"created": "today"}')
    assert folder_hashes(tmp_path / "a") == before


@pytest.mark.parametrize(("written", "near"), [("finl", "final"), ("held-out.csv", None)])
def test_a_name_that_is_near_is_proposed(written: str, near: str | None, tmp_path: Path) -> None:
    (tmp_path / "final").mkdir()
    with pytest.raises(InputError) as error:
        Sources(folder=tmp_path).model(written)
    assert error.value.fix is not None
    assert ("did you mean 'final'?" in error.value.fix) == (near is not None)
