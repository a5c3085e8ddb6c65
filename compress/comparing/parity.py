"""How far two models' outputs are apart on the same real rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from compress.answers import Words
from compress.comparing.held_back import (
    Array,
    agreement,
    beyond_chance,
    built_in_rows,
    encoded,
    flat,
    held_back,
    held_back_rows,
)
from compress.comparing.probes import SHORT, probes
from compress.context import Context
from compress.errors import CompressError, InputError
from compress.facts import Agreement
from compress.formats import find, format_of
from compress.measurement import Estimate
from compress.models.tokenizer import Tokenizer, load_tokenizer
from compress.ops.ragged import cut
from compress.recipe.schema import Target
from compress.runtimes import Predictor, load
from compress.tasks import Task

ROWS = 64
"""Rows on which models are compared that must compute the same."""
BATCH = 8
CONSTANT = 1e-6
"""Share of the largest logit; outputs that differ by less than that are the same."""


class Parity(Agreement):
    """Two models on the same rows."""

    max_abs_difference: float
    """Largest difference of any two logits."""
    scale: float
    """Largest absolute logit of the reference."""
    spread: float
    """Largest difference of a logit between two rows, as the reference has them."""
    tokens: int | None = None
    """Of the batch with the largest difference, a row."""
    lengths: tuple[int, ...] = ()
    """Tokens a row of all batches beside the rows, from the shortest to the longest."""

    def facts(self) -> dict[str, Any]:
        """For the manifest."""
        return {"parity": self.model_dump()}

    def within(self, tolerance: float) -> bool:
        """Whether the largest difference is at most that share of the largest logit (at least 1)."""
        return self.max_abs_difference <= tolerance * max(self.scale, 1.0)

    def check(self, tolerance: float, what: str, fix: str) -> None:
        """Fail past a tolerance.

        Args:
            what: is said to differ, for example `the exported model differs from torch`.

        Raises:
            CompressError: the difference is larger, or no number.
        """
        if not self.within(tolerance):
            lengths = f" and batches of {self.lengths[0]} to {self.lengths[-1]} tokens" if self.lengths else ""
            most = f", most at {self.tokens} tokens" if self.tokens else ""
            raise CompressError(
                f"{what} by {self.max_abs_difference:.2g} on {self.rows} rows{lengths}{most}; "
                f"allowed is {tolerance * max(self.scale, 1.0):.2g}",
                fix=fix,
            )


def sample_batches(task: Task, tokenizer: Tokenizer) -> tuple[list[dict[str, Array]], bool]:
    """Padded batches of held-back rows of mixed lengths, and whether these are built-in texts for want of rows."""
    rows = held_back_rows(task, ROWS)
    read = encoded(task, rows, tokenizer)
    batches = [tokenizer.pad(read[start : start + BATCH]) for start in range(0, len(read), BATCH)]
    return batches, not rows


def compare(reference: Predictor, other: Predictor, task: Task, tokenizer: Tokenizer) -> Parity:
    """Run both on the same batches: padded rows, single ones, and rows of many lengths.

    Raises:
        CompressError: one of them fails on a batch.
    """
    known = held_back_rows(task, ROWS)
    rows, read = known or built_in_rows(task), encoded(task, known, tokenizer)
    asked = [slice(start, start + BATCH) for start in range(0, len(read), BATCH)]
    asked.append(slice(0, 1))
    before: list[Array] = []
    after: list[Array] = []
    apart, scale, lengths = [], 0.0, []
    for chosen in asked:
        batch, counted = _padded(task, read[chosen], tokenizer)
        pair = reference(batch), _called(other, batch, "the model that was made")
        first, second = (cut(outputs, counted) for outputs in pair)
        before, after = [*before, *first], [*after, *second]
        apart.append((_distance(first, second), batch["input_ids"].shape[1]))
    for batch in probes(task, tokenizer):
        expected = _tried(reference, batch)
        if expected is None:
            continue
        counted = batch["attention_mask"] if task.outputs == "token" else None
        pair = expected, _called(other, batch, "the model that was made")
        first, second = (cut(outputs, counted) for outputs in pair)
        scale = max(scale, _largest(first))
        apart.append((_distance(first, second), batch["input_ids"].shape[1]))
        lengths.append(batch["input_ids"].shape[1])
    worst = int(np.argmax(np.nan_to_num([distance for distance, _ in apart], nan=np.inf)))
    same = agreement(task, [row for chosen in asked for row in rows[chosen]], before, after)
    every = {
        "rows": len(before),
        "max_abs_difference": apart[worst][0],
        "scale": max(scale, _largest(before)),
        "tokens": apart[worst][1],
        "lengths": tuple(sorted(set(lengths))),
    }
    return _parity(flat(before), flat(after), same, not known).model_copy(update=every)


def _padded(
    task: Task, read: Sequence[Mapping[str, Any]], tokenizer: Tokenizer
) -> tuple[dict[str, Array], Array | None]:
    """A batch of encoded rows, and which of its tokens count; None where a whole row does."""
    if task.outputs == "row":
        return tokenizer.pad(read), None
    batch = tokenizer.pad(read, counted=0)
    return batch, batch.pop("counted")


def _distance(first: Sequence[Array], second: Sequence[Array]) -> float:
    """The largest difference of any two logits."""
    return float(np.abs(flat(first) - flat(second)).max(initial=0))


def _largest(outputs: Sequence[Array]) -> float:
    """The largest absolute logit."""
    return float(np.abs(flat(outputs)).max(initial=0))


def _tried(predict: Predictor, batch: Mapping[str, Array]) -> Array | None:
    """What a model says of a probe; None of one so short that the model itself cannot take it.

    Raises:
        CompressError: it fails on a longer one.
    """
    try:
        return _called(predict, batch, "the model that it was made from")
    except CompressError:
        if batch["input_ids"].shape[1] >= SHORT:
            raise
        return None


def _called(predict: Predictor, batch: Mapping[str, Array], whose: str) -> Array:
    """What a model says of a batch.

    Raises:
        CompressError: it fails, with the batch's size.
    """
    try:
        return predict(batch)
    except MemoryError:
        raise
    except Exception as error:  # libraries raise classes of their own, without a common base but Exception
        if "memory" in str(error):
            raise
        rows, length = batch["input_ids"].shape
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise CompressError(
            f"{whose} fails on {rows} rows of {length} tokens: {first[:300]}",
            fix="check that its code takes texts of any length; lower max_length if it is too long",
        ) from error


def _parity(expected: Array, actual: Array, same: float, built_in: bool, drop: Estimate | None = None) -> Parity:
    points = {} if drop is None else {name: value and 100 * value for name, value in drop.model_dump().items()}
    return Parity(
        rows=len(expected),
        max_abs_difference=float(np.abs(expected - actual).max()),
        scale=float(np.abs(expected).max()),
        agreement=same,
        spread=float(np.ptp(expected, axis=0).max()),
        built_in_texts=built_in,
        drop_pp=points.get("value"),
        drop_low_pp=points.get("low"),
        drop_high_pp=points.get("high"),
    )


def gate(
    before: Path,
    after: Path,
    context: Context,
    min_agreement: float,
    device: Literal["cpu", "cuda"] = "cpu",
    *,
    trust_remote_code: bool = False,
) -> Parity:
    """Compare a quantized folder with the float one that it was made from, on rows that are held back from training.

    A model that was trained for a rehearsal agrees with nothing, so there the outcome is not held against it.

    Both run where models of the quantized one's format run by default.

    Raises:
        CompressError: fewer rows than `min_agreement` keep their best class, or less than half of it is left of the
            agreement beyond chance.
        InputError: the float model's output is the same for all rows.
    """
    form = find(format_of(after))
    target = Target(runtime=form.runtime, device=device)
    reference, quantized = (
        load(folder, target, context.task.hub_task, trust_remote_code=trust_remote_code) for folder in (before, after)
    )
    tokenizer = load_tokenizer(after)
    held = held_back(context.task, tokenizer)
    outputs = held.outputs(reference), held.outputs(quantized)
    _refuse_broken(reference, quantized, context.task, tokenizer)
    same = agreement(held.task, held.rows, *outputs)
    found = _parity(flat(outputs[0]), flat(outputs[1]), same, held.truth is None, held.drop(*outputs))
    found = found.model_copy(update={"rows": len(held.rows)})
    _refuse_constant(flat(outputs[0]), before)
    words = context.task.truth([]).WORDS
    why = _collapse(found, words, beyond_chance(held.task, held.rows, *outputs), min_agreement)
    if why and context.rehearsal is None:
        where = _first_to_leave(before, after, context) if form.graph is not None else ""
        raise CompressError(
            f"quantization collapsed: {why}{where}",
            fix="try another method, a smaller block or smooth: 0.5, or lower min_agreement if you can bear it",
        )
    return found


def _refuse_broken(before: Predictor, after: Predictor, task: Task, tokenizer: Tokenizer) -> None:
    """Refuse a quantized model that fails at some length, or gives no numbers where the float one does.

    Raises:
        CompressError: with the batch.
    """
    for batch in probes(task, tokenizer):
        expected = _tried(before, batch)
        if expected is None or not np.isfinite(expected).all():
            continue
        if not np.isfinite(_called(after, batch, "the quantized model")).all():
            rows, length = batch["input_ids"].shape
            raise CompressError(
                f"the quantized model gives no numbers of {rows} rows of {length} tokens",
                fix="try another method, or keep_float for the layers to blame",
            )


def refuse_constant(folder: Path, target: Target, context: Context) -> None:
    """Refuse a float model that nothing can be held against.

    Raises:
        InputError: its output is the same for all rows.
    """
    held = held_back(context.task, load_tokenizer(folder))
    _refuse_constant(flat(held.outputs(load(folder, target, context.task.hub_task))), folder)


def _refuse_constant(logits: Array, folder: Path) -> None:
    spread, scale = float(np.ptp(logits, axis=0).max()), float(np.abs(logits).max())
    if len(logits) > 1 and spread <= CONSTANT * max(scale, 1.0):
        raise InputError(
            f"the float model says the same of all {len(logits)} rows, so no quantized one can be compared with it",
            where=str(folder),
            fix="check its training and its export: its output does not depend on the text",
        )


def _collapse(found: Parity, words: Words, kappa: float | None, min_agreement: float) -> str:
    """Why two models do not say the same, in words; nothing if they do."""
    rows = "built-in English texts" if found.built_in_texts else "rows"
    kept = f"{found.agreement:.0%} of {words.within}{found.rows} {rows} {words.same}"
    if not found.agreement >= min_agreement:
        return f"{kept}, at least {min_agreement:.0%} must"
    if kappa is not None and not kappa >= min_agreement / 2:
        return (
            f"{kept}, hardly more than by chance (Cohen's kappa {kappa:.2f}, at least {min_agreement / 2:.2f} must be)"
        )
    return ""


def _first_to_leave(before: Path, after: Path, context: Context) -> str:
    """Which nodes are to blame, in words."""
    import onnx

    from compress.comparing.blame import first_to_leave
    from compress.models.files import model_path

    batches, _ = sample_batches(context.task, load_tokenizer(after))
    first, second = (onnx.load(str(model_path(folder))) for folder in (before, after))
    found = first_to_leave(first, second, batches)
    return "; the first to leave the float model: " + ", ".join(f"{name} (off by {error:.0%})" for name, error in found)
