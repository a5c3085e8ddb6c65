"""The model card of an artifact that ships: README.md as the Hugging Face hub reads it, front matter included."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import parse_qs

import yaml

from compress import stages
from compress.answers import metric, metric_title
from compress.errors import printable
from compress.extras import DISTRIBUTION
from compress.facts import Bundle
from compress.files.whole import CARD, LINEAGE
from compress.formats import find, size_of
from compress.lineage.bundle import bundle_section
from compress.lineage.model import Data, Figures, Lineage, Measurements, Source
from compress.models.config_file import labels_of
from compress.recipe.yaml_file import dump_yaml
from compress.report.markdown import plain
from compress.report.usage import HUB_TASK, usage
from compress.report.words import change, percent, sentence, times

LICENSE = "- This card states no license: look at those of the base model and of the data."
_HUB_NAME = re.compile(r"[\w.-]+(?:/[\w.-]+)?")


def model_card(lineage: Lineage, folder: Path, base_models: Sequence[str]) -> str:
    """The card of the artifact in `folder`.

    Args:
        lineage: of a run, so with its data.
        base_models: names of the hub models that it was made from.

    Raises:
        InputError: the folder has no config.json or no tokenizer.
    """
    from huggingface_hub import ModelCard, ModelCardData

    data = lineage.data
    assert data is not None
    tables = [source for source in lineage.sources if source.kind == "table"]
    results = _results(lineage, data, tables)
    front = ModelCardData(
        library_name=find(lineage.final.format).library(folder),
        pipeline_tag=data.hub_task,
        base_model=list(base_models) or None,
        datasets=[*dict.fromkeys(name for source in tables if (name := hub_name(source.pinned)))] or None,
        metrics=[metric(data.metric).hub] if lineage.measured else None,
        tags=_tags(lineage),
        model_name=lineage.name if results else None,
        eval_results=results or None,
    )
    bundle = stages.find(lineage.final.stage).facts_of(Bundle, lineage.final.facts)
    parts = (
        _opening(lineage, data, folder, base_models),
        _usage(lineage, data, folder),
        [] if bundle is None else bundle_section(bundle, data, folder),
        _making(lineage),
        _figures(lineage, data),
        _limits(data, tables),
        _again(lineage),
    )
    body = "\n\n".join("\n".join(part) for part in parts if part)
    return str(ModelCard(f"---\n{front.to_yaml()}\n---\n\n{body}\n"))


def hub_name(source: str) -> str | None:
    """`org/name` of `hf://org/name@revision`, None for other sources."""
    return re.split(r"[@?]", source.removeprefix("hf://"))[0] if source.startswith("hf://") else None


def base_models_in(folder: Path) -> list[str]:
    """The hub models that a model's own card says it is made from; none if it has no card that can be read."""
    from huggingface_hub import ModelCard

    path = folder / CARD
    if not path.is_file():
        return []
    try:
        found = ModelCard.load(path, ignore_metadata_errors=True).data.get("base_model")
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError):  # it is from outside, and decides nothing
        return []
    names = found if isinstance(found, list) else [found]
    return [name for name in names if isinstance(name, str) and _HUB_NAME.fullmatch(name)]


def _tags(lineage: Lineage) -> list[str]:
    return [*dict.fromkeys([*find(lineage.final.format).tags, *_done(lineage)]), "model-compression"]


def _done(lineage: Lineage) -> list[str]:
    """What its steps have made of it, in a word each."""
    return [*dict.fromkeys(tag for step in lineage.steps if (tag := stages.find(step.stage).tag))]


def _results(lineage: Lineage, data: Data, tables: Sequence[Source]) -> list[Any]:
    """The score on each target; figures of speed belong to a machine, which this form cannot name."""
    from huggingface_hub import EvalResult

    measured = lineage.measured.targets if lineage.measured else ()
    place = next((place for place in ("task.test", "task.train") for source in tables if place in source.places), "")
    source = next((source for source in tables if place in source.places), None)
    name = hub_name(source.pinned) if source else None
    asked = parse_qs(source.pinned.partition("?")[2]) if source and name else {}
    return [
        EvalResult(
            task_type=data.hub_task,
            dataset_type=name or "custom",
            dataset_name=printable(_shown(source)) if source else "held-out rows",
            dataset_config=asked.get("config", [None])[0],
            dataset_split=asked.get("split", ["test"])[0],
            dataset_revision=re.split(r"[@?]", source.pinned)[1] if source and name else None,
            metric_type=metric(data.metric).hub,
            metric_value=found.final.score.value,
            metric_name=f"{metric_title(data.metric)} on {found.target}",
            metric_args=dict(metric(data.metric).hub_settings) or None,
        )
        for found in measured
        if found.final.score is not None
    ]


