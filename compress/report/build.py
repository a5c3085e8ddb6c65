"""Rows out of measurements: every figure with its interval, every difference with a verdict."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from compress.measurement import Conditions, Estimate, Measured, Measurement
from compress.ops import statistics
from compress.ops.outcomes import Outcome, changed
from compress.recipe.schema import Target
from compress.report.entries import AblationEntry, Entry
from compress.report.model import Ablation, Comparison, Flip, HeldOut, Latency, Row, Slice

FLIPS = 40
"""Rows lost, and as many gained, that are kept with their texts."""
TEXT = 400
"""Characters kept of a flipped row's text."""
LENGTHS = 4
"""Parts of like size that the rows are split into by their length."""


def build_rows(
    entries: Sequence[Entry],
    measured: Measured,
    baselines: Mapping[str, str],
    test: HeldOut,
    texts: Sequence[str],
    margin_pp: float,
    targets: Mapping[str, Target] | None = None,
) -> list[Row]:
    """One row an entry, by target and then in the entries' order.

    Args:
        baselines: target -> artifact key of the baseline there.
        texts: of each test row, for the rows that flipped.
        targets: by name; a baseline that does not run on a target stands for itself there from the first other
            target that differs by its runtime alone.
    """
    by_pair = {(found.artifact, found.target): found for found in measured.measurements}
    rows: list[Row] = []
    for entry in entries:
        found = by_pair[entry.artifact, entry.target]
        row = _row(entry, found, measured.conditions[entry.target], test)
        row.is_baseline = entry.artifact == baselines.get(entry.target)
        rows.append(row)
    for row in rows:
        if row.quality is None:
            continue
        same_target = [other for other in rows if other.target == row.target and other.quality is not None]
        base = next((other for other in same_target if other.is_baseline), None) or _elsewhere(row, rows, targets or {})
        before = next((other for other in same_target if other.step == row.parent), None)
        found = by_pair[row.artifact, row.target]
        row.by_class = _by_class(row, base, test)
        row.by_length = _by_length(row, base, test, found.row_tokens)
        if base is not None and not row.is_baseline:
            row.versus_baseline = compare_measured(base, row, measured, test, margin_pp)
            row.flips = _flips(base, row, test, texts, found.confidences)
        if before is not None:
            row.bought = compare_measured(before, row, measured, test, margin_pp)
    return rows


def _elsewhere(row: Row, rows: Sequence[Row], targets: Mapping[str, Target]) -> Row | None:
    """The baseline's row on another target that does the same work with the same means."""

    def work(name: str) -> dict[str, object] | None:
        spec = targets.get(name)
        return spec.model_dump(exclude={"runtime"}) if spec else None

    measured = [other for other in rows if other.is_baseline and other.quality is not None]
    found = next((other for other in measured if work(other.target) == work(row.target)), None)
    return found.model_copy(update={"step": f"{found.step} on {found.target}"}) if found else None


def build_ablations(
    wanted: Sequence[AblationEntry], measured: Measured, rows: Sequence[Row], last: str, test: HeldOut, margin_pp: float
) -> list[Ablation]:
    """What each step was worth: the whole chain's last step held against that of the chain without it.

    Args:
        rows: of the whole chain.
        last: its last step.
    """
    by_pair = {(found.artifact, found.target): found for found in measured.measurements}
    found = []
    for item in wanted:
        ablation = Ablation(step=item.step, target=item.target, reason=item.reason)
        found.append(ablation)
        whole = next((row for row in rows if (row.step, row.target) == (last, item.target)), None)
        if item.artifact is None or whole is None or whole.quality is None:
            continue
        name = f"without {item.step}"
        entry = Entry(name, "", item.target, item.artifact, "")
        row = _row(entry, by_pair[item.artifact, item.target], measured.conditions[item.target], test)
        ablation.size_bytes, ablation.quality, ablation.reason = row.size_bytes, row.quality, row.reason
        if row.quality is not None and row.latency_ms is not None:
            ablation.latency_ms = row.latency_ms.p50
            ablation.worth = compare_measured(row, whole, measured, test, margin_pp)
    return found


