"""Tiny real models with a small real vocabulary, and a data set of 64 rows that can be learned."""

import csv
import gc
import itertools
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests import peaks

pytest_plugins = (
    "tests.chain",
    "tests.classifiers",
    "tests.exports",
    "tests.families",
    "tests.plans",
    "tests.plugins",
    "tests.processors",
)

gc.disable()  # what is imported before the first test is no garbage
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests run in several processes; tiny models need one thread
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # its log handler writes to a stderr that pytest has closed
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

LONG = (
    "test_rehearsal.py",
    "test_shrink.py",
    "test_elastic.py",
    "test_interrupt.py",
    "test_plan_forecast.py",
    "test_checkpoints.py",
    "test_run.py",
    "test_quantize_onnx_trained.py",
    "test_finetune_lora.py",
    "test_examination.py",
    "test_foreign_graphs.py",
    "test_bench.py",
    "test_measure.py",
    "test_distill.py",
    "test_reproduce.py",
    "test_flops.py",
    "test_measure_failures.py",
    "test_prune_structured.py",
    "test_odd_exports.py",
    "test_export_onnx.py",
    "test_layer_timing.py",
    "test_predict.py",
    "test_examples.py",
)
"""Files that take the longest. They come first, so that no process is left alone with one of them at the end. The very
first makes the chain; those after it do not need it, so that nobody waits for it."""
GOOD = "good great fine lovely superb".split()
BAD = "bad awful poor dreadful dull".split()
FILLER = "the film was a story about people in town and they said it with some music".split()
UNUSED = "quorum zebra xylem".split()
LABELS = ("bad", "good")
POSITIONS = 256


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture(scope="module", autouse=True)
def _objects_that_stay_are_not_looked_through() -> None:
    """What libraries hold by now is no garbage: each full collection, and training asks for some, is spared it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _nothing_waits_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No machine loses its power while these tests run."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def pytest_collection_finish() -> None:
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


@pytest.fixture(scope="session")
def _caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders that are not there yet, one after the other."""
    folder = tmp_path_factory.mktemp("caches")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _own_cache(_caches: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESS_CACHE", str(next(_caches)))


@pytest.fixture(scope="session", autouse=True)
def _peaks_are_measured_once(shared: Path) -> Iterator[None]:
    """What this machine's arithmetic can do at most does not change from test to test."""
    from compress.benching import measure

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(peaks.FILE, str(shared / "peaks.json"))
        patch.setattr(measure, "peak_gflops", peaks.known_peaks)
        yield


@pytest.fixture(autouse=True)
def _tokenizers_are_tried_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held against AutoTokenizer in this process, which has imported transformers anyway, and once for each content."""
    from compress.trials import tokenizer_trial

    def ask(folder: Path, pairs: bool) -> Any:
        from compress.models.auto_tokenizer import compared

        key = tokenizer_trial.tokenizer_key(folder, pairs)
        if key not in _TRIED:
            _TRIED[key] = compared(folder, pairs=pairs)
        return _TRIED[key]

    monkeypatch.setattr(tokenizer_trial, "ask_auto_tokenizer", ask)


_TRIED: dict[str, Any] = {}


def review(label: str, random_: random.Random) -> str:
    """A sentence whose words say which label it has."""
    words = random_.choices(FILLER, k=random_.randint(4, 12)) + random_.choices(GOOD if label == "good" else BAD, k=2)
    random_.shuffle(words)
    return " ".join(words)


def write_reviews(path: Path, rows: int, seed: int) -> Path:
    """A csv file with the columns `text` and `label`, as many of each label."""
    random_ = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for index in range(rows):
            label = LABELS[index % 2]
            writer.writerow([review(label, random_), label])
    return path


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this session that all its processes share."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


def once(folder: Path, make: Callable[[Path], None]) -> Path:
    """A folder that the first process that asks for it makes, and that nobody changes."""
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            draft = folder.with_name(f"{folder.name}.draft")
            shutil.rmtree(draft, ignore_errors=True)  # of one that failed
            draft.mkdir()
            make(draft)
            draft.rename(folder)
    return folder


@pytest.fixture(scope="session")
def reviews(shared: Path) -> Path:
    """A folder with train.csv (64 rows) and test.csv (32 rows)."""

    def make(folder: Path) -> None:
        write_reviews(folder / "train.csv", 64, seed=1)
        write_reviews(folder / "test.csv", 32, seed=2)

    return once(shared / "reviews", make)


def write_tokenizer(folder: Path) -> int:
    """A WordPiece tokenizer of the data's words, a few others and letters; returns the size of its vocabulary."""
    from transformers import BertTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *FILLER, *UNUSED]
    tokens += [*letters, *[f"##{letter}" for letter in letters]]
    tokens = list(dict.fromkeys(tokens))
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(tokens) + "\n")
    BertTokenizerFast(vocab=str(vocabulary), do_lower_case=True).save_pretrained(folder)
    return len(tokens)