def _opening(lineage: Lineage, data: Data, folder: Path, base_models: Sequence[str]) -> list[str]:
    done = _done(lineage)
    how = f"{', '.join(done)} " if done else ""
    source = f" from {_listed(base_models)}" if base_models else ""
    size = size_of(folder, lineage.final.format) / 1e6
    names = labels_of(folder)
    more = f", … ({len(names)} in all)" if len(names) > 20 else ""
    labels = f" Its labels are {_listed(names[:20])}{more}." if names else ""
    return [
        f"# {lineage.name}",
        "",
        f"A {how}{data.hub_task} model{source}: {find(lineage.final.format).title}, {size:.2f} MB.{labels} "
        f"Made by compress {lineage.compress_version}.",
    ]


_OUTPUTS = Template("""\
from pathlib import Path

from compress.formats import load
from compress.models.tokenizer import load_tokenizer

folder = Path(".")  # where this card is
tokenizer = load_tokenizer(folder)
rows = tokenizer.encode(["a text", "another"], None, $max_length)
print(load(folder, "$hub_task")(tokenizer.pad(rows)))
""")
"""Any model of any task, loaded by what made it."""


def _usage(lineage: Lineage, data: Data, folder: Path) -> list[str]:
    pairs = "text_pair" in data.columns
    form = find(lineage.final.format)
    packages, code = ([], "") if form.snippet is None else form.snippet(folder, data.hub_task, pairs)
    versions = {**lineage.final.versions, DISTRIBUTION: lineage.compress_version}
    pinned = [f"{name}=={versions[name]}" if name in versions else name for name in packages or [DISTRIBUTION]]
    made = ["## Run it", "", f"It was made with {_listed(pinned)}.", ""]
    if data.hub_task != HUB_TASK:
        code = code or _OUTPUTS.substitute(hub_task=data.hub_task, max_length=data.max_length)
        return [*made, "```python", code.rstrip(), "```"]
    own = usage(".", pairs=pairs)
    shell = ["```bash", own.install, own.texts, own.file, "```"]
    whole = ["```python", code.rstrip(), "```", "", "Or shorter, with what made it:", ""] if code else []
    return [*made, *whole, *shell, "", "```python", own.code, "```"]


def _making(lineage: Lineage) -> list[str]:
    recipe = yaml.safe_load(lineage.recipe) if lineage.recipe else {}
    written = {step["name"]: step for step in recipe.get("steps", [])}
    lines = [
        "## How it was made",
        "",
        "| step | technique | reads | settings | took |",
        "| --- | --- | --- | --- | ---: |",
    ]
    for step in lineage.steps:
        settings = {
            name: value
            for name, value in written.get(step.name, {}).items()
            if name not in {"name", "stage", *step.inputs}
        }
        flow = dump_yaml(settings, flow=True)
        told = flow.strip()[1:-1] or "defaults"  # {a: 1, b: {c: 2}} without the outer braces
        reads = []
        for role, value in step.inputs.items():
            source = lineage.source(value)
            reads.append(f"{role}: {_shown(source) if source else value}")
        lines.append(
            f"| {plain(step.name)} | {plain(step.stage)} | {_cell(', '.join(reads))} | {_cell(told)} "
            f"| {step.seconds:.1f} s |"
        )
    return [*lines, "", f"Seed {lineage.seed}. Every setting, hash, package and host stands in `{LINEAGE}`."]


def _figures(lineage: Lineage, data: Data) -> list[str]:
    lines = ["## Figures", ""]
    measured = lineage.measured
    if measured is None:
        return [*lines, f"{plain(sentence(lineage.unmeasured or ''))}."]
    title = metric_title(data.metric)
    for found in measured.targets:
        lines += [
            f"### {plain(found.described)}",
            "",
            f"| | {title} (95% interval) | change, points | MB | p50 ms | p90 ms | times faster | end to end | |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
        ]
        same = found.baseline is not None and found.baseline.step == found.final.step
        rows = [found.final] if same or found.baseline is None else [found.baseline, found.final]
        lines += [_row(row, row is found.baseline) for row in rows]
        lines += ["", *[f"{plain(row.step)} was not measured: {plain(row.reason)}." for row in rows if row.reason]]
    return [*lines, *_conditions(measured, data)]


