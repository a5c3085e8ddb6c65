"""The results' files as a flat summary, and as the README's text."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.quantization.making import FLOAT, SUBJECTS
from compress.measurement import Estimate
from compress.report.words import POINTS, bracketed

DEFAULT_OF = {
    "int8_dynamic": "default_int8_dynamic",
    "int8_static": "default_int8_static",
    "int4_rtn": "default_int4",
    "int4_best": "default_int4",
}
"""What each of our schemes is held against: the same by the library's defaults."""
FURTHER = ("int4_hqq", "int4_gptq")
WORDS = {
    FLOAT: "fp32, fused",
    "default_int8_dynamic": "onnxruntime's `quantize_dynamic`",
    "default_int8_static": "onnxruntime's `quantize_static`",
    "default_int4": "onnxruntime's `MatMulNBitsQuantizer`",
    "auto": "`quantize_onnx_auto`",
}
Part = Mapping[str, Any]


def summary(parts: Mapping[str, Part]) -> dict[str, float]:
    """Flat figures out of the parts that are there; those of AVX2 unless a name says native."""
    found: dict[str, float] = {}
    for name in ("r8", "r52"):
        if f"{name}-avx2" in parts:
            found |= _of_schemes(name, parts[f"{name}-avx2"], DEFAULT_OF)
    if "outlier-avx2" in parts:
        models = parts["outlier-avx2"]["models"]
        found["outlier_plain_drop_pp"] = round(models["default_int8_dynamic"]["drop_pp"]["value"], 3)
        if "auto" in models:
            found["outlier_auto_drop_pp"] = round(models["auto"]["drop_pp"]["value"], 3)
    if "calibration" in parts:
        taken = parts["calibration"]["methods"].values()
        found["calibration_extra_mb"] = round(max(item["peak_bytes"] - item["loaded_bytes"] for item in taken) / 1e6, 1)
    for name, item in parts.get("choice", {}).get("candidates", {}).items():
        for figure in ("logit_error", "divergence"):
            found |= {f"{data}_{name}_{figure}": item[data][figure] for data in item if data != "settings"}
    if "student-avx2" in parts:
        found |= _of_schemes("student", parts["student-avx2"], DEFAULT_OF)
    for name in SUBJECTS:
        for kind in ("avx2", "native"):
            if f"{name}-{kind}" in parts:
                found |= _beside(name, parts[f"{name}-{kind}"]["models"], kind)
    return found


def _of_schemes(name: str, part: Part, default_of: Mapping[str, str]) -> dict[str, float]:
    models = part["models"]
    found = {}
    for scheme, default in default_of.items():
        model = models[scheme]
        found[f"{name}_{scheme}_size_ratio"] = round(models[FLOAT]["size_bytes"] / model["size_bytes"], 3)
        found[f"{name}_{scheme}_drop_pp"] = round(model["drop_pp"]["value"], 3)
        found[f"{name}_{scheme}_speedup"] = round(model["lengths"]["128"]["speedup"]["value"], 3)
        found[f"{name}_{scheme}_default_drop_pp"] = round(models[default]["drop_pp"]["value"], 3)
    return found


def _beside(name: str, models: Mapping[str, Any], kind: str) -> dict[str, float]:
    """At 32 tokens, of the defaults, of the further schemes, and all of it with what the processor really has."""
    end = "" if kind == "avx2" else "_native"
    found = {}
    for model, item in models.items():
        if model == FLOAT:
            continue
        found[f"{name}_{model}_speedup_32{end}"] = round(item["lengths"]["32"]["speedup"]["value"], 3)
        found[f"{name}_{model}_speedup{end}"] = round(item["lengths"]["128"]["speedup"]["value"], 3)
        found[f"{name}_{model}_drop_pp{end}"] = round(item["drop_pp"]["value"], 3)
        same = [one == other for one, other in zip(models[FLOAT]["predictions"], item["predictions"], strict=True)]
        found[f"{name}_{model}_agreement{end}"] = round(sum(same) / len(same), 5)
    return found


