"""Data sets of the Hugging Face hub, read from a local folder."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from compress.data.cells import text_of
from compress.data.tables import Table
from compress.errors import InputError
from compress.extras import need
from compress.files.whole import stays_inside


def check_reader(where: str | None) -> None:
    """Refuse data sets of the hub, before any is fetched, if the package that reads them is not installed.

    Raises:
        InputError: gives the command that installs it.
    """
    need("datasets", "a data set of the hub", where)


def read_hub_dataset(folder: Path, config: str | None, split: str | None, source: str, where: str | None) -> Table:
    """The table of one split of a Hugging Face dataset in `folder`; numbers of classes become their names.

    Raises:
        InputError: there is no such configuration or split, the dataset needs code of its own, or its description
            names files outside of its folder.
    """
    import datasets

    try:
        described = datasets.load_dataset_builder(str(folder), name=config).config.data_files or {}
        for file in (Path(str(name)) for names in described.values() for name in names):
            if not stays_inside(file, folder):
                raise InputError(
                    f"the dataset '{source}' names '{file}', outside of its folder",
                    where=where,
                    fix="do not use this dataset",
                )
        loaded = datasets.load_dataset(str(folder), name=config)
    except InputError:
        raise
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"cannot read the dataset '{source}': {first[:200]}",
            where=where,
            fix="check ?config= in the source",
        ) from error
    names = list(loaded)
    if split is None or split not in names:
        raise InputError(
            f"the dataset '{source}' has the splits {', '.join(map(str, names))}",
            where=where,
            fix=f"name one: {source.partition('?')[0]}?split={names[0]}",
        )
    return _table(loaded[split], f"{source.partition('?')[0]}?split={split}")


def _table(data: Any, name: str) -> Table:
    import datasets

    columns = tuple(data.column_names)
    values: list[Iterable[str]] = []
    unfit: dict[str, str] = {}
    for column in columns:
        feature = data.features[column]
        if not isinstance(feature, datasets.Value | datasets.ClassLabel):
            unfit[column] = f"holds {type(feature).__name__}"
            values.append([""] * len(data))
        elif isinstance(feature, datasets.ClassLabel):
            values.append(
                [feature.int2str(value) if value is not None and value >= 0 else "" for value in list(data[column])]
            )
        else:
            values.append(map(text_of, list(data[column])))
    return Table(name, columns, list(zip(*values, strict=True)), unfit)