@pytest.fixture(scope="session")
def make_model(shared: Path) -> Callable[..., Path]:
    """Makes a tiny pretrained model without a head: `make_model("bert")`; the same folder for the same family."""

    def make(family: str = "bert") -> Path:
        return once(shared / f"tiny-{family}", lambda folder: _write_model(folder, family))

    return make


_DEBERTA = {"relative_attention": True, "position_buckets": 16, "pos_att_type": ["p2c", "c2p"]}


def _write_model(folder: Path, family: str) -> None:
    import torch
    import transformers

    size = write_tokenizer(folder)
    torch.manual_seed(0)
    if family == "distilbert":
        config = transformers.DistilBertConfig(
            vocab_size=size, dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=POSITIONS
        )
    else:
        config_class = {
            "bert": transformers.BertConfig,
            "roberta": transformers.RobertaConfig,
            "electra": transformers.ElectraConfig,
            "albert": transformers.AlbertConfig,
            "deberta-v2": transformers.DebertaV2Config,
            "deberta-v2-conv": transformers.DebertaV2Config,
            "deberta-v3": transformers.DebertaV2Config,
            "mpnet": transformers.MPNetConfig,
            "squeezebert": transformers.SqueezeBertConfig,
            "xlm-roberta": transformers.XLMRobertaConfig,
            "camembert": transformers.CamembertConfig,
            "modernbert": transformers.ModernBertConfig,
        }[family]
        extra = {
            "electra": {"embedding_size": 16},
            "albert": {"embedding_size": 16},
            "roberta": {"type_vocab_size": 1, "pad_token_id": 0},
            "deberta-v2": _DEBERTA,
            "deberta-v2-conv": {**_DEBERTA, "share_att_key": True, "conv_kernel_size": 3},
            "deberta-v3": {
                **_DEBERTA,
                "share_att_key": True,
                "norm_rel_ebd": "layer_norm",
                "position_biased_input": False,
                "type_vocab_size": 0,
            },
            "squeezebert": {"embedding_size": 32},
            "xlm-roberta": {"type_vocab_size": 1, "pad_token_id": 0},
            "camembert": {"type_vocab_size": 1, "pad_token_id": 0},
            "modernbert": dict.fromkeys(("bos_token_id", "cls_token_id"), 2)
            | dict.fromkeys(("eos_token_id", "sep_token_id"), 3)
            | {"pad_token_id": 0},
        }.get(family, {})
        config = config_class(
            vocab_size=size,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=POSITIONS,
            **extra,
        )
    transformers.AutoModel.from_config(config).save_pretrained(folder)


@pytest.fixture(scope="session")
def make_classifier(make_model: Callable[..., Path]) -> Callable[..., Any]:
    """Makes an untrained classifier whose weights are so large that each part shows: `make_classifier("bert")`."""

    def make(family: str, seed: int = 1) -> Any:
        import torch

        from compress.models.load import load_model

        torch.manual_seed(seed)
        model = load_model(make_model(family), "text-classification", labels=LABELS)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 2:
                    parameter.mul_(5)
        return model

    return make