def _row(entry: Entry, found: Measurement, conditions: Conditions, test: HeldOut) -> Row:
    row = Row(
        step=entry.step,
        stage=entry.stage,
        parent=entry.parent,
        artifact=entry.artifact,
        measured_as=entry.measured_as,
        target=entry.target,
        status=found.status,
        reason=found.reason,
        size_bytes=found.size_bytes,
        parameters=found.parameters,
        seconds=entry.seconds,
        cpu_seconds=entry.cpu_seconds,
        made_in_bytes=entry.made_in_bytes,
        token_parameters=entry.token_parameters,
    )
    if found.status != "measured":
        return row
    row.predictions = found.predictions
    said = test.right.like(found.predictions, found.confidences)
    row.quality = said.outcome(test.right, test.metric).score()
    row.calibration_error = said.calibration_error(test.right)
    for name in ("load_ms", "first_call_ms", "start_memory_bytes", "peak_memory_bytes", "gpu_memory_bytes"):
        setattr(row, name, getattr(found, name))
    row = row.model_copy(update=_timed(found))
    assert row.latency_ms is not None
    if found.flops and set(found.flops) <= set(conditions.peak_gflops):
        row.flops = sum(found.flops.values())
        row.floor_ms = sum(count / conditions.peak_gflops[kind] for kind, count in found.flops.items()) / 1e6
        row.peak_share = row.floor_ms / row.latency_ms.p50
    return row


def _timed(found: Measurement) -> dict[str, Any]:
    """What a row says of a measurement's latencies."""
    return {
        "session": found.session,
        "latency_ms": latency(found.samples_ms, found),
        "real_latency_ms": latency(found.real_samples_ms, found),
        "tokenize_ms": latency(found.tokenize_samples_ms, found),
    }


def latency(rounds: Sequence[Sequence[float]], found: Measurement) -> Latency:
    """Quantiles over the samples of all rounds.

    Args:
        rounds: one kind of the measurement's samples, round by round.
        found: says what a round's process and a call's rows are.
    """
    samples = np.array([sample for turn in rounds for sample in turn])
    p50, p90, p99 = np.quantile(samples, [0.5, 0.9, 0.99])
    mean = float(samples.mean())
    return Latency(
        p50=float(p50),
        p90=float(p90),
        p99=float(p99),
        mean=mean,
        rows_per_second=1000 * found.batch_size / mean,
        rounds=[list(turn) for turn in rounds],
        process_of_round=found.process_of_round,
    )


def compare_measured(base: Row, other: Row, measured: Measured, test: HeldOut, margin_pp: float) -> Comparison:
    """`other` held against `base`, with the latencies of the newest session that timed both side by side.

    Without such a session there is no verdict on speed: what slowed the machine in one of them shows in no interval.
    """
    both = measured.together((base.artifact, base.target), (other.artifact, other.target))
    if both is None:
        apart = compare(base, other, test, margin_pp, timed="apart")
        return apart.model_copy(update={"speed_verdict": "inconclusive"})
    base, other = (
        row if row.session == found.session else row.model_copy(update=_timed(found))
        for row, found in zip((base, other), both, strict=True)
    )
    return compare(base, other, test, margin_pp)


