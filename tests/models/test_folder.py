"""What a model's folder from outside is refused for: links, pickles by the back door, damaged weights."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compress.errors import InputError
from compress.formats import check_folder
from compress.models.folder import check_weights
from compress.models.load import load, load_model


class Evil:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = str(trace)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.trace,)


@pytest.fixture
def model(make_model: Callable[..., Path], tmp_path: Path) -> Path:
    shutil.copytree(make_model(), tmp_path / "model")
    return tmp_path / "model"


def said(model: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        check_folder(model)
    assert str(caught.value.where).startswith(str(model))
    assert caught.value.fix
    return caught.value


def test_a_whole_model_passes_and_reads_nothing_beside_itself(model: Path) -> None:
    assert check_folder(model) == []


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "modeling.py"])
def test_a_link_out_of_the_folder_is_refused(model: Path, name: str) -> None:
    outside = model.parent / "outside"
    outside.write_bytes((model / name).read_bytes() if (model / name).exists() else b"import os")
    (model / name).unlink(missing_ok=True)
    (model / name).symlink_to(outside)
    assert said(model).what == f"'{name}' is a link that leads out of the model's folder"


@pytest.mark.parametrize("target", ["model.safetensors", "/dev/zero", "none"])
def test_a_link_that_leads_nowhere_or_to_a_device_is_refused(model: Path, target: str) -> None:
    (model / "model.safetensors").unlink()
    (model / "model.safetensors").symlink_to(target)
    assert said(model).what in {
        "'model.safetensors' is a link that leads out of the model's folder",
        "'model.safetensors' is no plain file",
    }


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_the_place_of_weights_is_refused_and_not_waited_for(model: Path) -> None:
    (model / "model.safetensors").unlink()
    os.mkfifo(model / "model.safetensors")
    assert said(model).what == "'model.safetensors' is no plain file"


def test_a_link_within_the_folder_is_followed(model: Path) -> None:
    (model / "weights").mkdir()
    (model / "model.safetensors").rename(model / "weights" / "w")
    (model / "model.safetensors").symlink_to(Path("weights") / "w")
    check_folder(model)
    assert load_model(model, "text-classification", labels=["a", "b"]).config.num_labels == 2


def hub_copy(model: Path, blobs: str = "blobs") -> Path:
    """The model as the hub's cache keeps it: links to blobs named by their hash."""
    repository = model.parent / "models--org--name"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / blobs).mkdir()
    for number, file in enumerate(sorted(model.iterdir())):
        shutil.copy(file, repository / blobs / f"{number:040x}")
        (snapshot / file.name).symlink_to(Path("..") / ".." / blobs / f"{number:040x}")
    return snapshot


def test_the_links_of_the_hubs_cache_are_followed_into_its_blobs_and_nowhere_else(model: Path) -> None:
    snapshot = hub_copy(model)
    check_folder(snapshot)
    assert load_model(snapshot, "text-classification", labels=["a", "b"]).config.num_labels == 2
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to(Path("..") / ".." / "refs")
    assert said(snapshot).what == "'config.json' is a link that leads out of the model's folder"


def test_a_folder_that_only_looks_like_the_hubs_cache_is_refused(model: Path) -> None:
    assert "leads out of the model's folder" in said(hub_copy(model, blobs="others")).what


@pytest.mark.parametrize("left", [0, 4, 8, 100, -1])
def test_safetensors_that_are_cut_off_are_one_clear_error(model: Path, left: int) -> None:
    file = model / "model.safetensors"
    size = left if left >= 0 else file.stat().st_size - 1
    os.truncate(file, size)
    error = said(model)
    assert error.what.startswith(f"'model.safetensors' is damaged or cut off ({size:,} bytes): ")
    assert error.where == str(file)
    for read in (lambda: load(model), lambda: load_model(model, "text-classification")):
        with pytest.raises(InputError, match="damaged or cut off"):
            read()


