"""Unusual texts that show whether two tokenizers are the same: tokenizers differ in what they do with them."""

ODD_TEXTS = (
    "The film was good, and the music wasn't.",
    "UPPER lower MiXeD İstanbul STRASSE",
    "café naïve Müller señor",
    "cafe\u0301 nai\u0308ve e\u0301",  # accents as characters of their own, unlike above
    "中文字 和 日本語のテキスト 한국어",
    "🙂 👩‍👩‍👧 🇩🇪 ❤️",
    "  two  spaces   at all  places  ",
    "one\nline\r\nand\tanother\n\n",
    "12 3456 7.89 1,000 ½ ² ٣",
    "مرحبا بالعالم שלום",
    "zero\u200bwidth soft\u00adhyphen no\u00a0break \ufeffmark",
    "\uff46\uff55\uff4c\uff4c \uff57idth \ufb01 ™ ①",
    'a_b-c\'d "e" (f) [g] {h} <i> #j @k \\l ~m',
    "http://example.org/a?b=c&d=e",
    "x" * 120,
    "…—\u2013“”\u2018\u2019«»",
    "control\x01\x7f characters",
    "a",
    ".",
    "",
    " ",
)
PAIRS = (("The film was good.", "Was it?"), ("a", ""), ("", "b"), ("中文 É", "🙂 " * 20))
LENGTHS = (8, 24)
"""Tokens to which long texts are cut."""
LONG = "one two three four five six seven eight nine ten " * 4
