"""A first recipe for a user's model and data, written after a look at both."""

import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from compress.answers.label import F1_MACRO
from compress.data.sources import Sources
from compress.data.tables import Table
from compress.errors import printable
from compress.recipe.reading import AS_IT_SAYS, Reading
from compress.recipe.yaml_file import dump_yaml
from compress.starter.presets import PRESETS, Preset
from compress.starter.questions import Ask
from compress.starter.roles import NONE_NAMED, Wishes, find_roles
from compress.starter.survey import Survey, look_at

TEMPLATE = """\
# {title}: {preset}.
# Check it with `compress plan {path}`, run it with `compress run {path}`.
# Keys and values are described by `compress schema`; relative paths start at this file's folder.
name: {name}
seed: 0

task:
  type: text_classification
  train: {train}
{test}
{reading}  columns: {columns}
{no_label}  max_length: {max_length}        # tokens kept of each text; {cut:.0%} of the training texts are longer
  overlap: drop           # test rows that also stand in train: refuse | drop (from train) | allow (and report)
{incomplete}{metric}
steps:
{steps}
targets:
  cpu: {{runtime: onnxruntime, threads: 2, batch_size: 1, sequence_length: {max_length}}}

goal: {{{goal}}}        # missed: exit code 3
{search}"""
_ABOUT = {
    "search": "search for the smallest model that is as good",
    "small": "distill, prune, export, quantize",
    "strongest": "trim, distill into a narrow student with variants of the rows, export, quantize",
}
_FINE_TUNED = {"search": "fine-tune, then "}


@dataclass(frozen=True)
class Material:
    """The model and the data for which a recipe is written.

    Attributes:
        model, train, test: the sources as the user wrote them.
        folder: the model's local folder.
    """

    model: str
    train: str
    test: str | None
    folder: Path
    train_table: Table
    test_table: Table | None
    reading: Reading = AS_IT_SAYS


def fetch(model: str, train: str, test: str | None, sources: Sources, reading: Reading = AS_IT_SAYS) -> Material:
    """Fetch and read a model and its data; relative paths start in the current folder.

    Args:
        reading: options for files that do not show themselves how they are read.

    Raises:
        OptionNeededError: a file can be read, but needs an option from the user.
        InputError: the data or the model cannot be read.
    """
    train_table = sources.table(train, "--train", reading)
    test_table = None if test is None else sources.table(test, "--test", reading)
    folder = sources.model(model, "--model").path
    return Material(model, train, test, folder, train_table, test_table, reading)


def survey(material: Material, wishes: Wishes = NONE_NAMED, ask: Ask | None = None) -> Survey:
    """Find the roles of the columns, and look at their content.

    Args:
        wishes: the columns that the user named.
        ask: asks the user if two choices are equally likely.

    Raises:
        InputError: the roles are unclear, or the model has no tokenizer.
    """
    from compress.models.architectures import positions_of
    from compress.models.config_file import read_config

    roles = find_roles(material.train_table, wishes, ask)
    positions = positions_of(read_config(material.folder))
    return look_at(material.train_table, material.test_table, roles, material.folder, positions)


def write_starter(
    material: Material, findings: Survey, out: Path, preset: Preset = "small", *, finetune: bool = False
) -> str:
    """The text of a recipe that fits the data.

    Args:
        out: the recipe's file; its relative paths start in that folder.
        finetune: train a model that gives the data's labels already, too; else it is the teacher as it is.

    Raises:
        InputError: the preset does not fit the model.
    """
    from compress.models.architectures import read_shape
    from compress.models.config_file import read_config

    def source(value: str) -> str:
        path = Path(value).expanduser()
        return _quoted(value if "://" in value or path.is_absolute() else os.path.relpath(path, out.parent))

    shape = read_shape(read_config(material.folder))
    as_it_is = findings.knows_labels and not finetune
    steps = PRESETS[preset](source(material.model), shape, findings.counts, as_it_is=as_it_is)
    speedup = steps.min_speedup
    roles, lengths = findings.roles, findings.lengths
    pair = f", text_pair: {_quoted(roles.text_pair)}" if roles.text_pair is not None else ""
    no_label = f"  no_label: {dump_yaml(list(findings.no_label), flow=True).strip()}         # no class, but none\n"
    doubt = "if the model has learned from train, " if as_it_is else ""
    test = f"  test_fraction: 0.2        # held out of train, for the report; {doubt}better give a test file"
    skew = f"  # metric: {F1_MACRO}      # weighs all classes alike, where most rows have one label\n"
    return TEMPLATE.format(
        title=printable(f"{Path(material.model.rstrip('/')).name} on {Path(material.train).name}"),
        preset=_ABOUT[preset] if as_it_is else _FINE_TUNED.get(preset, "fine-tune, ") + _ABOUT[preset],
        path=printable(str(out)),
        name=_quoted(re.sub(r"[^A-Za-z0-9._-]+", "-", out.stem).lstrip("._-")[:100] or "recipe"),
        train=source(material.train),
        test=test if material.test is None else f"  test: {source(material.test)}",
        reading="".join(
            f"  {name}: {_quoted(value)}\n" for name, value in asdict(material.reading).items() if value is not None
        ),
        columns=f"{{text: {_quoted(roles.text)}{pair}, label: {_quoted(roles.label)}}}",
        no_label=no_label if findings.no_label else "",
        max_length=lengths.max_length,
        cut=lengths.cut,
        incomplete=_incomplete(findings.lacking),
        metric=skew if findings.is_skewed else "",
        steps=steps.text,
        goal=f"max_drop_pp: {steps.max_drop_pp}" + (f", min_speedup: {speedup}" if speedup is not None else ""),
        search=steps.search,
    )


def _incomplete(lacking: int) -> str:
    rows = "1 row lacks" if lacking == 1 else f"{lacking:,} rows lack"
    return f"  incomplete: drop         # {rows} a text or a label\n" if lacking else ""


def _quoted(value: str) -> str:
    return dump_yaml([value], flow=True).strip()[1:-1]