def _row(row: Figures, is_baseline: bool) -> str:
    against = row.versus_baseline
    cells = [
        f"{row.step} (baseline)" if is_baseline else row.step,
        percent(row.score),
        change(against),
        f"{row.size_bytes / 1e6:.2f}",
        "" if row.p50_ms is None else f"{row.p50_ms:.2f}",
        "" if row.p90_ms is None else f"{row.p90_ms:.2f}",
        times(against.speedup) if against else "",
        times(against.end_to_end) if against else "",
        f"{against.quality_verdict}; {against.speed_verdict}" if against else row.status if row.reason else "",
    ]
    return f"| {' | '.join(plain(cell) for cell in cells)} |"


def _conditions(measured: Measurements, data: Data) -> list[str]:
    host = measured.host
    kept = ", ".join(f"{name} {version}" for name, version in host.get("versions", {}).items())
    told = [found.conditions.competing_cores for found in measured.targets if found.conditions]
    busy = [cores for cores in told if cores is not None]
    load = f" Other work kept {max(busy):.2f} cores busy." if busy else ""
    return [
        f"Measured on {data.test_rows:,} test rows, side by side in fresh processes with interleaved rounds; intervals "
        "are at 95%, the change's is paired. A torch model is measured through its ONNX export where ONNX is read. End "
        "to end is the same with the tokenizer, on test rows of their own length.",
        "",
        f"Machine: {plain(str(host.get('cpu')))}, {host.get('cores')} cores, {plain(str(host.get('system')))}; "
        f"{plain(kept)}.{load} {plain(measured.created)}. {plain(sentence(measured.goal))}.",
    ]


def _limits(data: Data, tables: Sequence[Source]) -> list[str]:
    lines = ["## Data and limits", ""]
    for source in tables:
        parts = " and ".join(place.partition(".")[2] for place in source.places)
        lines.append(f"- {parts}: {_quoted(_shown(source))}, {_quoted(_short_key(source))}")
    if not data.train_rows + data.test_rows:
        return [*lines, "- No rows were read here: nothing was trained or measured.", LICENSE]
    if data.unlabelled_rows:
        lines.append(f"- {data.unlabelled_rows:,} texts without labels, for training under a teacher")
    lines += [
        f"- {data.train_rows:,} training, {data.validation_rows:,} validation and {data.test_rows:,} test rows; "
        f"fingerprints {_quoted(data.train_key[:16])} and {_quoted(data.test_key[:16])}",
        *[f"- {plain(note)}" for note in data.notes],
        f"- Texts are cut after {data.max_length} tokens.",
        "- It knows the kind of text that stands in these rows. On other kinds it was not measured, nor for any bias.",
        LICENSE,
    ]
    return lines


def _again(lineage: Lineage) -> list[str]:
    return [
        "## Make it again",
        "",
        "```bash",
        "compress lineage .     # where it came from, and whether its files are those that were made",
        "compress reproduce . -o recipe.yaml && compress run recipe.yaml",
        "```",
        "",
        f"Key {_quoted(lineage.final.key)}.",
    ]


def _shown(source: Source) -> str:
    """A source's name for others: of a local one without the folders above it."""
    return Path(source.pinned).name if source.is_local else source.pinned


def _short_key(source: Source) -> str:
    sha = next(iter(source.files.values()), "")
    return (
        source.key[: len("folder:") + 16]
        if source.is_local
        else f"wheel SHA-256 {sha[:16]}"
        if sha
        else source.key[-40:]
    )


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(_quoted(text) for text in texts)


def _quoted(text: str) -> str:
    """Text from outside as code: nothing in it means anything to Markdown."""
    inside = printable(" ".join(text.replace("`", "'").split()))
    return f"`{inside or ' '}`"


def _cell(text: str) -> str:
    """The same in a table, where a bar needs an escape in code, too."""
    return _quoted(text).replace("|", "\\|")
