"""Models that cannot become an ONNX graph that is right at every length, known by their config.json alone.

They are the families that cannot be traced, and those whose trace is wrong at other lengths than the traced one. All
others are traced, and then compared with torch at many lengths.
"""

from collections.abc import Mapping
from typing import Any

ONE_LENGTH = "its code lays out {} for the length that is traced"
NOT_EXPORTED: Mapping[str, str] = {
    "bigbird_pegasus": ONE_LENGTH.format("blocks of tokens"),
    "canine": ONE_LENGTH.format("chunks of characters"),
    "fnet": "ONNX has no operator that this exporter could write its Fourier transform as",
    "funnel": ONE_LENGTH.format("what is pooled"),
    "jamba": "its state-space layers run another code for each length",
    "longformer": ONE_LENGTH.format("windows and padding"),
    "nystromformer": "it takes texts that are padded to segment_means_seq_len alone",
    "perceiver": "it takes texts that are padded to max_position_embeddings alone",
    "reformer": ONE_LENGTH.format("chunks and hashes"),
    "tapas": "it reads tables, and needs more than a text's tokens",
    "zamba": "its state-space layers run another code for each length",
    "zamba2": "its state-space layers run another code for each length",
}
"""Family -> the reason why it has no graph."""
POOLED_AT_END = ("bart", "mbart", "mt5", "mvp", "plbart", "t5", "umt5")
"""Families whose classifier reads the last end token of a text."""


def why_not_exportable(config: Mapping[str, Any], longest: int) -> tuple[str, str] | None:
    """The reason why a model has no ONNX graph that is right up to `longest` tokens, with a fix; None if none is known.

    Args:
        config: content of the model's config.json.
        longest: tokens of the longest text for the graph.
    """
    family = str(config.get("model_type"))
    if family in NOT_EXPORTED:
        return f"a {family} model cannot be exported to ONNX: {NOT_EXPORTED[family]}", IN_TORCH
    if family == "big_bird":
        return _big_bird(config, longest)
    return None


def _big_bird(config: Mapping[str, Any], longest: int) -> tuple[str, str] | None:
    """BigBird's reason: beyond some length it attends to blocks of tokens (transformers' BigBirdModel.forward)."""
    if config.get("attention_type", "block_sparse") != "block_sparse":
        return None
    block, random_blocks = config.get("block_size", 64), config.get("num_random_blocks", 3)
    if not isinstance(block, int) or not isinstance(random_blocks, int):
        return None  # transformers refuses it
    whole = (5 + 2 * random_blocks) * block
    if longest <= whole:
        return None
    return (
        f"a big_bird model attends to blocks of texts beyond {whole} tokens, which cannot be exported to ONNX, and "
        f"texts of up to {longest} are asked for",
        f"set max_length and sequence_length to at most {whole}, or attention_type: original_full in its config.json",
    )


IN_TORCH = "measure it on a torch target (targets: {cpu: {runtime: torch}}) and leave out the steps that need ONNX"
