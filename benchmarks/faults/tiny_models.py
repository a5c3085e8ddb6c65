"""Tiny models of many families as people have them, with random weights from a seed, and ways to make them odd."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.faults.small_run import BAD, FILLER, GOOD, LETTERS

LABELS = ("bad", "good")
POSITIONS = 128
_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": POSITIONS,
}
_GROUPED = {**_SIZES, "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": None}
_GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": POSITIONS}
_SEQ2SEQ = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": POSITIONS,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "pad_token_id": 0,
    "decoder_start_token_id": 3,
    "forced_eos_token_id": None,
}
DECODERS: Mapping[str, Mapping[str, Any]] = {
    "gpt2": _GPT,
    "gpt_neox": _SIZES,
    "llama": _GROUPED,
    "mistral": _GROUPED,
    "qwen2": {**_SIZES, "num_key_value_heads": 2},
    "gemma": _GROUPED,
    "phi": _SIZES,
    "opt": {
        "hidden_size": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": POSITIONS,
        "word_embed_proj_dim": 32,
        "pad_token_id": None,
    },
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4, "pad_token_id": None},
}
"""Families without a padding token, with a tokenizer that has none either."""
ENCODERS: Mapping[str, Mapping[str, Any]] = {
    "bert": _SIZES,
    "roberta": {**_SIZES, "type_vocab_size": 1, "pad_token_id": 0},
    "albert": {**_SIZES, "embedding_size": 16},
    "electra": {**_SIZES, "embedding_size": 16},
    "mpnet": {**_SIZES, "pad_token_id": 0},
    "deberta-v2": {**_SIZES, "relative_attention": True, "position_buckets": 16, "pos_att_type": ["p2c", "c2p"]},
    "xlnet": {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64},
    "t5": {
        "d_model": 32,
        "d_ff": 64,
        "num_layers": 2,
        "num_heads": 4,
        "d_kv": 8,
        "pad_token_id": 0,
        "eos_token_id": 3,
        "decoder_start_token_id": 0,
    },
    "bart": _SEQ2SEQ,
    "fnet": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "intermediate_size": 64,
        "max_position_embeddings": POSITIONS,
        "pad_token_id": 0,
    },
    "nystromformer": {**_SIZES, "num_landmarks": 8, "segment_means_seq_len": 64},
    "canine": {**_SIZES, "num_hash_buckets": 64},
}
Weights = dict[str, Any]


def write_family(
    folder: Path, family: str, *, head: bool = False, labels: Sequence[str] = LABELS, seed: int = 0, **config: Any
) -> Path:
    """A model of a family with its tokenizer; a classifier's matrices are so large that each part shows.

    Args:
        head: for these labels, else the model is a pretrained one.
        config: settings beside the family's own.
    """
    import torch
    import transformers

    folder.mkdir(parents=True)
    decodes = family in DECODERS
    size = write_bytes_tokenizer(folder) if decodes else write_words_tokenizer(folder)
    settings = {"vocab_size": size, **(DECODERS if decodes else ENCODERS)[family]}
    if decodes:
        settings |= {"bos_token_id": 0, "eos_token_id": 0}
    if head:
        settings |= {"id2label": dict(enumerate(labels)), "label2id": {label: at for at, label in enumerate(labels)}}
    torch.manual_seed(seed)
    loader = transformers.AutoModelForSequenceClassification if head else transformers.AutoModel
    model = loader.from_config(transformers.AutoConfig.for_model(family, **{**settings, **config}))
    with torch.no_grad():
        for parameter in model.parameters() if head else ():
            if parameter.dim() == 2:
                parameter.mul_(3)
    model.save_pretrained(folder)
    if decodes:  # as the family's own class has it: Qwen2's composes letters, for one
        transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    return folder


def write_words_tokenizer(folder: Path) -> int:
    """WordPiece over the rows' words, as BERT's; gives the number of tokens."""
    from transformers import BertTokenizerFast

    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *FILLER, *LETTERS]
    tokens = list(dict.fromkeys([*tokens, *(f"##{letter}" for letter in LETTERS)]))
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(tokens) + "\n", encoding="utf-8")
    BertTokenizerFast(vocab=str(vocabulary), do_lower_case=True).save_pretrained(folder)
    return len(tokens)


def write_bytes_tokenizer(folder: Path) -> int:
    """Byte-level BPE with one special token that begins and ends texts, as GPT-2's; gives the number of tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([" ".join([*GOOD, *BAD, *FILLER])] * 3, trainer)
    names = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return int(tokenizer.get_vocab_size())


def edit_config(folder: Path, **settings: Any) -> Path:
    """Let a model's config.json say something else; None takes a key out."""
    path = folder / "config.json"
    content = {**json.loads(path.read_text(encoding="utf-8")), **settings}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}), encoding="utf-8")
    return folder


def edit_weights(folder: Path, edit: Callable[[Weights], Weights]) -> Path:
    """Write a model's weights anew, as `edit` makes them."""
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    weights = {name: value.clone().contiguous() for name, value in edit(load_file(path)).items()}
    save_file(weights, path, metadata={"format": "pt"})
    return folder


def texts_of(path: Path) -> tuple[list[str], list[str]]:
    """The texts and the labels of a csv file."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["label"] for row in rows]


def plain_logits(folder: Path, texts: Sequence[str], max_length: int = 32, *, together: bool = False) -> Any:
    """(texts, classes) of plain transformers: one text at a time, or in one padded batch."""
    import numpy as np
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    options = {"truncation": True, "max_length": max_length, "return_tensors": "pt"}
    batches = [list(texts)] if together else [[text] for text in texts]
    with torch.inference_mode():
        logits = [model(**tokenizer(batch, padding=together, **options)).logits.numpy() for batch in batches]
    return np.concatenate(logits)


def plain_accuracy(folder: Path, data: Path) -> float:
    """Share of a csv file's rows that plain transformers labels right, by the model's own names."""
    texts, labels = texts_of(data)
    names = json.loads((folder / "config.json").read_text(encoding="utf-8"))["id2label"]
    said = plain_logits(folder, texts).argmax(-1)
    right: int = sum(names[str(best)] == label for best, label in zip(said.tolist(), labels, strict=True))
    return right / len(labels)


def graph_logits(folder: Path, texts: Sequence[str], batch_size: int, max_length: int = 32) -> Any:
    """(texts, classes) of an exported folder's graph, fed by AutoTokenizer in padded batches."""
    import numpy as np
    import onnxruntime
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    wanted = [item.name for item in session.get_inputs()]
    logits = []
    for start in range(0, len(texts), batch_size):
        chosen = list(texts[start : start + batch_size])
        batch = tokenizer(chosen, padding=True, truncation=True, max_length=max_length, return_tensors="np")
        zeros = np.zeros_like(batch["input_ids"])
        feeds = {name: batch.get(name, zeros).astype(np.int64) for name in wanted}
        logits.append(session.run(["logits"], feeds)[0])
    return np.concatenate(logits)
