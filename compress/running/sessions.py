"""The sessions of measuring that a run's folder keeps, so that later runs can use their measurements again.

Rounds are interleaved within one session, so that a slow phase of the machine affects all of its pairs alike. Latencies
of different sessions cannot be compared with certainty.
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
"""The size up to which older sessions are kept; the newest is always kept."""


@dataclass(frozen=True)
class Session:
    """Pairs of artifact and target whose rounds were interleaved.

    Attributes:
        number: the session's number, from 1, in the order of time.
        measurements: the measurements by the pair's key, which covers all that they depend on.
        conditions: the machine's conditions meanwhile, by target.
    """

    number: int
    created: str
    host: Mapping[str, Any]
    measurements: Mapping[str, Measurement]
    conditions: Mapping[str, Conditions]


def read_sessions(folder: Path) -> list[Session]:
    """The sessions that a run's folder keeps, in the order of time; damaged ones are left out."""
    try:
        contents = read_json(folder / MEASUREMENTS)["sessions"]
        sessions = [_session(content) for content in contents]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # no sessions, or the file cannot be read: all is measured again
    return [session for session in sessions if session is not None]


def write_sessions(sessions: Sequence[Session], folder: Path) -> None:
    """Write the newest of these sessions into a run's folder, in place of all that it kept before."""
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
        "conditions": {target: condition.model_dump(mode="json") for target, condition in session.conditions.items()},
        "measurements": {key: measurement.model_dump(mode="json") for key, measurement in session.measurements.items()},
    }
    plain: dict[str, Any] = json.loads(json.dumps(content))
    return plain


def _session(content: Any) -> Session | None:
    """The session in a file's content, or None if it is damaged."""
    try:
        digest = content.pop("digest")
        if digest != fingerprint(content):
            return None
        return Session(
            number=content["number"],
            created=content["created"],
            host=content["host"],
            measurements={key: Measurement.model_validate(entry) for key, entry in content["measurements"].items()},
            conditions={target: Conditions.model_validate(entry) for target, entry in content["conditions"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