@pytest.mark.parametrize(
    "raw",
    [
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        (2**63).to_bytes(8, "little"),
        (2).to_bytes(8, "little") + b"[]",
        (57).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,9999]}}',
        b"\x80\x04\x95" + pickle.dumps({"a": 1}),
    ],
    ids=["git lfs", "header without end", "no object", "bytes that are not there", "pickle"],
)
def test_what_is_no_safetensors_is_one_clear_error(model: Path, raw: bytes) -> None:
    (model / "model.safetensors").write_bytes(raw)
    assert said(model).what.startswith(f"'model.safetensors' is damaged or cut off ({len(raw):,} bytes)")


def shard(model: Path, **weight_map: Any) -> Path:
    """Turn the model into a sharded one whose index says `weight_map`."""
    (model / "model.safetensors").rename(model / "model-00001-of-00001.safetensors")
    index = model / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return index


def test_a_sharded_model_loads(model: Path) -> None:
    from safetensors import safe_open

    with safe_open(model / "model.safetensors", framework="numpy") as file:
        names = list(file.keys())
    shard(model, **dict.fromkeys(names, "model-00001-of-00001.safetensors"))
    check_folder(model)
    assert load_model(model, "text-classification", labels=["a", "b"]).config.num_labels == 2


@pytest.mark.parametrize(
    "name", ["../outside.safetensors", "/etc/hosts", "sub/a.safetensors", "..\\a.safetensors", "none.safetensors", ""]
)
def test_an_index_that_names_what_does_not_stand_beside_it_is_refused(model: Path, name: str) -> None:
    (model / "sub").mkdir()
    for place in (model / "sub" / "a.safetensors", model.parent / "outside.safetensors"):
        shutil.copy(model / "model.safetensors", place)
    shard(model, a=name)
    assert said(model).what == (
        f"'model.safetensors.index.json' names '{name}', which is no safetensors file beside it"
    )


@pytest.mark.parametrize("content", ["[]", '{"weight_map": []}', '{"weight_map": {"a": 3}}', "{}", "{", "[" * 99_999])
def test_an_index_that_is_none_is_refused(model: Path, content: str) -> None:
    index = shard(model)
    index.write_text(content)
    assert "model.safetensors.index.json" in said(model).what


def test_pickles_are_never_read_whatever_names_them(model: Path) -> None:
    trace = model.parent / "unpickled"
    for name in ("pytorch_model.bin", "adapter_model.bin", "shard.bin"):
        (model / name).write_bytes(pickle.dumps(Evil(trace)))
    check_folder(model)
    load_model(model, "text-classification", labels=["a", "b"])
    before = (model / "config.json").read_text()
    (model / "config.json").write_text(json.dumps({**json.loads(before), "transformers_weights": "adapter_model.bin"}))
    with pytest.raises(InputError, match=r"transformers_weights: 'adapter_model\.bin', a file that is read instead"):
        load_model(model, "text-classification", labels=["a", "b"])
    (model / "config.json").write_text(before)
    shard(model, a="shard.bin")
    for read in (lambda: load(model), lambda: load_model(model, "text-classification", labels=["a", "b"])):
        with pytest.raises(InputError, match=r"names 'shard\.bin', which is no safetensors file beside it"):
            read()
    assert not trace.exists()


def test_an_adapter_is_no_model(model: Path) -> None:
    (model / "adapter_config.json").write_text('{"base_model_name_or_path": "/elsewhere"}')
    with pytest.raises(InputError, match="the folder holds an adapter, which is no model of its own") as caught:
        check_weights(model)
    assert "merge_and_unload" in str(caught.value.fix)


def test_nothing_in_the_program_unpickles_or_loads_foreign_operators() -> None:
    import compress

    source = "\n".join(path.read_text(encoding="utf-8") for path in Path(compress.__file__).parent.rglob("*.py"))
    for forbidden in ("torch.load(", "pickle.load", "allow_pickle=True", "register_custom_ops", "add_extension("):
        assert forbidden not in source
    assert source.count("use_safetensors") == source.count('"use_safetensors": True') + source.count(
        "use_safetensors=True"
    )
    assert source.count("np.load(") + source.count("np.save(") == source.count("allow_pickle=False")