def text(parts: Mapping[str, Part]) -> str:
    """What stands between the README's marks."""
    titles = {name: subject.title for name, subject in SUBJECTS.items()}
    titles["outlier"] = "R8's MiniLM-L6 with outlier channels"
    lines = []
    for name, title in titles.items():
        if f"{name}-avx2" in parts:
            lines += ["", f"{title}:", "", *_table(parts, name)]
    if "choice" in parts:
        lines += ["", *_choice(parts["choice"])]
    if "calibration" in parts:
        lines += ["", *_memory(parts["calibration"])]
    told = next((part for part in parts.values() if part.get("how")), None)
    if told:
        lines += ["", f"{told['host']['cpu']}, {told['host']['cores']} cores; {told['how']}."]
    return "\n".join([*lines, "", ""])


def _table(parts: Mapping[str, Part], name: str) -> list[str]:
    models = parts[f"{name}-avx2"]["models"]
    native = parts.get(f"{name}-native", {}).get("models", {})
    lines = [
        "| | accuracy | change [95%] | MB (model.onnx) | smaller | 128 tokens | times faster [95%] "
        "| 32 tokens | times faster [95%] | native: change | times faster |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for model, item in models.items():
        is_float = model == FLOAT
        long, short = item["lengths"]["128"], item["lengths"]["32"]
        beside = native.get(model)
        cells = [
            WORDS.get(model, f"`{model}`"),
            f"{item['accuracy']:.2%}",
            "" if is_float else bracketed(-Estimate.model_validate(item["drop_pp"]), POINTS),
            f"{item['size_bytes'] / 1e6:.2f} ({item['model_bytes'] / 1e6:.2f})",
            f"{models[FLOAT]['size_bytes'] / item['size_bytes']:.1f}x",
            f"{long['p50_ms']:.2f} ms",
            "" if is_float else bracketed(Estimate.model_validate(long["speedup"]), ".2f"),
            f"{short['p50_ms']:.2f} ms",
            "" if is_float else bracketed(Estimate.model_validate(short["speedup"]), ".2f"),
            "" if beside is None or is_float else f"{-beside['drop_pp']['value']:{POINTS}}",
            "" if beside is None or is_float else f"{beside['lengths']['128']['speedup']['value']:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    if "auto" in models:
        lines += ["", f"`quantize_onnx_auto` says: {models['auto']['made']['facts']['choice']['verdict']}."]
    return lines


def _choice(part: Part) -> list[str]:
    """What `int4_best` was chosen among."""
    data = [key for key in next(iter(part["candidates"].values())) if key != "settings"]
    lines = [
        "Tried for `int4_best`, on rows held back from train:",
        "",
        f"| | {' | '.join(f'{name}: smaller | error of logits | divergence | change' for name in data)} |",
        f"| --- | {' | '.join(['---: | ---: | ---: | ---:'] * len(data))} |",
    ]
    for name, item in part["candidates"].items():
        cells = [
            f"{item[one]['size_ratio']:.2f}x | {item[one]['logit_error']:.2%} | {item[one]['divergence']:.5f} "
            f"| {-item[one]['drop_pp']:{POINTS}}"
            for one in data
        ]
        shown = f"**`{name}`**" if name == part["chosen"] else f"`{name}`"
        lines.append(f"| {shown} | {' | '.join(cells)} |")
    return lines


def _memory(part: Part) -> list[str]:
    """What static calibration takes."""
    lines = [
        "Memory of static calibration:",
        "",
        "| | with the model loaded | at the most | extra |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, item in part["methods"].items():
        loaded, peak = item["loaded_bytes"] / 1e6, item["peak_bytes"] / 1e6
        lines.append(f"| `{name}` | {loaded:.0f} MB | {peak:.0f} MB | {peak - loaded:.0f} MB |")
    return lines


def write_text(path: Path, told: str) -> None:
    """Put a text between a README's marks."""
    readme = path.read_text(encoding="utf-8")
    begin, end = "<!-- quantization -->\n", "<!-- /quantization -->"
    before, _, rest = readme.partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{begin}{told}{end}{after}", encoding="utf-8")