def compare(base: Row, other: Row, test: HeldOut, margin_pp: float, *, timed: str = "together") -> Comparison:
    """`other` held against `base`, which saw the same test rows.

    Args:
        timed: `together` in one run with interleaved rounds, `apart` in two runs of one machine, or `elsewhere`:
            then their speed is not compared.
    """
    assert base.latency_ms is not None
    assert other.latency_ms is not None
    first, second = base.latency_ms.timings, other.latency_ms.timings
    speedup = statistics.speedup(first, second, paired=timed == "together") if timed != "elsewhere" else None
    processes = min(first.processes, second.processes)
    before, after = test.said(base.predictions), test.said(other.predictions)
    outcomes = [said.outcome(test.right, test.metric) for said in (before, after)]
    lost, gained = (len(rows) for rows in changed(*outcomes))
    drop = outcomes[0].drop(outcomes[1])
    drop_pp = Estimate(**{name: _points(value) for name, value in drop.model_dump().items()})
    return Comparison(
        against=base.step,
        session=base.session if timed == "together" else 0,
        speedup=speedup,
        speed_verdict="inconclusive" if speedup is None else statistics.speed_verdict(speedup, processes),
        processes=processes,
        end_to_end=end_to_end(base, other, timed=timed),
        drop_pp=drop_pp,
        margin_pp=margin_pp,
        quality_verdict=statistics.quality_verdict(drop_pp, margin_pp),
        mcnemar_p=statistics.sign_test_p(lost, gained),
        rows=len(test.truth),
        agreement=before.agreement(after),
        lost=lost,
        gained=gained,
        smaller=base.size_bytes / other.size_bytes,
    )


def end_to_end(base: Row, other: Row, *, timed: str = "together") -> Estimate | None:
    """How many times faster `other` is with its tokenizer, for all timed rows at their own length; None where unknown.

    Args:
        timed: as in `compare`.
    """
    first, second = base.end_to_end, other.end_to_end
    if first is None or second is None or timed == "elsewhere":
        return None
    return statistics.total_speedup(first, second, paired=timed == "together")


def _points(share: float) -> float:
    return round(100 * share, 9)  # 0.9 - 0.875 is not quite 0.025


def _slice(name: str, rows: int, outcome: Outcome, base: Outcome | None) -> Slice:
    return Slice(name=name, rows=rows, quality=outcome.score(), baseline_quality=None if base is None else base.value)


def _by_class(row: Row, base: Row | None, test: HeldOut) -> list[Slice]:
    """What came of each class or type that the test rows have."""
    before = (
        {} if base is None else {part.name: part.outcome for part in test.said(base.predictions).slices(test.right)}
    )
    slices = []
    for name, size, outcome, f1 in test.said(row.predictions).slices(test.right):
        found = _slice(name, size, outcome, before.get(name))
        found.f1 = f1
        slices.append(found)
    return slices


def _by_length(row: Row, base: Row | None, test: HeldOut, tokens: Sequence[int]) -> list[Slice]:
    """Quality among short, middling and long texts: parts of like size by the number of tokens."""
    lengths = np.array(tokens)
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, LENGTHS + 1)).astype(int))
    slices = []
    for low, high in zip([edges[0] - 1, *edges[1:-1]], edges[1:] if len(edges) > 1 else edges, strict=True):
        inside = np.flatnonzero((lengths > low) & (lengths <= high)).tolist()
        if inside:
            shortest = int(lengths[inside].min())
            name = f"{shortest} to {high} tokens" if shortest < high else f"{high} tokens"
            own, before = (
                None if side is None else test.said(side.predictions).take(inside).outcome(test.right.take(inside))
                for side in (row, base)
            )
            assert own is not None
            slices.append(_slice(name, len(inside), own, before))
    return slices


def _flips(base: Row, row: Row, test: HeldOut, texts: Sequence[str], confidences: Sequence[float]) -> list[Flip]:
    """Rows lost and rows gained, of each the ones that this model is surest of, or that changed most."""
    before, after = test.said(base.predictions), test.said(row.predictions)
    outcomes = [said.outcome(test.right, test.metric) for said in (before, after)]
    most = np.array(confidences) if confidences else np.abs(outcomes[1].rows - outcomes[0].rows)
    flips = []
    for is_loss, numbers in zip((True, False), changed(*outcomes), strict=True):
        for number in sorted(numbers.tolist(), key=lambda number: -most[number])[:FLIPS]:
            told = after.flipped(before, test.right, number, texts[number])
            flips.append(
                Flip(
                    row=number,
                    text=texts[number] if len(texts[number]) <= TEXT else f"{texts[number][:TEXT]}…",
                    truth=told.truth,
                    before=told.before,
                    after=told.after,
                    confidence=confidences[number] if confidences else None,
                    lost=is_loss,
                )
            )
    return flips
