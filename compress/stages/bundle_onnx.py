"""Put fp32, fp16, int8 and 4-bit graphs of one model side by side, where transformers.js and optimum look for them.

Use it last, for a model that others load: in a browser, in Node, with optimum, from a hub. The folder holds
onnx/model.onnx (fp32), onnx/model_fp16.onnx, onnx/model_quantized.onnx (int8) and onnx/model_q4.onnx, with config.json
and the tokenizer beside `onnx/`. Each is held against the float model on held-back rows by the gate of the stage that
makes it; one that fails is left out, and the card says so with the reason. `main` is the graph that config.json names,
that other commands take, and that is measured; the step fails if it is left out. Costs seconds.

```yaml
- {name: web, stage: bundle_onnx, formats: [fp32, fp16, int8, q4], main: int8}
```

The graphs are those of `quantize_onnx_fp16`, `quantize_onnx_dynamic` and `quantize_onnx_4bit` as they are by default; a
step's own takes their place by its role: `int8: small`, `q4: four`.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from compress import stages
from compress.context import Context
from compress.errors import CompressError, InputError
from compress.facts import Agreement, Bundle, BundledGraph, Quantization
from compress.models.architectures import Shape
from compress.stages import Input, Names, Stage, StageConfig, settle_range
from compress.store.artifacts import Artifact

Format = Literal["fp32", "fp16", "int8", "q4"]
FORMATS: tuple[str, ...] = get_args(Format)
STAGES = {"fp16": "quantize_onnx_fp16", "int8": "quantize_onnx_dynamic", "q4": "quantize_onnx_4bit"}
"""The stage that makes each number format."""
DTYPES = {"fp32": "fp32", "fp16": "fp16", "int8": "q8", "q4": "q4"}
"""The name of each number format in transformers.js."""


class Config(StageConfig):
    """Which graphs."""

    formats: Names = FORMATS
    """Number formats, of fp32, fp16, int8 and q4."""
    main: Format = "int8"
    """The one that config.json names, that is measured, and without which the step fails."""
    reduce_range: bool | None = None
    """Use 7 of the 8 bits for int8 weights, so that AVX2 cannot saturate. Left out: as this processor needs it."""
    min_agreement: float = Field(0.9, ge=0, le=1)
    """Leave a graph out if fewer rows than this share keep their best class, or if Cohen's kappa, the agreement beyond
    chance, is less than half of it."""

    @model_validator(mode="after")
    def _knows_its_formats(self) -> "Config":
        for name in self.formats:
            if name not in FORMATS:
                raise ValueError(f"formats names '{name}'; there are {', '.join(FORMATS)}")
        if len(set(self.formats)) < len(self.formats):
            raise ValueError("formats names one twice")
        if self.main not in self.formats:
            raise ValueError(f"main is {self.main}, which is not among formats: {', '.join(self.formats)}")
        return self


def run(
    *,
    model: Artifact,
    config: Config,
    context: Context,
    out: Path,
    int8: Artifact | None = None,
    q4: Artifact | None = None,
) -> Bundle:
    """Make or take each graph, leave out those that differ too much from the float one, and write the folder."""
    from compress.graphs.read import read_float_graph
    from compress.models.files import layout_file, model_path
    from compress.models.tokenizer import copy_tokenizer

    read_float_graph(model_path(model.path))  # raises an error for a quantized graph
    step_graphs = {"int8": int8, "q4": q4}
    _check_ids(model, step_graphs)
    bundled: dict[str, BundledGraph] = {}
    left_out: dict[str, str] = {}
    for name in config.formats:
        try:
            folder, agreed = _graph(name, model, step_graphs.get(name), config, context)
        except CompressError as error:
            left_out[name] = error.what
            continue
        file = layout_file(DTYPES[name])
        size = _put(folder, out / file)
        bundled[name] = BundledGraph(file=file, dtype=DTYPES[name], size_bytes=size, parity=agreed)
    if config.main in left_out:
        raise CompressError(
            f"the main graph, {config.main}, cannot be shipped: {left_out[config.main]}",
            fix=f"take another one as main, or give a step's own: {config.main}: STEP"
            if config.main in step_graphs
            else "take another one as main",
        )
    _write_config(model.path, out, DTYPES[config.main])
    copy_tokenizer(model.path, out)
    return Bundle(formats=bundled, left_out=left_out, main=config.main, parity=bundled[config.main].parity)


def _check_ids(model: Artifact, step_graphs: Mapping[str, Artifact | None]) -> None:
    """Refuse a step's graph whose token ids differ from those of the folder's tokenizer.

    Raises:
        InputError: it names the graph's role.
    """
    from compress.models.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(model.path)
    for role, other in step_graphs.items():
        if other is not None and not load_tokenizer(other.path).gives_ids_of(tokenizer):
            raise InputError(
                f"'{role}' has another tokenizer than 'model'", fix="name steps that were made of the same ONNX model"
            )


def _graph(
    name: str, model: Artifact, step_graph: Artifact | None, config: Config, context: Context
) -> tuple[Path, Agreement | None]:
    """The folder of a graph, with its agreement with the float one; None for the float one itself.

    Raises:
        CompressError: it cannot be made, or does not pass.
    """
    from compress.comparing import parity

    if name == "fp32":
        return model.path, None
    if step_graph is not None:
        if _weight_bytes(step_graph.path) >= _weight_bytes(model.path):
            raise CompressError("the step's own graph is no smaller than the float one")
        return step_graph.path, parity.gate(model.path, step_graph.path, context, config.min_agreement)
    stage = stages.find(STAGES[name])
    folder = context.work / "graphs" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    settings: dict[str, Any] = {"min_agreement": config.min_agreement}
    if name == "int8":
        settings["reduce_range"] = config.reduce_range
    facts = stage.run(model=model, config=stage.config(**settings), context=context, out=folder)
    assert isinstance(facts, Quantization)
    return folder, facts.parity


def _weight_bytes(folder: Path) -> int:
    from compress.formats.onnx import weight_files

    return sum(path.stat().st_size for path in weight_files(folder))


def _put(folder: Path, target: Path) -> int:
    """Copy a folder's graph, and its weights beside it under a name of their own; returns the bytes of both."""
    import onnx

    from compress.graphs.read import check_external_data
    from compress.models.files import model_path

    source = model_path(folder)
    target.parent.mkdir(exist_ok=True)
    if not check_external_data(source):
        shutil.copyfile(source, target)
        return target.stat().st_size
    weights_name = f"{target.name}_data"
    onnx.save(onnx.load(str(source)), str(target), save_as_external_data=True, location=weights_name)
    return target.stat().st_size + (target.parent / weights_name).stat().st_size


def _write_config(folder: Path, out: Path, dtype: str) -> None:
    """Write config.json, which names the graph that is used where nobody names one."""
    from compress.files.whole import read_object, write_text
    from compress.models.files import JS_CONFIG

    settings: dict[str, Any] = {"dtype": dtype}
    beside = {file.name.removesuffix("_data"): 1 for file in (out / "onnx").glob("*.onnx_data")}
    if beside:
        settings["use_external_data_format"] = beside
    config = {**read_object(folder / "config.json"), JS_CONFIG: settings}
    write_text(out / "config.json", json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def _shape(config: Config, shapes: Mapping[str, Shape | None]) -> Shape | None:
    for role in shapes:
        if role in STAGES and role not in config.formats:
            raise InputError(
                f"'{role}' names a graph, and formats leaves {role} out: {', '.join(config.formats)}",
                fix=f"add {role} to formats, or leave '{role}' out",
            )
    return shapes["model"]


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("onnx"), "int8": Input("onnx", optional=True), "q4": Input("onnx", optional=True)},
    output="onnx",
    version=1,
    shape=_shape,
    facts=Bundle,
    settle=settle_range,
)
