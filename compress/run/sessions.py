"""Sessions of measuring that a run's folder keeps: what was measured once is there for the runs that follow.

Only rounds of one session were interleaved, so that what slows the machine for a while falls on all of its pairs alike;
two latencies of different sessions say nothing certain of each other.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.files.strict_json import read_json
from compress.files.whole import fingerprint, write_text
from compress.measurement import Conditions, Measurement

MEASUREMENTS = "measurements.json"
KEPT_BYTES = 64 * 2**20
"""Size up to which older sessions are kept; the newest is whatever its size."""


@dataclass(frozen=True)
class Session:
    """Pairs of artifact and target whose rounds were interleaved.

    Attributes:
        number: from 1, in the order of time.
        measurements: by the key of the pair, which names all that a measurement depends on.
        conditions: by target.
    """

    number: int
    created: str
    host: Mapping[str, Any]
    measurements: Mapping[str, Measurement]
    conditions: Mapping[str, Conditions]


def read_sessions(folder: Path) -> list[Session]:
    """The sessions that a run's folder keeps, in the order of time; what is not as it was written is left out."""
    try:
        contents = read_json(folder / MEASUREMENTS)["sessions"]
        sessions = [_session(content) for content in contents]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # none was kept, or the file cannot be read: all is measured anew
    return [session for session in sessions if session is not None]


def write_sessions(sessions: Sequence[Session], folder: Path) -> None:
    """Keep the newest of these sessions in a run's folder, and nothing else."""
    texts: list[str] = []
    for session in reversed(sessions):
        content = _content(session)
        text = json.dumps(content | {"digest": fingerprint(content)})
        if texts and sum(map(len, texts)) + len(text) > KEPT_BYTES:
            break
        texts.append(text)
    write_text(folder / MEASUREMENTS, f'{{"sessions": [{", ".join(reversed(texts))}]}}')


def _content(session: Session) -> dict[str, Any]:
    content = {
        "number": session.number,
        "created": session.created,
        "host": session.host,
        "conditions": {target: found.model_dump(mode="json") for target, found in session.conditions.items()},
        "measurements": {key: found.model_dump(mode="json") for key, found in session.measurements.items()},
    }
    plain: dict[str, Any] = json.loads(json.dumps(content))
    return plain


def _session(content: Any) -> Session | None:
    """A session as it was written, or None if anything in it is not."""
    try:
        digest = content.pop("digest")
        if digest != fingerprint(content):
            return None
        return Session(
            number=content["number"],
            created=content["created"],
            host=content["host"],
            measurements={key: Measurement.model_validate(found) for key, found in content["measurements"].items()},
            conditions={target: Conditions.model_validate(found) for target, found in content["conditions"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
