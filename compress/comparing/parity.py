"""Parity: how much the outputs of two models differ on the same real rows."""

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
"""The most rows on which two models that must compute the same are compared."""
BATCH = 8
CONSTANT = 1e-6
"""Share of the largest logit; outputs of rows that differ by less are taken to be the same."""


class Parity(Agreement):
    """The differences of two models' outputs on the same rows."""

    max_abs_difference: float
    """Largest difference of any two logits."""
    scale: float
    """Largest absolute logit of the reference."""
    spread: float
    """Largest difference of a logit between two rows, in the outputs of the reference."""
    tokens: int | None = None
    """Tokens of a row in the batch with the largest difference."""
    lengths: tuple[int, ...] = ()
    """Tokens of a row in each batch of probes, from the shortest to the longest."""

    def facts(self) -> dict[str, Any]:
        """The parity as a fact for the manifest."""
        return {"parity": self.model_dump()}

    def within(self, tolerance: float) -> bool:
        """Whether the largest difference is at most this share of the largest logit (at least 1)."""
        return self.max_abs_difference <= tolerance * max(self.scale, 1.0)

    def check(self, tolerance: float, what: str, fix: str) -> None:
        """Fail if the difference is above a tolerance.

        Args:
            what: the beginning of the message, for example `the exported model differs from torch`.

        Raises:
            CompressError: the difference is larger, or is not a number.
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
    """Padded batches of held-back rows of mixed lengths; and whether they are built-in texts, as there are no rows."""
    rows = held_back_rows(task, ROWS)
    encoded_rows = encoded(task, rows, tokenizer)
    batches = [tokenizer.pad(encoded_rows[start : start + BATCH]) for start in range(0, len(encoded_rows), BATCH)]
    return batches, not rows


def compare(reference: Predictor, other: Predictor, task: Task, tokenizer: Tokenizer) -> Parity:
    """The parity of two models on the same batches: padded rows, single rows, and probes of many lengths.

    Raises:
        CompressError: a model fails on a batch.
    """
    real_rows = held_back_rows(task, ROWS)
    rows, encoded_rows = real_rows or built_in_rows(task), encoded(task, real_rows, tokenizer)
    slices = [slice(start, start + BATCH) for start in range(0, len(encoded_rows), BATCH)]
    slices.append(slice(0, 1))
    before: list[Array] = []
    after: list[Array] = []
    differences, scale, lengths = [], 0.0, []
    for part in slices:
        batch, counted = _padded(task, encoded_rows[part], tokenizer)
        pair = reference(batch), _outputs(other, batch, "the model that was made")
        first, second = (cut(outputs, counted) for outputs in pair)
        before, after = [*before, *first], [*after, *second]
        differences.append((_distance(first, second), batch["input_ids"].shape[1]))
    for batch in probes(task, tokenizer):
        expected = _probe_outputs(reference, batch)
        if expected is None:
            continue
        counted = batch["attention_mask"] if task.outputs == "token" else None
        pair = expected, _outputs(other, batch, "the model that was made")
        first, second = (cut(outputs, counted) for outputs in pair)
        scale = max(scale, _largest(first))
        differences.append((_distance(first, second), batch["input_ids"].shape[1]))
        lengths.append(batch["input_ids"].shape[1])
    worst = int(np.argmax(np.nan_to_num([distance for distance, _ in differences], nan=np.inf)))
    same = agreement(task, [row for part in slices for row in rows[part]], before, after)
    overall = {
        "rows": len(before),
        "max_abs_difference": differences[worst][0],
        "scale": max(scale, _largest(before)),
        "tokens": differences[worst][1],
        "lengths": tuple(sorted(set(lengths))),
    }
    return _parity(flat(before), flat(after), same, not real_rows).model_copy(update=overall)


def _padded(
    task: Task, encoded_rows: Sequence[Mapping[str, Any]], tokenizer: Tokenizer
) -> tuple[dict[str, Array], Array | None]:
    """A batch of encoded rows, and which of its tokens count; None if each row as a whole has an output."""
    if task.outputs == "row":
        return tokenizer.pad(encoded_rows), None
    batch = tokenizer.pad(encoded_rows, counted=0)
    return batch, batch.pop("counted")


def _distance(first: Sequence[Array], second: Sequence[Array]) -> float:
    """The largest difference of any two logits."""
    return float(np.abs(flat(first) - flat(second)).max(initial=0))


def _largest(outputs: Sequence[Array]) -> float:
    """The largest absolute logit."""
    return float(np.abs(flat(outputs)).max(initial=0))


def _probe_outputs(predict: Predictor, batch: Mapping[str, Array]) -> Array | None:
    """The outputs of the reference for a probe; None if the probe is too short for the model itself.

    Raises:
        CompressError: the model fails on a probe that is not so short.
    """
    try:
        return _outputs(predict, batch, "the model that it was made from")
    except CompressError:
        if batch["input_ids"].shape[1] >= SHORT:
            raise
        return None


def _outputs(predict: Predictor, batch: Mapping[str, Array], whose: str) -> Array:
    """The outputs of a model for a batch.

    Raises:
        CompressError: the model, called `whose` in the message, fails.
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
    """The parity of two models by their logits, (rows, classes), their agreement and the drop of the metric."""
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
    """Compare a quantized folder with the float folder that it was made from, on held-back rows.

    Both run in the default runtime of the quantized folder's format. In a rehearsal a low agreement is no failure:
    the model is trained on too few rows.

    Raises:
        CompressError: the agreement is below `min_agreement`, the agreement beyond chance is below half of it, or the
            quantized model fails on a batch.
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
    parity = _parity(flat(outputs[0]), flat(outputs[1]), same, held.truth is None, held.drop(*outputs))
    parity = parity.model_copy(update={"rows": len(held.rows)})
    _refuse_constant(flat(outputs[0]), before)
    words = context.task.truth([]).WORDS
    reason = _collapse(parity, words, beyond_chance(held.task, held.rows, *outputs), min_agreement)
    if reason and context.rehearsal is None:
        where = _first_diverging(before, after, context) if form.graph is not None else ""
        raise CompressError(
            f"quantization collapsed: {reason}{where}",
            fix="try another method, a smaller block or smooth: 0.5, or lower min_agreement if you can bear it",
        )
    return parity


def _refuse_broken(before: Predictor, after: Predictor, task: Task, tokenizer: Tokenizer) -> None:
    """Refuse a quantized model that fails at some length, or whose outputs are not finite where the float model's are.

    Raises:
        CompressError: the message has the size of the batch.
    """
    for batch in probes(task, tokenizer):
        expected = _probe_outputs(before, batch)
        if expected is None or not np.isfinite(expected).all():
            continue
        if not np.isfinite(_outputs(after, batch, "the quantized model")).all():
            rows, length = batch["input_ids"].shape
            raise CompressError(
                f"the quantized model gives no numbers of {rows} rows of {length} tokens",
                fix="try another method, or keep_float for the layers to blame",
            )


def refuse_constant(folder: Path, target: Target, context: Context) -> None:
    """Refuse a float model whose output is the same for all rows: no other model can be compared with it.

    Raises:
        InputError: its output is the same for all rows.
    """
    held = held_back(context.task, load_tokenizer(folder))
    _refuse_constant(flat(held.outputs(load(folder, target, context.task.hub_task))), folder)


def _refuse_constant(logits: Array, folder: Path) -> None:
    """Refuse logits (rows, classes) that are the same for all rows."""
    spread, scale = float(np.ptp(logits, axis=0).max()), float(np.abs(logits).max())
    if len(logits) > 1 and spread <= CONSTANT * max(scale, 1.0):
        raise InputError(
            f"the float model says the same of all {len(logits)} rows, so no quantized one can be compared with it",
            where=str(folder),
            fix="check its training and its export: its output does not depend on the text",
        )


def _collapse(parity: Parity, words: Words, kappa: float | None, min_agreement: float) -> str:
    """The reason why the agreement of two models is too low, in words; empty if it is high enough."""
    rows = "built-in English texts" if parity.built_in_texts else "rows"
    share_kept = f"{parity.agreement:.0%} of {words.within}{parity.rows} {rows} {words.same}"
    if not parity.agreement >= min_agreement:
        return f"{share_kept}, at least {min_agreement:.0%} must"
    if kappa is not None and not kappa >= min_agreement / 2:
        least = f"at least {min_agreement / 2:.2f} must be"
        return f"{share_kept}, hardly more than by chance (Cohen's kappa {kappa:.2f}, {least})"
    return ""


def _first_diverging(before: Path, after: Path, context: Context) -> str:
    """The end of a message that names the nodes to blame."""
    import onnx

    from compress.comparing.blame import first_diverging
    from compress.models.files import model_path

    batches, _ = sample_batches(context.task, load_tokenizer(after))
    first, second = (onnx.load(str(model_path(folder))) for folder in (before, after))
    nodes = first_diverging(first, second, batches)
    return "; the first to leave the float model: " + ", ".join(f"{name} (off by {error:.0%})" for name, error in nodes)
