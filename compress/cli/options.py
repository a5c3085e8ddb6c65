"""Command-line options made from the settings models, so that a new stage gets its command for nothing."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from compress import answers
from compress.cli.help_pages import DATA
from compress.errors import InputError
from compress.recipe.known_name import KnownName
from compress.recipe.schema import Model

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else.")]

READING_FIELDS = ("encoding", "delimiter", "sheet")
"""Options on how files are read; their texts are not read as YAML, where | and ~ mean something else."""
Encoding: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--encoding", help="Of text files that are not UTF-8: cp1252, latin-1, …", metavar="NAME", rich_help_panel=DATA
    ),
]
Delimiter: TypeAlias = Annotated[
    str | None,
    typer.Option("--delimiter", help="What separates cells: ';', tab, pipe, …", metavar="SIGN", rich_help_panel=DATA),
]
Sheet: TypeAlias = Annotated[
    str | None, typer.Option("--sheet", help="Sheet of a workbook (.xlsx).", metavar="NAME", rich_help_panel=DATA)
]

DATA_FIELDS = (
    "train",
    "validation",
    "test",
    "unlabelled",
    *READING_FIELDS,
    "max_length",
    "train_rows",
    "validation_fraction",
    "test_fraction",
    "overlap",
    "incomplete",
    "metric",
)
COLUMN_ROLES = ("text", "text_pair", "label")


def model_options(
    model: type[BaseModel], only: Iterable[str] | None = None, prefix: str = ""
) -> list[inspect.Parameter]:
    """One option for each field of a settings model; nested models are flattened with a prefix.

    Every option defaults to None, which means "not given": defaults stay in the model, in one place.
    """
    parameters = []
    for name, field in model.model_fields.items():
        if only is not None and name not in only:
            continue
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            parameters += model_options(nested, prefix=f"{prefix}{name}__")
        else:
            parameters.append(_option(f"{prefix}{name}", field, _topic(model, name)))
    return parameters


def _topic(model: type[BaseModel], field: str) -> str:
    """The topic of a field: that of the first class that has the field."""
    kinds = [kind for kind in reversed(model.__mro__) if issubclass(kind, BaseModel)]
    owner = next(kind for kind in kinds if field in kind.model_fields)
    return str(vars(owner).get("TOPIC", Model.TOPIC))


def retitle(parameter: inspect.Parameter, behind: str) -> None:
    """Add to an option's topic when the option counts."""
    declared = get_args(parameter.annotation)[1]
    declared.rich_help_panel = f"{declared.rich_help_panel} {behind}"


def option(name: str, help_text: str, metavar: str = "TEXT", topic: str | None = None) -> inspect.Parameter:
    """An optional text option."""
    flag = f"--{name.replace('_', '-')}"
    declared = typer.Option(flag, help=help_text, metavar=metavar, show_default=False, rich_help_panel=topic)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, declared]
    )


def flags(parameters: Iterable[inspect.Parameter]) -> set[str]:
    """The names of the options that take no value."""
    return option_names(item for item in parameters if (get_args(item.annotation) or (None,))[0] in {bool, bool | None})


def option_names(parameters: Iterable[inspect.Parameter]) -> set[str]:
    """The names of options as they are typed: `--train`, `--json`, `--no-symmetric`."""
    option_texts: set[str] = set()
    for parameter in parameters:
        for declared in get_args(parameter.annotation)[1:]:
            names = [declared.default, *(declared.param_decls or ())]  # Typer takes the first for a default
            option_texts.update(
                part for name in names if isinstance(name, str) for part in name.split("/") if part.startswith("-")
            )
    return option_texts


def with_signature(
    function: Callable[..., Any], parameters: Iterable[inspect.Parameter], help_text: str
) -> Callable[..., Any]:
    """A command that calls `function` with these parameters as keywords."""

    def command(**option_values: Any) -> Any:
        return function(**option_values)

    signature = list(parameters)
    command.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in signature}
    command.__doc__ = help_text
    return command


