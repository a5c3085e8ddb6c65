"""The use of a finished model: the lines that a run, its report and its card show."""

import json
import shlex
from dataclasses import dataclass

from compress.extras import DISTRIBUTION

HUB_TASK = "text-classification"
"""The hub's name of the task that `compress predict` and `compress.Classifier` answer for."""


@dataclass(frozen=True)
class Usage:
    """The lines that use a model folder.

    Attributes:
        install: the shell command that installs this tool.
        texts: the shell command for a text.
        file: the shell command for a file of rows.
        expression: one line of Python that answers for a text.
        code: a Python program of several lines that does the same.
    """

    install: str
    texts: str
    file: str
    expression: str
    code: str


def usage(folder: str, *, pairs: bool = False) -> Usage:
    """The lines that use a model folder.

    Args:
        folder: the path of the folder for the reader.
        pairs: whether the model reads two texts in each row.
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
