"""The rows of a report, from measurements: every figure has its interval, every difference a verdict."""

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
"""The most lost rows, and the most gained rows, that are kept with their texts."""
TEXT = 400
"""Characters kept of a flipped row's text."""
LENGTHS = 4
"""Number of parts of similar size into which the rows are split by their length."""


def build_rows(
    entries: Sequence[Entry],
    measured: Measured,
    baselines: Mapping[str, str],
    test: HeldOut,
    texts: Sequence[str],
    margin_pp: float,
    targets: Mapping[str, Target] | None = None,
) -> list[Row]:
    """One row for each entry, by target and then in the entries' order.

    Args:
        baselines: target -> artifact key of the baseline there.
        texts: the text of each test row, for the rows that flipped.
        targets: the targets by name. If the baseline does not run on a target, rows there are compared with the
            baseline on the first other target that differs by its runtime alone.
    """
    by_pair = {(measurement.artifact, measurement.target): measurement for measurement in measured.measurements}
    rows: list[Row] = []
    for entry in entries:
        measurement = by_pair[entry.artifact, entry.target]
        row = _row(entry, measurement, measured.conditions[entry.target], test)
        row.is_baseline = entry.artifact == baselines.get(entry.target)
        rows.append(row)
    for row in rows:
        if row.quality is None:
            continue
        same_target = [other for other in rows if other.target == row.target and other.quality is not None]
        base = next((other for other in same_target if other.is_baseline), None) or _elsewhere(row, rows, targets or {})
        before = next((other for other in same_target if other.step == row.parent), None)
        measurement = by_pair[row.artifact, row.target]
        row.by_class = _by_class(row, base, test)
        row.by_length = _by_length(row, base, test, measurement.row_tokens)
        if base is not None and not row.is_baseline:
            row.versus_baseline = compare_measured(base, row, measured, test, margin_pp)
            row.flips = _flips(base, row, test, texts, measurement.confidences)
        if before is not None:
            row.bought = compare_measured(before, row, measured, test, margin_pp)
    return rows


def _elsewhere(row: Row, rows: Sequence[Row], targets: Mapping[str, Target]) -> Row | None:
    """The baseline's row on another target that differs by its runtime alone."""

    def work(name: str) -> dict[str, object] | None:
        spec = targets.get(name)
        return spec.model_dump(exclude={"runtime"}) if spec else None

    measured = [other for other in rows if other.is_baseline and other.quality is not None]
    baseline = next((other for other in measured if work(other.target) == work(row.target)), None)
    return baseline.model_copy(update={"step": f"{baseline.step} on {baseline.target}"}) if baseline else None


def build_ablations(
    items: Sequence[AblationEntry], measured: Measured, rows: Sequence[Row], last: str, test: HeldOut, margin_pp: float
) -> list[Ablation]:
    """The worth of each step: the last step of the whole chain compared with that of the chain without the step.

    Args:
        rows: the rows of the whole chain.
        last: the last step of the whole chain.
    """
    by_pair = {(measurement.artifact, measurement.target): measurement for measurement in measured.measurements}
    ablations = []
    for item in items:
        ablation = Ablation(step=item.step, target=item.target, reason=item.reason)
        ablations.append(ablation)
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
    return ablations


def _row(entry: Entry, measurement: Measurement, conditions: Conditions, test: HeldOut) -> Row:
    row = Row(
        step=entry.step,
        stage=entry.stage,
        parent=entry.parent,
        artifact=entry.artifact,
        measured_as=entry.measured_as,
        target=entry.target,
        status=measurement.status,
        reason=measurement.reason,
        size_bytes=measurement.size_bytes,
        parameters=measurement.parameters,
        seconds=entry.seconds,
        cpu_seconds=entry.cpu_seconds,
        made_in_bytes=entry.made_in_bytes,
        token_parameters=entry.token_parameters,
    )
    if measurement.status != "measured":
        return row
    row.predictions = measurement.predictions
    answers = test.right_answers.with_content(measurement.predictions, measurement.confidences)
    row.quality = answers.outcome(test.right_answers, test.metric).score()
    row.calibration_error = answers.calibration_error(test.right_answers)
    for name in ("load_ms", "first_call_ms", "start_memory_bytes", "peak_memory_bytes", "gpu_memory_bytes"):
        setattr(row, name, getattr(measurement, name))
    row = row.model_copy(update=_latencies(measurement))
    assert row.latency_ms is not None
    if measurement.flops and set(measurement.flops) <= set(conditions.peak_gflops):
        row.flops = sum(measurement.flops.values())
        row.floor_ms = sum(count / conditions.peak_gflops[kind] for kind, count in measurement.flops.items()) / 1e6
        row.peak_share = row.floor_ms / row.latency_ms.p50
    return row


def _latencies(measurement: Measurement) -> dict[str, Any]:
    """The latencies of a measurement, as values of a row."""
    return {
        "session": measurement.session,
        "latency_ms": latency(measurement.samples_ms, measurement),
        "real_latency_ms": latency(measurement.real_samples_ms, measurement),
        "tokenize_ms": latency(measurement.tokenize_samples_ms, measurement),
    }


def latency(rounds: Sequence[Sequence[float]], measurement: Measurement) -> Latency:
    """A latency with its quantiles over the samples of all rounds.

    Args:
        rounds: the measurement's samples of one kind, round by round.
        measurement: the measurement, for the processes of the rounds and the rows of a call.
    """
    samples = np.array([sample for turn in rounds for sample in turn])
    p50, p90, p99 = np.quantile(samples, [0.5, 0.9, 0.99])
    mean = float(samples.mean())
    return Latency(
        p50=float(p50),
        p90=float(p90),
        p99=float(p99),
        mean=mean,
        rows_per_second=1000 * measurement.batch_size / mean,
        rounds=[list(turn) for turn in rounds],
        process_of_round=measurement.process_of_round,
    )


