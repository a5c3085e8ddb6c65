"""What a command's end is worth: a right result, a clear error, or neither."""

from pathlib import Path

from benchmarks.faults.small_run import Ended, command, run, step_hashes
from benchmarks.faults.trials import Record, Workplace

LINES = 6
"""Lines that a clear error has at most."""
LETTERS = 2000
"""Of a line of a clear error, at most."""
RIGHT = "right"


def judge(ended: Ended, runs: Path, place: Workplace, names: str = "") -> str:
    """`right`, `clear error: …`, or `bad: …`.

    Args:
        names: what a clear error must speak of.
    """
    if ended.code == 0:
        return RIGHT if step_hashes(runs) == place.expected else "bad: exit code 0, and artifacts that differ"
    unclear = why_unclear(ended.code, ended.stderr)
    if unclear is None and names not in ended.stderr:
        unclear = f"it does not say '{names}'"
    return f"bad: {unclear}" if unclear else f"clear error: {error_lines(ended.stderr)[0]}"


def error_lines(stderr: str) -> list[str]:
    """The lines from the first `error:` on."""
    lines = stderr.rstrip().splitlines()
    begun = next((number for number, line in enumerate(lines) if line.startswith("error:")), len(lines))
    return lines[begun:]


def why_unclear(code: int, stderr: str) -> str | None:
    """Why this is no clear error, or None if it is one."""
    lines = error_lines(stderr)
    reasons = {
        f"exit code {code}": code not in (1, 2),
        "a traceback": "Traceback (most recent call last)" in stderr,
        f"exit code {code} without an error": not lines,
        "".join(lines[:1]): bool(lines) and lines[0].startswith("error: unexpected"),
        f"an error of {len(lines)} lines": len(lines) > LINES,
        "an error with a line that nobody reads": any(len(line) > LETTERS for line in lines),
        "an error without a fix": not any(line.lstrip().startswith("fix:") for line in lines),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def finish(record: Record, ended: Ended, runs: Path, place: Workplace, names: str = "") -> Record:
    """Judge a disturbed run, and the same command after the cause is gone, which must end right."""
    disturbed = judge(ended, runs, place, names)
    after = RIGHT
    if disturbed != RIGHT:
        again = run(command(place.recipe, runs))
        after = judge(again, runs, place)
    return told(record, disturbed, after, ended, again if disturbed != RIGHT else None)


def told(record: Record, disturbed: str, after: str, ended: Ended, again: Ended | None) -> Record:
    """The record of a fault; what was printed is kept where it was bad."""
    bad = disturbed.startswith("bad") or after != RIGHT
    outcome = disturbed if after == RIGHT else f"{disturbed}; then, without the cause, {after}"
    record |= {"outcome": outcome, "bad": bad, "code": ended.code, "seconds": round(ended.seconds, 2)}
    if disturbed != RIGHT:
        record["error"] = error_lines(ended.stderr)[:LINES]
    if bad:
        record |= {"stdout": ended.stdout, "stderr": ended.stderr}
        record |= {"then_stdout": again.stdout, "then_stderr": again.stderr} if again else {}
    return record
