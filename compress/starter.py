"""A first recipe for somebody's model and data."""

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

from compress.data.cells import trimmed
from compress.data.sources import Sources
from compress.data.tables import Table, listed
from compress.errors import InputError, printable
from compress.recipe_yaml import dump_yaml

TEXT_NAMES = ("text", "sentence", "review", "content", "body", "question", "title", "message", "document")
LABEL_NAMES = (
    "label",
    "labels",
    "category",
    "class",
    "target",
    "sentiment",
    "stars",
    "rating",
    "topic",
    "intent",
)

_INDEX = re.compile(r"Unnamed: \d+$|__index_level_\d+__$")
"""Names that pandas gives to an index."""

TEMPLATE = """\
# {title}: fine-tune, distill, prune, export, quantize.
# Check it with `compress plan {path}`, run it with `compress run {path}`.
# Keys and values are described by `compress schema`; relative paths start at this file's folder.
name: {name}
seed: 0

task:
  type: text_classification
  train: {train}
{test}
  columns: {{text: {text}, label: {label}}}
  max_length: {max_length}        # tokens kept of each text; {long_share:.0%} of the training texts are probably longer
  overlap: {overlap}           # test rows that also stand in train: refuse | drop (from train) | allow (and report)
{incomplete}
steps:
  # the teacher: the model, trained on your labels
  - {{name: teacher, stage: finetune, model: {model}, epochs: {epochs}, learning_rate: 1.0e-4, patience: 1}}
{smaller}  - {{name: onnx, stage: export_onnx}}
  - {{name: int8, stage: quantize_onnx_dynamic}}

targets:
  cpu: {{runtime: onnxruntime, threads: 2, batch_size: 1, sequence_length: {max_length}}}

goal: {{max_drop_pp: 2.0, min_speedup: {speedup}}}        # missed: exit code 3
"""


SMALLER = """\
  # the student: some of the teacher's layers, taught what the teacher says
  - {{name: student, stage: distill, layers: {layers}, epochs: {student_epochs}, learning_rate: 3.0e-4}}
  # heads and feed-forward neurons that matter least are removed; then the student recovers under the teacher
  - name: pruned
    stage: prune_structured
    teacher: teacher
    heads: 0.5
    ffn: 0.5
    recover: {{epochs: {recover_epochs}, learning_rate: 3.0e-4}}
"""

UNKNOWN = """\
  # layers, heads and neurons of this architecture are not known: a student of its own layers cannot be taken, nor
  # pruned; another model can be taught with {{stage: distill, student: SOURCE}}
"""


def write_starter(model: str, train: str, test: str | None, sources: Sources, out: Path) -> str:
    """The text of a recipe that fits the data.

    Args:
        sources: fetches the data; relative paths start in the current folder.
        out: where the recipe will stand; its relative paths start there.

    Raises:
        InputError: the data cannot be read, or its columns cannot be told apart.
    """
    from compress.models.architectures import positions_of, read_shape
    from compress.models.config_file import read_config

    table = sources.table(train, "--train")
    text, label = guess_columns(table)
    config = read_config(sources.model(model, "--model").path)
    shape = read_shape(config)
    lengths = sorted(len(row.split()) for row in table.column(text, None))
    words = lengths[int(0.9 * (len(lengths) - 1))]
    max_length = next((size for size in (32, 64, 128, 256) if size >= 1.4 * words), 256)
    max_length = min(max_length, positions_of(config) or max_length)
    epochs = min(10, max(2, round(8_000 / len(table.rows))))

    def quoted(value: str) -> str:
        return dump_yaml([value], flow=True).strip()[1:-1]

    def source(value: str) -> str:
        path = Path(value).expanduser()
        return quoted(value if "://" in value or path.is_absolute() else os.path.relpath(path, out.parent))

    if test is None:
        test_line = "  test_fraction: 0.2        # held out of train, for the report; better give a test file"
    else:
        test_line = f"  test: {source(test)}"
    tables = [table] if test is None else [table, sources.table(test, "--test")]
    lacking = sum(not trimmed(row[0]) or not trimmed(row[1]) for part in tables for row in _pairs(part, text, label))
    incomplete = f"  incomplete: drop         # {lacking:,} rows lack a text or a label\n" if lacking else ""
    layers = max(1, shape.layers // 3) if shape else 0
    smaller = (SMALLER if shape else UNKNOWN).format(layers=layers, student_epochs=2 * epochs, recover_epochs=epochs)
    return TEMPLATE.format(
        incomplete=incomplete,
        title=printable(f"{Path(model.rstrip('/')).name} on {Path(train).name}"),
        path=printable(str(out)),
        name=quoted(re.sub(r"[^A-Za-z0-9._-]+", "-", out.stem).lstrip("._-")[:100] or "recipe"),
        train=source(train),
        test=test_line,
        text=quoted(text),
        label=quoted(label),
        model=source(model),
        max_length=max_length,
        long_share=sum(1.4 * length > max_length for length in lengths) / len(lengths),
        overlap="drop",
        epochs=epochs,
        smaller=smaller,
        speedup=4 if shape else 1.1,
    )


def _pairs(table: Table, text: str, label: str) -> Iterator[tuple[str, str]]:
    return zip(table.column(text, "--test"), table.column(label, "--test"), strict=True)


def guess_columns(table: Table) -> tuple[str, str]:
    """The columns that hold the text and the label: by name first, then by content.

    Columns whose name stands there twice, those of lists, and a data frame's index are left aside.

    Raises:
        InputError: there are fewer than two columns, or no column has few distinct values.
    """
    usable = [column for column in table.columns if _may_have_a_role(table, column)]
    if len(usable) < 2:
        has = f"only the column '{usable[0]:.80}'" if usable else "no column that may be a text or a label"
        raise InputError(f"{table.name} has {has}", fix="a text and a label are needed, each below its column's name")
    by_lower = {trimmed(column).lower(): column for column in usable}
    named_text = next((by_lower[name] for name in TEXT_NAMES if name in by_lower), None)
    named_label = next((by_lower[name] for name in LABEL_NAMES if name in by_lower), None)
    values = {column: table.column(column, None) for column in usable}
    length = {column: sum(map(len, cells)) / len(cells) for column, cells in values.items()}
    text = named_text or max((column for column in usable if column != named_label), key=length.__getitem__)
    others = [column for column in usable if column != text]

    def distinct(column: str) -> float:
        return len(set(values[column])) if len(set(values[column])) > 1 else math.inf

    label = named_label if named_label in others else min(others, key=distinct)
    count = len(set(values[label]))
    if count > max(2, len(table.rows) // 2):
        raise InputError(
            f"no column of {table.name} looks like a label: '{label:.80}' has {count:,} distinct values",
            fix=f"write the recipe by hand; the columns are {listed(usable)}",
        )
    return text, label


def _may_have_a_role(table: Table, column: str) -> bool:
    """False for what cannot be a text or a label, and for numbers without a name, or with the one of an index."""
    if table.columns.count(column) > 1 or column in table.unfit:
        return False
    is_named = bool(trimmed(column)) and not _INDEX.match(column)
    return is_named or not all(value.isdecimal() or not value for value in table.column(column, None))
