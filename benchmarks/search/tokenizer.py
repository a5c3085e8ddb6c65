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

from benchmarks.results import Results
from benchmarks.search.tokenizer_texts import made_texts, real_texts, write_tokenizers
from compress.machine.facts import host_facts
from compress.models.tokenizer import Tokenizer, load_tokenizer

RESULTS = Results(Path(__file__).parent)
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
MEASURED = ("minilm", "minilm, trimmed", "bytes, as RoBERTa")
"""The tokenizers that are timed."""

Call = Callable[[str], Any]


def main() -> None:
    """Compare, measure, and write what came out of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.tokenizer", description=__doc__)
    parser.add_argument("--only", choices=["ids", "speed"], help="this part; the other's results stay as they are")
    parser.add_argument("--texts", type=int, default=TEXTS, help="texts that MiniLM's tokenizer encodes in both ways")
    parser.add_argument("--seed", type=int, default=0, help="of the made texts")
    asked = parser.parse_args()
    real, raw = real_texts(), RESULTS.read("tokenizer")
    with tempfile.TemporaryDirectory() as scratch:
        folders = write_tokenizers(Path(scratch), real["reuters-r8/train"])
        if asked.only != "ids":
            host = _host()
            raw["speed"] = {**host, "samples_us": {name: measured(folders[name], real) for name in MEASURED}}
        if asked.only != "speed":
            counts = {name: asked.texts if name == "minilm" else asked.texts // OTHERS for name in folders}
            same = {name: compared(folders[name], real, count, asked.seed) for name, count in counts.items()}
            raw["ids"] = {**_host(), "seed": asked.seed, "tokenizers": same}
    summary = {**RESULTS.read("summary"), **figures(raw)}
    RESULTS.write("tokenizer", raw)
    RESULTS.write("summary", summary, indent=1)
    print(json.dumps({"median_us": medians(raw), **summary}, indent=1))


def _host() -> dict[str, Any]:
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": {**host_facts(), "load_before": os.getloadavg()},
    }


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
        samples[name] = _rounds({**ways, "compress": _arrays_of(ours)}, texts)
    fresh = {"library": ways["library"], "compress": _arrays_of(load_tokenizer(folder))}
    samples["r8, nothing seen yet"] = _rounds(fresh, test[:20])
    samples["r8, parts of the library's work"] = _rounds(_parts(folder), test)
    return samples


def _ways(folder: Path) -> dict[str, Call]:
    """Other ways from a text to the model's inputs."""
    from transformers import AutoTokenizer

    plain = _plain(folder)
    ways: dict[str, Call] = {
        "library": _arrays_of(replace(load_tokenizer(folder), words=None)),
        "plain encode": lambda text: _arrays(plain.encode(text)),
    }
    if (folder / "tokenizer_config.json").is_file():
        theirs = AutoTokenizer.from_pretrained(folder)
        ways["transformers"] = lambda text: theirs([text], truncation=True, max_length=LENGTH, return_tensors="np")
    return ways


def _parts(folder: Path) -> dict[str, Call]:
    """Calls that do a part of the library's work on a text, or all of it in different ways."""
    plain, one_more = _plain(folder), load_tokenizer(folder)
    row = one_more.encode(["the film " * 50], None, LENGTH)
    parts: dict[str, Call] = {
        "split": plain.pre_tokenizer.pre_tokenize_str,
        "encode": plain.encode,
        "encode_batch": lambda text: plain.encode_batch([text]),
        "encode_batch_fast": lambda text: plain.encode_batch_fast([text]),
        "encode_batch_fast, ids": lambda text: plain.encode_batch_fast([text])[0].ids,
        "arrays of a row": lambda _: one_more.pad(row),
    }
    return parts if plain.normalizer is None else {"normalize": plain.normalizer.normalize_str, **parts}


def _plain(folder: Path) -> FastTokenizer:
    plain = FastTokenizer.from_file(str(folder / "tokenizer.json"))
    plain.no_padding()
    plain.enable_truncation(LENGTH)
    return plain


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
            samples[name].append(round((time.perf_counter_ns() - start) / 1e3, 1))
    return samples


def figures(raw: Mapping[str, Any]) -> dict[str, float]:
    """The flat figures: shares of texts with the same ids, and ratios of medians."""
    found: dict[str, float] = {}
    if "ids" in raw:
        kinds = [kind for result in raw["ids"]["tokenizers"].values() for kind in result["kinds"].values()]
        texts, different = (sum(kind[name] for kind in kinds) for name in ("texts", "different"))
        found["tokenizer_same_ids_pct"] = round(100 * (1 - different / texts), 6)
        found |= {"tokenizer_texts": texts, "tokenizer_texts_with_other_ids": different}
    if "speed" in raw:
        r8, short, unseen = (medians(raw)["minilm"][name] for name in ("r8", f"{SHORT} words", "words never seen"))
        found["tokenizer_speedup"] = round(r8["library"] / r8["compress"], 2)
        found["tokenizer_speedup_over_transformers"] = round(r8["transformers"] / r8["compress"], 2)
        found["tokenizer_speedup_19_words"] = round(short["library"] / short["compress"], 2)
        found["tokenizer_speedup_words_never_seen"] = round(unseen["library"] / unseen["compress"], 2)
        found["tokenizer_ms"] = round(r8["compress"] / 1e3, 4)
    return found


def medians(raw: Mapping[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """The median of each list of samples, in microseconds."""
    return {
        name: {texts: {way: round(median(samples), 1) for way, samples in ways.items()} for texts, ways in sets.items()}
        for name, sets in raw.get("speed", {}).get("samples_us", {}).items()
    }


if __name__ == "__main__":
    main()