def settings_from(option_values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of options as nested settings; texts are read as YAML values, as in a recipe.

    `{"recover__epochs": "1", "layers": "[0, 5]"}` gives `{"recover": {"epochs": 1}, "layers": [0, 5]}`. A
    value that is not YAML stays text.

    Raises:
        InputError: a value grows past the bounds of a recipe.
    """
    import yaml

    from compress.recipe.yaml_file import parse_value

    settings: dict[str, Any] = {}
    for name, raw in option_values.items():
        if raw is None:
            continue
        value = raw
        if isinstance(raw, str):
            try:
                value = parse_value(raw, f"--{name.replace('__', '-').replace('_', '-')}")
            except InputError as error:
                if not isinstance(error.__cause__, yaml.YAMLError):
                    raise
                value = raw
        place = settings
        *parents, last = name.split("__")
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return settings


def data_options() -> list[inspect.Parameter]:
    """Options that name the data and its columns."""
    from compress.recipe.schema import TaskSpec

    columns = [
        option(f"{role}_column", f"Column of the {role.replace('_', ' ')}s.", "NAME", DATA) for role in COLUMN_ROLES
    ]
    metrics = list(answers.find("label").METRICS)  # the columns are those of texts with a label each
    help_text = f"The score that the report compares. [default: {metrics[0]}]"
    fields = model_options(TaskSpec, only=[name for name in DATA_FIELDS if name != "metric"])
    return [*fields, option("metric", help_text, "|".join(metrics), DATA), *columns]


def take_data(option_values: dict[str, Any]) -> dict[str, Any]:
    """Remove the data options from the values, and return them as the recipe's `task`."""
    from compress.recipe.schema import TABLES

    columns = {role: option_values.pop(f"{role}_column") for role in COLUMN_ROLES}
    raw = {name: option_values.pop(name) for name in DATA_FIELDS}
    as_written = {name: raw.pop(name) for name in (*TABLES, *READING_FIELDS)}
    task = {name: text for name, text in as_written.items() if text is not None} | settings_from(raw)
    named_columns = {role: column for role, column in columns.items() if column is not None}
    return {**task, "columns": named_columns} if named_columns else task


def _option(name: str, field: FieldInfo, topic: str) -> inspect.Parameter:
    flag = name.replace("__", "-").replace("_", "-")
    default = field.get_default(call_default_factory=True)
    default_note = "" if field.is_required() or default is None or default == () else f" [default: {_plain(default)}]"
    help_text = f"{(field.description or '').strip()}{default_note}"
    if bool in {field.annotation, *get_args(field.annotation)}:
        declared = typer.Option(f"--{flag}/--no-{flag}", help=help_text, show_default=False, rich_help_panel=topic)
        annotation: Any = Annotated[bool | None, declared]
    else:
        known_name = next((item for item in field.metadata if isinstance(item, KnownName)), None)
        metavar = "|".join(known_name.registry.names()) if known_name else _metavar(field.annotation)
        declared = typer.Option(f"--{flag}", help=help_text, metavar=metavar, show_default=False, rich_help_panel=topic)
        annotation = Annotated[str | None, declared]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _metavar(annotation: Any) -> str:
    """The text after an option in the help: its choices, or the kind of its value."""
    if get_origin(annotation) is Literal:
        return "|".join(str(choice) for choice in get_args(annotation))
    if get_origin(annotation) is Annotated:
        return _metavar(get_args(annotation)[0])
    if get_origin(annotation) is tuple:
        item = _metavar(get_args(annotation)[0])
        return f"[{item},{item},…]"
    inner = [part for part in get_args(annotation) if part is not type(None)]
    if get_origin(annotation) is Union or inner:
        return " or ".join(dict.fromkeys(_metavar(part) for part in inner)) or "TEXT"
    return {int: "N", float: "X", str: "TEXT"}.get(annotation, "TEXT")
