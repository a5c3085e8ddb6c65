"""Models that come from outside: their files are checked before they count as artifacts."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path

from compress.data.sources import MODEL_FILES, Fetched
from compress.errors import InputError
from compress.files import file_sha256, fingerprint
from compress.models.config_bounds import check_config_fits
from compress.models.config_file import read_config
from compress.models.folder import check_folder
from compress.models.tokenizer import load_tokenizer
from compress.store import Artifact
from compress.trial import try_tokenizer


def outside_artifact(fetched: Fetched, texts: Callable[[], Sequence[str]] = list) -> Artifact:
    """A model from outside, once its files are checked; all that is read of it counts in the key.

    Args:
        texts: gives those that its tokenizer will be used on.

    Raises:
        InputError: a file is damaged, leads out of the folder, or says what no model has.
    """
    beside = check_folder(fetched.path)
    check_config_fits(fetched.path)
    try_tokenizer(fetched.path, texts)
    load_tokenizer(fetched.path).encode(["a"], None, 8)  # some files are found to be damaged only when used
    uncounted = [name for name in beside if "/" in name or not any(fnmatch(name, pattern) for pattern in MODEL_FILES)]
    hashes = {name: file_sha256(fetched.path / name) for name in uncounted}
    key = fingerprint([fetched.key, hashes] if hashes else fetched.key)
    return Artifact(fetched.path, key, format_of(fetched.path))


def format_of(folder: Path) -> str:
    """Format of a model folder that came from outside.

    Raises:
        InputError: its config.json cannot be read, or its weights are quantized in a way that is not known.
    """
    if any(folder.glob("*.onnx")):
        return "onnx"
    quantized = read_config(folder).get("quantization_config")
    if not quantized:
        return "torch"
    method = quantized.get("quant_method")
    if method != "bitsandbytes":
        raise InputError(
            f"the model's weights are quantized by {method!r:.60}, which is not known here",
            where=str(folder / "config.json"),
            fix="take the float model that it was made from; of quantized torch weights, only bitsandbytes' are read",
        )
    return "torch_bnb"