def compare_measured(base: Row, other: Row, measured: Measured, test: HeldOut, margin_pp: float) -> Comparison:
    """The comparison of `other` with `base`, with latencies of the newest session that timed both side by side.

    Without such a session the verdict on speed is `inconclusive`, since no interval holds a change of the machine's
    speed between two sessions.
    """
    both = measured.together((base.artifact, base.target), (other.artifact, other.target))
    if both is None:
        apart = compare(base, other, test, margin_pp, timing="apart")
        return apart.model_copy(update={"speed_verdict": "inconclusive"})
    base, other = (
        row if row.session == measurement.session else row.model_copy(update=_latencies(measurement))
        for row, measurement in zip((base, other), both, strict=True)
    )
    return compare(base, other, test, margin_pp)


def compare(base: Row, other: Row, test: HeldOut, margin_pp: float, *, timing: str = "together") -> Comparison:
    """The comparison of `other` with `base` on the same test rows.

    Args:
        timing: `together` for one run with interleaved rounds, `apart` for two runs on one machine, `elsewhere` for
            two machines, whose speed is not compared.
    """
    assert base.latency_ms is not None
    assert other.latency_ms is not None
    first, second = base.latency_ms.timings, other.latency_ms.timings
    speedup = statistics.speedup(first, second, paired=timing == "together") if timing != "elsewhere" else None
    processes = min(first.processes, second.processes)
    before, after = test.answers_of(base.predictions), test.answers_of(other.predictions)
    outcomes = [answers.outcome(test.right_answers, test.metric) for answers in (before, after)]
    lost, gained = (len(rows) for rows in changed(*outcomes))
    drop = outcomes[0].drop(outcomes[1])
    drop_pp = Estimate(**{name: _points(value) for name, value in drop.model_dump().items()})
    return Comparison(
        against=base.step,
        session=base.session if timing == "together" else 0,
        speedup=speedup,
        speed_verdict="inconclusive" if speedup is None else statistics.speed_verdict(speedup, processes),
        processes=processes,
        end_to_end=end_to_end(base, other, timing=timing),
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


def end_to_end(base: Row, other: Row, *, timing: str = "together") -> Estimate | None:
    """The end-to-end speed-up of `other`, tokenizer included, on rows of their own length; None if it is not known.

    Args:
        timing: as in `compare`.
    """
    first, second = base.end_to_end, other.end_to_end
    if first is None or second is None or timing == "elsewhere":
        return None
    return statistics.total_speedup(first, second, paired=timing == "together")


def _points(share: float) -> float:
    return round(100 * share, 9)  # 0.9 - 0.875 is not quite 0.025


def _slice(name: str, rows: int, outcome: Outcome, base: Outcome | None) -> Slice:
    return Slice(name=name, rows=rows, quality=outcome.score(), baseline_quality=None if base is None else base.value)


def _by_class(row: Row, base: Row | None, test: HeldOut) -> list[Slice]:
    """The quality on each class or type in the test rows."""
    base_parts = [] if base is None else test.answers_of(base.predictions).slices(test.right_answers)
    before = {part.name: part.outcome for part in base_parts}
    slices = []
    for name, size, outcome, f1 in test.answers_of(row.predictions).slices(test.right_answers):
        part = _slice(name, size, outcome, before.get(name))
        part.f1 = f1
        slices.append(part)
    return slices


def _by_length(row: Row, base: Row | None, test: HeldOut, tokens: Sequence[int]) -> list[Slice]:
    """The quality on texts of different length: parts of similar size by the number of tokens."""
    lengths = np.array(tokens)
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, LENGTHS + 1)).astype(int))
    slices = []
    for low, high in zip([edges[0] - 1, *edges[1:-1]], edges[1:] if len(edges) > 1 else edges, strict=True):
        inside = np.flatnonzero((lengths > low) & (lengths <= high)).tolist()
        if inside:
            shortest = int(lengths[inside].min())
            name = f"{shortest} to {high} tokens" if shortest < high else f"{high} tokens"
            own, before = (
                None
                if side is None
                else test.answers_of(side.predictions).take(inside).outcome(test.right_answers.take(inside))
                for side in (row, base)
            )
            assert own is not None
            slices.append(_slice(name, len(inside), own, before))
    return slices


def _flips(base: Row, row: Row, test: HeldOut, texts: Sequence[str], confidences: Sequence[float]) -> list[Flip]:
    """The lost and the gained rows: of each those with the highest confidence, or those that changed most."""
    before, after = test.answers_of(base.predictions), test.answers_of(row.predictions)
    outcomes = [answers.outcome(test.right_answers, test.metric) for answers in (before, after)]
    most = np.array(confidences) if confidences else np.abs(outcomes[1].rows - outcomes[0].rows)
    flips = []
    for is_loss, numbers in zip((True, False), changed(*outcomes), strict=True):
        for number in sorted(numbers.tolist(), key=lambda number: -most[number])[:FLIPS]:
            texts_of_flip = after.flip_texts(before, test.right_answers, number, texts[number])
            flips.append(
                Flip(
                    row=number,
                    text=texts[number] if len(texts[number]) <= TEXT else f"{texts[number][:TEXT]}…",
                    truth=texts_of_flip.truth,
                    before=texts_of_flip.before,
                    after=texts_of_flip.after,
                    confidence=confidences[number] if confidences else None,
                    lost=is_loss,
                )
            )
    return flips
