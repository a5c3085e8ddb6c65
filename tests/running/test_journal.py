"""What a run writes down of itself."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from compress.errors import CompressError, Stopped
from compress.running.journal import journal
from tests.chain import Silent


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_run_is_written_for_readers_and_for_programs(tmp_path: Path) -> None:
    with journal(tmp_path, Silent(), {"recipe": "tiny", "keys": {"teacher": "ab"}}) as told:
        told.step_started("teacher", "finetune")
        for done in range(1, 101):
            told.progress("fine-tuning", done, 100)
        told.warned("a damaged artifact … was set aside")
        told.step_done("teacher", "finetune", 1.25, True)
        logging.getLogger("compress.training.loop").info("loss 0.5", extra={"loss": 0.5})
        logging.getLogger("some.library").warning("odd")
        logging.getLogger("some.library").info("chatter")
    found = events(tmp_path)
    assert [entry.get("event", entry["message"]) for entry in found] == [
        "run_started", "step_started", "progress", "progress", "warning", "step_done", "loss 0.5", "odd", "run_done",
    ]  # fmt: skip
    assert found[0]["keys"] == {"teacher": "ab"}
    assert [entry["done"] for entry in found if entry.get("event") == "progress"] == [1, 100]
    assert (found[5]["step"], found[5]["seconds"], found[5]["made"]) == ("teacher", 1.25, True)
    assert found[6]["loss"] == 0.5
    assert all(entry["timestamp"].endswith("+00:00") for entry in found)
    lines = (tmp_path / "run.log").read_text(encoding="utf-8").splitlines()
    assert [line.split(" ", 3)[3].strip() for line in lines][4:6] == [
        "a damaged artifact … was set aside",
        "teacher (finetune) took 1.2 s",
    ]
    assert len(lines) == len(found)


def test_a_second_run_writes_below_the_first_and_handlers_are_gone_after(tmp_path: Path) -> None:
    before = list(logging.getLogger().handlers)
    for _ in range(2):
        with journal(tmp_path, Silent(), {"recipe": "tiny"}):
            pass
    assert [entry["event"] for entry in events(tmp_path)] == ["run_started", "run_done"] * 2
    assert logging.getLogger().handlers == before


@pytest.mark.parametrize(
    ("error", "event", "message"),
    [
        (CompressError("the disk is full", where="/x", fix="free some"), "run_failed", "the disk is full"),
        (ValueError("odd"), "run_failed", "odd"),
        (KeyboardInterrupt(), "run_stopped", "the run was stopped at once"),
        (Stopped(), "run_stopped", "the run was stopped at a safe point"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_how_a_run_ended_is_written_and_raised_again(
    tmp_path: Path, error: BaseException, event: str, message: str
) -> None:
    with pytest.raises(type(error)), journal(tmp_path, Silent(), {}):
        raise error
    last = events(tmp_path)[-1]
    assert last["event"] == event
    assert last["message"].startswith(message)
    if event == "run_failed":
        assert "Traceback" in last["exc_info"]
    if isinstance(error, CompressError):
        assert (last["where"], last["fix"]) == ("/x", "free some")


def test_work_stops_at_its_next_progress_but_not_at_its_end(tmp_path: Path) -> None:
    class Asked(Silent):
        def stopping(self) -> bool:
            return True

    def work() -> None:
        with journal(tmp_path, Asked(), {}) as told:
            told.progress("exporting", 3, 3)
            told.progress("quantizing", 1, 3)

    with pytest.raises(Stopped):
        work()
    assert [entry["event"] for entry in events(tmp_path)] == ["run_started", "progress", "progress", "run_stopped"]


@pytest.mark.parametrize("name", ["run.log", "events.jsonl"])
def test_a_log_does_not_follow_a_link_and_holds_no_control_characters(tmp_path: Path, name: str) -> None:
    (tmp_path / "theirs").write_text("precious")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to("../theirs")
    with journal(tmp_path / "run", Silent(), {"recipe": "tiny"}) as told:
        told.warned("a\x1b[31m\u2028b")
    assert (tmp_path / "theirs").read_text() == "precious"
    text = (tmp_path / "run" / name).read_text()
    assert "u2028b" in text
    assert all(char == "\n" or char.isprintable() for char in text)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_log_that_cannot_be_written_is_told_once_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.log").symlink_to("/dev/full")
    monkeypatch.setattr("compress.running.journal.clear_path", lambda _: None)  # the link would be replaced
    observer = Silent()
    with journal(tmp_path, observer, {"recipe": "tiny"}) as told:
        told.step_started("teacher", "finetune")
    assert len(observer.warnings) == 1
    assert observer.warnings[0].startswith("the log can no longer be written: [Errno 28]")
    assert [entry["event"] for entry in events(tmp_path)] == ["run_started", "step_started", "run_done"]
