"""How a finished model is used: the lines that a run, its report and its card show."""

import json
import shlex
from dataclasses import dataclass

from compress.extras import DISTRIBUTION

HUB_TASK = "text-classification"
"""The task, as the hub calls it, that `compress predict` and `compress.Classifier` answer for."""


@dataclass(frozen=True)
class Usage:
    """Lines that take a model folder into use.

    Attributes:
        install: what puts them there.
        texts: a shell command for texts that it is given.
        file: a shell command for a file of rows.
        expression: Python that answers for a text, in one line.
        code: the same as a program of several lines.
    """

    install: str
    texts: str
    file: str
    expression: str
    code: str


def usage(folder: str, *, pairs: bool = False) -> Usage:
    """The lines for a model folder.

    Args:
        folder: as the reader can name it.
        pairs: whether the model reads two texts a row.
    """
    place = shlex.quote(folder)
    second = ' --text-pair "its second text"' if pairs else ""
    one = '("a text", "its second text")' if pairs else '"a text"'
    more = '[("a text", "its second text"), ("another", "and its second")]' if pairs else '["a text", "another"]'
    quoted, call = json.dumps(folder, ensure_ascii=False), f"({one})"
    return Usage(
        install=f"pip install {DISTRIBUTION}",
        texts=f'compress predict {place} "a text"{second}',
        file=f"compress predict {place} --file rows.csv --out predictions.jsonl",
        expression=f"compress.Classifier({quoted}){call}",
        code=(
            "import compress\n\n"
            f"classifier = compress.Classifier({quoted})\n"
            f"answer = classifier{call}  # answer.label, answer.probability\n"
            f"answers = classifier({more})"
        ),
    )
