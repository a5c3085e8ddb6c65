"""Strict reading of JSON that this tool wrote: anything that it would not write is damage, with one kind of error."""

import json
import math
from pathlib import Path
from typing import Any, NoReturn

MAX_BYTES = 512 * 2**20
"""Largest size that is read: the measurements of many rows need most; a larger file is not ours."""
MAX_DEPTH = 64
"""Deepest nesting that is read; this tool writes about ten levels."""
MAX_INTEGER = 2**64


class DamagedJsonError(ValueError):
    """The error of a file without JSON as this tool writes it."""


def read_json(path: Path) -> Any:
    """The content of one of this tool's own JSON files.

    Raises:
        DamagedJsonError: the file is not a plain file, too large, not JSON or nested too deeply, or has a key twice, a
            number that is infinite or impossibly large, or half of a character.
        OSError: the file is missing or cannot be read.
    """
    status = path.stat()
    if not path.is_file():
        raise DamagedJsonError("it is no plain file")
    if status.st_size > MAX_BYTES:
        raise DamagedJsonError(f"it has {status.st_size:,} bytes; at most {MAX_BYTES:,} are read")
    return parse_json(path.read_bytes())


def parse_json(raw: bytes) -> Any:
    """The content of JSON in bytes, with the checks of `read_json`.

    Raises:
        DamagedJsonError: as in `read_json`.
    """
    try:
        text = raw.decode("utf-8")
        content = json.loads(text, object_pairs_hook=_once_each, parse_constant=_not_finite)
        if "\\u" in text:
            json.dumps(content, ensure_ascii=False).encode()  # an escape may be half of a character
    except RecursionError:
        raise DamagedJsonError(f"it is nested more than {MAX_DEPTH} deep") from None
    except DamagedJsonError:
        raise
    except UnicodeEncodeError as error:
        raise DamagedJsonError("it holds half of a character") from error
    except ValueError as error:
        raise DamagedJsonError(f"it is not JSON: {str(error)[:120]}") from error
    _check(content)
    return content


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise DamagedJsonError("it holds a key twice")
    return content


def _not_finite(text: str) -> NoReturn:
    raise DamagedJsonError(f"it holds the number {text}")


def _check(content: Any) -> None:
    """Check the values of all levels, from the outermost to the innermost."""
    level = [content]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += value.values()
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, float) and not math.isfinite(value):
                raise DamagedJsonError("it holds a number that is not finite")
            elif isinstance(value, int) and abs(value) > MAX_INTEGER:
                raise DamagedJsonError("it holds a number that no counter reaches")
        if not inner:
            return
        level = inner
    raise DamagedJsonError(f"it is nested more than {MAX_DEPTH} deep")
