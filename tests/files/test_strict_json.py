"""Our own JSON files, damaged in every way that a checkout can bring."""

import os
from pathlib import Path

import pytest

from compress.files.strict_json import MAX_DEPTH, DamagedJsonError, parse_json, read_json

DAMAGE = {
    "nested more than": b"[" * 100_000 + b"]" * 100_000,
    "nested more": b"[" * (MAX_DEPTH + 1) + b"1" + b"]" * (MAX_DEPTH + 1),
    "the number NaN": b'{"a": NaN}',
    "the number -Infinity": b"[-Infinity]",
    "not finite": b"[[1e999]]",
    "no counter": b"[123456789012345678901234567890]",
    "not JSON: ": b"9" * 5000,
    "a key twice": b'{"a": 1, "b": {"c": 1, "c": 1}}',
    "half of a character": b'["\\ud800"]',
    "not JSON": b"{",
    "not JSON: 'utf-8'": b'"\xff"',
    "not JSON: Expecting": b"",
}


@pytest.mark.parametrize(("what", "raw"), DAMAGE.items(), ids=DAMAGE)
def test_damage_is_told_in_one_way(what: str, raw: bytes) -> None:
    with pytest.raises(DamagedJsonError, match=f"it (is|holds) .*{what}" if what[0] != "n" else what):
        parse_json(raw)


def test_what_is_written_is_read() -> None:
    deep = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    parse_json(deep)
    text = '{"a": [1, -2.5e-3, true, null, "\\u00e4\\ud83d\\ude00", {}], "b": 18446744073709551615}'
    assert parse_json(text.encode()) == {"a": [1, -0.0025, True, None, "ä😀", {}], "b": 2**64 - 1}


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
def test_what_is_no_plain_file_is_not_opened(tmp_path: Path, make) -> None:
    make(tmp_path / "x.json")
    with pytest.raises(DamagedJsonError, match="no plain file"):
        read_json(tmp_path / "x.json")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compress.files.strict_json.MAX_BYTES", 10)
    (tmp_path / "x.json").write_text("[1, 2, 3, 4]")
    with pytest.raises(DamagedJsonError, match="12 bytes; at most 10"):
        read_json(tmp_path / "x.json")
