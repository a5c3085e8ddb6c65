"""Tiny classifiers of many families, with random weights, and a tokenizer of the small run's words."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.faults.tokenizer_files import write_config

LABELS = ("bad", "good")
POSITIONS = 130
USUAL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": POSITIONS,
}
_BART = {
    "d_model": 32,
    **dict.fromkeys(("encoder_layers", "decoder_layers"), 2),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 64),
    "max_position_embeddings": POSITIONS,
    "decoder_start_token_id": 3,
}
_T5 = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
_GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": POSITIONS}
_LLAMA = {**USUAL, "num_key_value_heads": 2}
_RELATIVE = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
CONFIGS: Mapping[str, dict[str, Any]] = {
    "albert": {**USUAL, "embedding_size": 16},
    "bart": _BART,
    "bert": USUAL,
    "big_bird": {**USUAL, "block_size": 4, "num_random_blocks": 2},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "convbert": {**USUAL, "embedding_size": 16, "head_ratio": 2, "conv_kernel_size": 3},
    "deberta": {**USUAL, **_RELATIVE, "max_relative_positions": -1},
    "deberta-v2": {**USUAL, **_RELATIVE, "position_buckets": 16},
    "electra": {**USUAL, "embedding_size": 16},
    "esm": {**USUAL, "mask_token_id": 4},
    "falcon": USUAL,
    "fnet": {key: value for key, value in USUAL.items() if key != "num_attention_heads"},
    "funnel": {"d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 64, "block_sizes": [1, 1, 1]},
    "gemma": {**_LLAMA, "head_dim": 8},
    "gpt2": _GPT2,
    "gpt_neox": USUAL,
    "ibert": USUAL,
    "llama": _LLAMA,
    "longformer": {**USUAL, "attention_window": 16},
    "mbart": _BART,
    "megatron-bert": USUAL,
    "mistral": {**_LLAMA, "sliding_window": 8},
    "mixtral": {**_LLAMA, "num_local_experts": 2},
    "mobilebert": {**USUAL, "embedding_size": 16, "intra_bottleneck_size": 32, "true_hidden_size": 32},
    "mpnet": USUAL,
    "mt5": _T5,
    "mvp": _BART,
    "nystromformer": {**USUAL, "num_landmarks": 8, "segment_means_seq_len": 128, "conv_kernel_size": 5},
    "opt": {**USUAL, "ffn_dim": 64, "word_embed_proj_dim": 32},
    "plbart": _BART,
    "qwen2": {**_LLAMA, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1},
    "reformer": {
        "hidden_size": 32,
        "feed_forward_size": 64,
        "num_attention_heads": 4,
        "attention_head_size": 8,
        "axial_pos_shape": [10, 13],
        "axial_pos_embds_dim": [16, 16],
        "attn_layers": ["local", "lsh"],
        "max_position_embeddings": POSITIONS,
        "is_decoder": False,
        "num_buckets": 4,
        "lsh_attn_chunk_length": 8,
        "local_attn_chunk_length": 8,
    },
    "rembert": {**USUAL, "input_embedding_size": 16, "output_embedding_size": 32},
    "roberta": {**USUAL, "type_vocab_size": 1},
    "roformer": {**USUAL, "embedding_size": 32},
    "squeezebert": {**USUAL, "embedding_size": 32, **dict.fromkeys(("q_groups", "k_groups", "v_groups"), 2)},
    "t5": _T5,
    "umt5": _T5,
    "xlm": {"emb_dim": 32, "n_layers": 2, "n_heads": 4, "max_position_embeddings": POSITIONS},
    "xlnet": {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64},
}
"""Family -> sizes of a tiny one."""
NO_SEGMENTS = ("gpt2", "xlm", "xlnet")
"""Families that would look segment ids up, and whose tokenizers give none."""
TOKENS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
"""Those of the small run's tokenizer; its rows end with [SEP], which stands for an end token."""


def write_family(folder: Path, family: str, tokenizer: Path, **changed: Any) -> Path:
    """Write a classifier of two labels below `folder`, with a copy of a folder's tokenizer.

    Args:
        changed: keys of its config.json.
    """
    import torch
    from transformers import AutoModelForSequenceClassification
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    labels = {"id2label": dict(enumerate(LABELS)), "label2id": {label: index for index, label in enumerate(LABELS)}}
    config = CONFIG_MAPPING[family](**{"vocab_size": 100, **TOKENS, **CONFIGS[family], **labels, **changed})
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(3)  # so that each part shows in the logits
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / name, folder / name)
    if family in NO_SEGMENTS:  # as their own tokenizers have it; the small run's is BERT's
        write_config(folder, model_input_names=["input_ids", "attention_mask"])
    return folder
