"""From text to tokens: are the ids those of the library on any text, and how much faster do they come?"""

import argparse
import json
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tokenizers import Tokenizer as FastTokenizer

from benchmarks.search.tokenizer_texts import made_texts, real_texts, write_tokenizers
from compress.machine.facts import host_facts
from compress.models.tokenizer import Tokenizer, load_tokenizer

RESULTS = Path(__file__).parent / "results"
TEXTS = 1_000_000
"""Texts that MiniLM's tokenizer encodes in both ways."""
OTHERS = 10
"""The other tokenizers encode one text of so many."""
LENGTHS = (3, 8, 32, 128, 512)
"""Tokens to which texts are cut: another number for each chunk of texts."""
CHUNK = 2000
SHORT = 19
"""Words of a short text, as many as SST-2's sentences have."""
LENGTH = 128
KEPT_EXAMPLES = 5

Call = Callable[[str], Any]


def main() -> None:
    """Compare, measure, and write what came out of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.tokenizer", description=__doc__)
    parser.add_argument("--texts", type=int, default=TEXTS, help="texts that are encoded in both ways")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    real = real_texts()
    host = {**host_facts(), "load_before": os.getloadavg()}
    with tempfile.TemporaryDirectory() as scratch:
        folders = write_tokenizers(Path(scratch), real["reuters-r8/train"])
        speed = {name: measured(folders[name], real) for name in ("minilm", "minilm, trimmed", "bytes, as RoBERTa")}
        same = {
            name: compared(folder, real, asked.texts if name == "minilm" else asked.texts // OTHERS, asked.seed)
            for name, folder in folders.items()
        }
    raw = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": host,
        "command": f"python -m benchmarks.search.tokenizer --texts {asked.texts} --seed {asked.seed}",
        "same": same,
        "samples_us": speed,
    }
    summary = figures(same, speed)
    _write("tokenizer", raw, None)
    path = RESULTS / "summary.json"
    others = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    _write("summary", {**others, **summary}, 1)
    print(json.dumps({"same": same, "median_us": medians(speed), **summary}, indent=1))


def compared(folder: Path, real: Mapping[str, Sequence[str]], count: int, seed: int) -> dict[str, Any]:
    """How many texts of each kind have the ids of the library's plain `encode_batch`, cut by the library.

    Args:
        count: number of texts; all real ones come first.

    Returns:
        Whether ids are made word by word; for each kind `texts` and `different`; the first texts with other ids.
    """
    ours, plain = load_tokenizer(folder), FastTokenizer.from_file(str(folder / "tokenizer.json"))
    plain.no_padding()
    whole = list(chain.from_iterable(real.values()))
    stream = islice(chain((("real", text) for text in whole), made_texts(whole, count, seed)), count)
    totals: Counter[str] = Counter()
    different: Counter[str] = Counter()
    examples: list[dict[str, Any]] = []
    for number, chunk in enumerate(_chunks(stream)):
        length = LENGTHS[number % len(LENGTHS)]
        plain.enable_truncation(length)
        texts = [text for _, text in chunk]
        expected = (encoding.ids for encoding in plain.encode_batch(texts))
        for (kind, text), ids, row in zip(chunk, expected, ours.encode(texts, None, length), strict=True):
            totals[kind] += 1
            if row["input_ids"] != (ids or [ours.pad_id]):
                different[kind] += 1
                examples += [{"text": text, "max_length": length}] if len(examples) < KEPT_EXAMPLES else []
    kinds = {kind: {"texts": total, "different": different[kind]} for kind, total in totals.items()}
    return {"word_by_word": ours.words is not None, "kinds": kinds, "examples": examples}


def _chunks(stream: Iterator[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    while chunk := list(islice(stream, CHUNK)):
        yield chunk


def measured(folder: Path, real: Mapping[str, Sequence[str]]) -> dict[str, dict[str, list[float]]]:
    """The time of each way from one text to arrays, for each text of some sets, in microseconds.

    A text goes through all ways, one after the other, in an order that changes from text to text, and through each of
    them once. What goes word by word has seen the training texts before, and no test text.
    """
    train, test = real["reuters-r8/train"], real["reuters-r8/test"]
    random_ = random.Random(0)
    unknown = [" ".join(f"{random_.getrandbits(40):x}" for _ in range(SHORT)) for _ in range(500)]
    sets = {
        "r8": (train, test),
        f"{SHORT} words": ([], [" ".join(text.split()[:SHORT]) for text in real["reuters-r52/test"]]),
        "newsgroups": (real["20newsgroups/train"], real["20newsgroups/test"][:2000]),
        "words never seen": ([], unknown),
    }
    ways = _ways(folder)
    samples: dict[str, dict[str, list[float]]] = {}
    for name, (seen, texts) in sets.items():
        ours = load_tokenizer(folder)
        ours.encode(seen or train, None, LENGTH)
        calls = {**ways, "compress": _arrays_of(ours)}
        samples[name] = _rounds(calls, texts)
    fresh = {"library": ways["library"], "compress": _arrays_of(load_tokenizer(folder))}
    samples["nothing seen yet"] = _rounds(fresh, test[:20])
    return samples


def _ways(folder: Path) -> dict[str, Call]:
    """Other ways from a text to the model's inputs, and parts of the library's work."""
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(folder) if (folder / "tokenizer_config.json").is_file() else None
    plain = FastTokenizer.from_file(str(folder / "tokenizer.json"))
    plain.no_padding()
    plain.enable_truncation(LENGTH)
    by_library = _arrays_of(replace(load_tokenizer(folder), words=None))
    ways: dict[str, Call] = {
        "library": by_library,
        "plain encode": lambda text: _arrays(plain.encode(text)),
        "part: encode": plain.encode,
        "part: encode_batch_fast": lambda text: plain.encode_batch_fast([text]),
        "part: encode_batch_fast, ids": lambda text: plain.encode_batch_fast([text])[0].ids,
        "part: split": plain.pre_tokenizer.pre_tokenize_str,
    }
    if plain.normalizer is not None:
        ways["part: normalize"] = plain.normalizer.normalize_str
    if theirs is not None:
        ways["transformers"] = lambda text: theirs([text], truncation=True, max_length=LENGTH, return_tensors="np")
    return ways


def _arrays(encoding: Any) -> dict[str, Any]:
    rows = {
        "input_ids": encoding.ids,
        "attention_mask": encoding.attention_mask,
        "token_type_ids": encoding.type_ids,
    }
    return {name: np.array([row], np.int64) for name, row in rows.items()}


def _arrays_of(tokenizer: Tokenizer) -> Call:
    return lambda text: tokenizer.pad(tokenizer.encode([text], None, LENGTH))


def _rounds(calls: Mapping[str, Call], texts: Sequence[str]) -> dict[str, list[float]]:
    samples: dict[str, list[float]] = {name: [] for name in calls}
    random_ = random.Random(0)
    for text in texts:
        for name in random_.sample([*calls], len(calls)):
            start = time.perf_counter_ns()
            calls[name](text)
            samples[name].append((time.perf_counter_ns() - start) / 1e3)
    return samples


def figures(same: Mapping[str, Any], speed: Mapping[str, Any]) -> dict[str, float]:
    """The flat figures: shares of texts with the same ids, and ratios of medians."""
    kinds = [kind for result in same.values() for kind in result["kinds"].values()]
    texts, different = (sum(kind[name] for kind in kinds) for name in ("texts", "different"))
    middle = medians(speed)
    r8, short = middle["minilm"]["r8"], middle["minilm"][f"{SHORT} words"]
    return {
        "tokenizer_speedup": round(r8["library"] / r8["compress"], 2),
        "tokenizer_speedup_over_transformers": round(r8["transformers"] / r8["compress"], 2),
        "tokenizer_speedup_19_words": round(short["library"] / short["compress"], 2),
        "tokenizer_ms": round(r8["compress"] / 1e3, 4),
        "tokenizer_same_ids_pct": round(100 * (1 - different / texts), 6),
        "tokenizer_texts": texts,
        "tokenizer_texts_with_other_ids": different,
    }


def medians(speed: Mapping[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """The median of each list of samples."""
    return {
        name: {texts: {way: round(median(samples), 1) for way, samples in ways.items()} for texts, ways in sets.items()}
        for name, sets in speed.items()
    }


def _write(name: str, content: Mapping[str, Any], indent: int | None) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=indent) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
