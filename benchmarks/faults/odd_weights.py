"""Folders whose weights, configuration and files do not say the same, or say it as older versions did."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.faults.cases import Case, refused, succeeded
from benchmarks.faults.odd_models import EXPORT, FINETUNE, PLAN, TORCH, exports_as, has_learned, put
from benchmarks.faults.small_run import Ended
from benchmarks.faults.tiny_models import Weights, edit_config, edit_weights, write_family

LAYER = "encoder.layer.1."


def _with(edit: Callable[[Weights], Weights], **settings: Any) -> Callable[[Path], None]:
    """Writes a BERT classifier as it is saved today beside `model`, and with other weights as `model`."""

    def make(folder: Path) -> None:
        write_family(folder.with_name("today"), "bert", head=True, **settings)
        shutil.copytree(folder.with_name("today"), folder)
        edit_weights(folder, edit)

    return make


def _renamed(*pairs: tuple[str, str]) -> Callable[[Weights], Weights]:
    def edit(weights: Weights) -> Weights:
        named = {}
        for name, value in weights.items():
            new = name
            for old, other in pairs:
                new = new.replace(old, other)
            named[new] = value
        return named

    return edit


def _plus(**shapes: tuple[int, ...]) -> Callable[[Weights], Weights]:
    """Adds weights; `__` stands for the dots of their names."""

    def edit(weights: Weights) -> Weights:
        import torch

        return weights | {name.replace("__", "."): torch.ones(*size) for name, size in shapes.items()}

    return edit


def _half(kind: str) -> Callable[[Weights], Weights]:

    def edit(weights: Weights) -> Weights:
        import torch

        return {name: value.to(getattr(torch, kind)) for name, value in weights.items()}

    return edit


def _another_layer(weights: Weights) -> Weights:
    return weights | {name.replace("layer.1.", "layer.2."): value for name, value in weights.items() if LAYER in name}


def _rounded(kind: str) -> Callable[[Path], None]:
    """A model whose file holds half floats, and the same numbers in full beside it."""

    def make(folder: Path) -> None:
        _with(_half(kind))(folder)
        edit_weights(folder.with_name("today"), lambda weights: _half("float32")(_half(kind)(weights)))
        edit_config(folder, torch_dtype=kind, dtype=kind)

    return make


def _masked_language_model(folder: Path) -> None:
    import transformers

    write_family(folder, "bert")
    model = transformers.BertForMaskedLM(transformers.BertConfig.from_pretrained(folder))
    model.save_pretrained(folder)


def _of_another(folder: Path) -> None:
    """config.json of a BERT, weights of an XLNet."""
    write_family(folder, "bert", head=True)
    other = write_family(folder.with_name("other"), "xlnet", head=True)
    shutil.copyfile(other / "model.safetensors", folder / "model.safetensors")


def _sharded(folder: Path, *, without: str = "") -> None:
    import transformers

    write_family(folder.with_name("today"), "bert", head=True)
    shutil.copytree(folder.with_name("today"), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder.with_name("today"))
    model.save_pretrained(folder, max_shard_size="40KB")
    for path in sorted(folder.glob(without))[:1] if without else ():
        path.unlink()


def _pickled_beside(folder: Path) -> None:
    """The same model with an old pickle of other weights beside it, which nothing must read."""
    import torch

    _with(lambda weights: weights)(folder)
    torch.save({}, folder / "pytorch_model.bin")


def _adapter(folder: Path) -> None:
    write_family(folder, "bert")
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "x"}))


def _gguf(folder: Path) -> None:
    write_family(folder, "llama")
    (folder / "model.safetensors").rename(folder / "model.gguf")


def _sentence_transformer(folder: Path) -> None:
    write_family(folder, "bert")
    parts = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    parts += [{"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
    (folder / "modules.json").write_text(json.dumps(parts))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 32}))


def _nested_sentence_transformer(folder: Path) -> None:
    write_family(folder / "0_Transformer", "bert")
    (folder / "modules.json").write_text("[]")


def _short(family: str, **settings: Any) -> Callable[[Path], Path]:
    return lambda folder: write_family(folder, family, head=True, max_position_embeddings=24, **settings)


def _configured(family: str = "bert", **settings: Any) -> Callable[[Path], Path]:
    return lambda folder: edit_config(write_family(folder, family, head=True), **settings)


def _warns(*words: str) -> Callable[[Path, Ended], str | None]:
    def check(folder: Path, ended: Ended) -> str | None:
        del folder
        missing = [word for word in words if word not in ended.stderr + ended.stdout]
        return f"nobody is told of {missing}" if missing else None

    return check


_same = succeeded(exports_as("today"))
_random = partial(refused, "would be random", code=2)
_another = partial(refused, "it would be another model", code=2)
_norms = (("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta"))
_distances = _plus(bert__encoder__layer__0__attention__self__distance_embedding__weight=(255, 8))
_alone = ("export", "model", "-o", "out")

CASES = [
    Case("LayerNorm.gamma and beta", "weights", put(_with(_renamed(*_norms)), *EXPORT), _same),
    Case("without its prefix", "weights", put(_with(_renamed(("bert.", ""))), *EXPORT), _same),
    Case("with its prefix twice", "weights", put(_with(_renamed(("bert.", "bert.bert."))), *EXPORT), _same),
    Case("with position_ids", "weights", put(_with(_plus(bert__embeddings__position_ids=(1, 128))), *EXPORT), _same),
    Case("in fp16", "weights", put(_rounded("float16"), *EXPORT), _same),
    Case("in bf16", "weights", put(_rounded("bfloat16"), *EXPORT), _same),
    Case("in shards", "weights", put(_sharded, *EXPORT), _same),
    Case("a pickle beside safetensors", "weights", put(_pickled_beside, *EXPORT), _same),
    Case(
        "an extra head",
        "weights",
        put(_with(_plus(topics__weight=(7, 32))), *EXPORT),
        succeeded(_warns("topics.weight")),
    ),
    Case("a masked language model", "weights", put(_masked_language_model, *FINETUNE), succeeded(has_learned)),
    Case(
        "a masked language model, measured", "weights", put(_masked_language_model, *TORCH), refused("labels", code=2)
    ),
    Case("a sentence transformer", "weights", put(_sentence_transformer, *FINETUNE), succeeded(has_learned)),
    Case(
        "relative positions, by config.json",
        "weights",
        put(_configured(position_embedding_type="relative_key"), *PLAN),
        refused("position_embedding_type: 'relative_key'", code=2),
    ),
    Case(
        "relative positions, by the file alone",
        "weights",
        put(_with(_distances), *EXPORT),
        _another("distance_embedding"),
    ),
    Case("a layer more than config.json says", "weights", put(_with(_another_layer), *EXPORT), _another("layer.2.")),
    Case(
        "a layer less",
        "weights",
        put(_with(lambda all_: {name: all_[name] for name in all_ if LAYER not in name}), *EXPORT),
        _random("layer.1."),
    ),
    Case(
        "of another family",
        "weights",
        put(_of_another, *EXPORT),
        _random("BertForSequenceClassification", "logits_proj.bias"),
    ),
    Case(
        "saved inside of a wrapper",
        "weights",
        put(_with(_renamed(("bert.", "module.bert."))), *EXPORT),
        _random("module.bert."),
    ),
    Case(
        "without a head",
        "weights",
        put(_with(lambda all_: {name: all_[name] for name in all_ if "classifier" not in name}), *EXPORT),
        _random("classifier.weight", "fine-tune the model first"),
    ),
    Case(
        "a head of other size than config.json says",
        "weights",
        put(_with(_plus(classifier__weight=(3, 32), classifier__bias=(3,))), *EXPORT),
        refused("classifier.bias is 3 in the file, and 2 by config.json", code=2),
    ),
    Case(
        "narrower than config.json says",
        "weights",
        put(_configured(intermediate_size=48), *EXPORT),
        refused("is 64 in the file, and 48 by config.json", code=2),
    ),
    Case(
        "a table of other size",
        "weights",
        put(_configured(vocab_size=256), *EXPORT),
        refused("word_embeddings.weight", "and 256 x 32 by config.json", code=2),
    ),
    Case(
        "shards without their index",
        "weights",
        put(partial(_sharded, without="*.index.json"), *PLAN),
        refused("shards, and their index", code=2),
    ),
    Case(
        "a shard is missing",
        "weights",
        put(partial(_sharded, without="model-0*"), *PLAN),
        refused("which is no safetensors file beside it", code=2),
    ),
    Case(
        "weights of another name",
        "weights",
        put(
            lambda folder: (write_family(folder, "bert") / "model.safetensors").rename(folder / "weights.safetensors"),
            *PLAN,
        ),
        refused("the weights are called 'weights.safetensors'", code=2),
    ),
    Case("an adapter", "model", put(_adapter, *PLAN), refused("adapter", "merge_and_unload", code=2)),
    Case("GGUF alone", "model", put(_gguf, *PLAN), refused("model.gguf", code=2)),
    Case(
        "a sentence transformer in parts",
        "model",
        put(_nested_sentence_transformer, *PLAN),
        refused("0_Transformer", code=2),
    ),
    Case(
        "num_labels beside id2label",
        "config",
        put(_configured(num_labels=3), *PLAN),
        refused("num_labels: 3, and id2label has 2 names", code=2),
    ),
    Case(
        "of a family that classifies no texts",
        "config",
        put(_configured(model_type="vit", auto_map=None), *EXPORT),
        refused("'vit'", code=2),
    ),
    Case(
        "code of its own",
        "config",
        put(
            _configured(
                model_type="own", auto_map={"AutoConfig": "own.Own", "AutoModelForSequenceClassification": "own.Model"}
            ),
            *EXPORT,
        ),
        refused("trust_remote_code", code=2),
    ),
    Case(
        "fewer positions than tokens", "config", put(_short("bert"), *PLAN), refused("positions for 24 tokens", code=2)
    ),
    Case(
        "fewer positions, counted from the padding",
        "config",
        put(_short("mpnet"), *PLAN),
        refused("positions for 22 tokens", code=2),
    ),
    Case(
        "fewer positions, without data",
        "config",
        put(_short("bert"), *_alone),
        refused("positions for 24 tokens", code=2),
    ),
    Case("distances in place of positions", "config", put(_configured("t5", n_positions=8), *TORCH), succeeded()),
]
