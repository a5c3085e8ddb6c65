"""The model card of a final artifact: README.md in the form of the Hugging Face hub, with front matter."""

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
        lineage: the lineage of a run, which includes its data.
        base_models: names of the hub models that the artifact was made from.

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
        _steps_table(lineage),
        _figures(lineage, data),
        _limits(data, tables),
        _reproduction(lineage),
    )
    body = "\n\n".join("\n".join(part) for part in parts if part)
    return str(ModelCard(f"---\n{front.to_yaml()}\n---\n\n{body}\n"))


def hub_name(source: str) -> str | None:
    """The `org/name` of `hf://org/name@revision`; None for other sources."""
    return re.split(r"[@?]", source.removeprefix("hf://"))[0] if source.startswith("hf://") else None


def base_models_in(folder: Path) -> list[str]:
    """Names of the base models in a model's own card; empty if there is no readable card."""
    from huggingface_hub import ModelCard

    path = folder / CARD
    if not path.is_file():
        return []
    try:
        names_in_card = ModelCard.load(path, ignore_metadata_errors=True).data.get("base_model")
    except (
        OSError,
        ValueError,
        TypeError,
        RecursionError,
        yaml.YAMLError,
    ):  # the card is from outside, and nothing depends on it
        return []
    names = names_in_card if isinstance(names_in_card, list) else [names_in_card]
    return [name for name in names if isinstance(name, str) and _HUB_NAME.fullmatch(name)]


def _tags(lineage: Lineage) -> list[str]:
    return [*dict.fromkeys([*find(lineage.final.format).tags, *_techniques(lineage)]), "model-compression"]


def _techniques(lineage: Lineage) -> list[str]:
    """The techniques of the steps, in a word each."""
    return [*dict.fromkeys(tag for step in lineage.steps if (tag := stages.find(step.stage).tag))]


def _results(lineage: Lineage, data: Data, tables: Sequence[Source]) -> list[Any]:
    """The score on each target, in the hub's form; speed is left out, because the form cannot name the machine."""
    from huggingface_hub import EvalResult

    measured = lineage.measured.targets if lineage.measured else ()
    place = next((place for place in ("task.test", "task.train") for source in tables if place in source.places), "")
    source = next((source for source in tables if place in source.places), None)
    name = hub_name(source.pinned) if source else None
    query = parse_qs(source.pinned.partition("?")[2]) if source and name else {}
    return [
        EvalResult(
            task_type=data.hub_task,
            dataset_type=name or "custom",
            dataset_name=printable(_display_name(source)) if source else "held-out rows",
            dataset_config=query.get("config", [None])[0],
            dataset_split=query.get("split", ["test"])[0],
            dataset_revision=re.split(r"[@?]", source.pinned)[1] if source and name else None,
            metric_type=metric(data.metric).hub,
            metric_value=on_target.final.score.value,
            metric_name=f"{metric_title(data.metric)} on {on_target.target}",
            metric_args=dict(metric(data.metric).hub_settings) or None,
        )
        for on_target in measured
        if on_target.final.score is not None
    ]


def _opening(lineage: Lineage, data: Data, folder: Path, base_models: Sequence[str]) -> list[str]:
    techniques = _techniques(lineage)
    how = f"{', '.join(techniques)} " if techniques else ""
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
    requirements = ["## Run it", "", f"It was made with {_listed(pinned)}.", ""]
    if data.hub_task != HUB_TASK:
        code = code or _OUTPUTS.substitute(hub_task=data.hub_task, max_length=data.max_length)
        return [*requirements, "```python", code.rstrip(), "```"]
    own = usage(".", pairs=pairs)
    shell = ["```bash", own.install, own.texts, own.file, "```"]
    whole = ["```python", code.rstrip(), "```", "", "Or shorter, with what made it:", ""] if code else []
    return [*requirements, *whole, *shell, "", "```python", own.code, "```"]


def _steps_table(lineage: Lineage) -> list[str]:
    recipe = yaml.safe_load(lineage.recipe) if lineage.recipe else {}
    recipe_steps = {step["name"]: step for step in recipe.get("steps", [])}
    lines = [
        "## How it was made",
        "",
        "| step | technique | reads | settings | took |",
        "| --- | --- | --- | --- | ---: |",
    ]
    for step in lineage.steps:
        settings = {
            name: value
            for name, value in recipe_steps.get(step.name, {}).items()
            if name not in {"name", "stage", *step.inputs}
        }
        flow = dump_yaml(settings, flow=True)
        settings_text = flow.strip()[1:-1] or "defaults"  # {a: 1, b: {c: 2}} without the outer braces
        reads = []
        for role, value in step.inputs.items():
            source = lineage.source(value)
            reads.append(f"{role}: {_display_name(source) if source else value}")
        lines.append(
            f"| {plain(step.name)} | {plain(step.stage)} | {_cell(', '.join(reads))} | {_cell(settings_text)} "
            f"| {step.seconds:.1f} s |"
        )
    return [*lines, "", f"Seed {lineage.seed}. Every setting, hash, package and host stands in `{LINEAGE}`."]


def _figures(lineage: Lineage, data: Data) -> list[str]:
    lines = ["## Figures", ""]
    measured = lineage.measured
    if measured is None:
        return [*lines, f"{plain(sentence(lineage.unmeasured or ''))}."]
    title = metric_title(data.metric)
    for on_target in measured.targets:
        lines += [
            f"### {plain(on_target.described)}",
            "",
            f"| | {title} (95% interval) | change, points | MB | p50 ms | p90 ms | times faster | end to end | |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
        ]
        same = on_target.baseline is not None and on_target.baseline.step == on_target.final.step
        rows = [on_target.final] if same or on_target.baseline is None else [on_target.baseline, on_target.final]
        lines += [_row(row, row is on_target.baseline) for row in rows]
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
    packages = ", ".join(f"{name} {version}" for name, version in host.get("versions", {}).items())
    competing = [on_target.conditions.competing_cores for on_target in measured.targets if on_target.conditions]
    busy = [cores for cores in competing if cores is not None]
    load = f" Other work kept {max(busy):.2f} cores busy." if busy else ""
    return [
        f"Measured on {data.test_rows:,} test rows, side by side in fresh processes with interleaved rounds; intervals "
        "are at 95%, the change's is paired. A torch model is measured through its ONNX export where ONNX is read. End "
        "to end is the same with the tokenizer, on test rows of their own length.",
        "",
        f"Machine: {plain(str(host.get('cpu')))}, {host.get('cores')} cores, {plain(str(host.get('system')))}; "
        f"{plain(packages)}.{load} {plain(measured.created)}. {plain(sentence(measured.goal))}.",
    ]


def _limits(data: Data, tables: Sequence[Source]) -> list[str]:
    lines = ["## Data and limits", ""]
    for source in tables:
        parts = " and ".join(place.partition(".")[2] for place in source.places)
        lines.append(f"- {parts}: {_quoted(_display_name(source))}, {_quoted(_short_key(source))}")
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


def _reproduction(lineage: Lineage) -> list[str]:
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


def _display_name(source: Source) -> str:
    """A source's name for other people: local paths without their parent folders."""
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
    """Text from outside as inline code, in which nothing has a meaning in Markdown."""
    inside = printable(" ".join(text.replace("`", "'").split()))
    return f"`{inside or ' '}`"


def _cell(text: str) -> str:
    """Text from outside as inline code in a table, where a bar needs an escape too."""
    return _quoted(text).replace("|", "\\|")
