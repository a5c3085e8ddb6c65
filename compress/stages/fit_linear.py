"""Fit a linear model to the training rows: a weight for each token, each n-gram of tokens and each label.

Use it where the report shows that a linear model is as good as a transformer: it becomes an ordinary model, whose graph
answers in some twenty microseconds, and which is exported, quantized and served like any other. The model that it reads
gives its tokenizer and nothing else. Costs seconds for some ten thousand rows, and a few minutes with many labels.

```yaml
- {name: linear, stage: fit_linear, longest: 2, buckets: 65536}
```

Where there is a teacher, it can go on to learn from it: `{stage: distill, teacher: …, student: linear, learning_rate:
0.01, batch_size: 256}`.

Its features are what the graph computes: n-grams by their number and their inverse document frequency, divided by the
square root of the number of n-grams. They are fitted by scikit-learn's LinearSVC, whose C is chosen by cross-validation
on the training rows. The scores are then scaled so that their softmax fits the validation rows best.

Joachims 1998 (doi:10.1007/BFb0026683); n-grams are hashed as by Weinberger et al. 2009 (arXiv:0902.2206); scaling as by
Guo et al. 2017 (arXiv:1706.04599), section 4.2.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from compress.context import Context, KnownStep
from compress.errors import InputError
from compress.stages import Input, Stage, StageConfig
from compress.store.artifacts import Artifact
from compress.training.table_size import check_buckets, check_labels, check_size, no_shape

if TYPE_CHECKING:
    import numpy as np

    from compress.models.ngrams import NgramsModel
    from compress.models.tokenizer import Tokenizer

    Array = np.ndarray[Any, Any]

FITTED = 3
"""Copies of a table while it is fitted: the solver's in double precision, and the one that is written."""
UNSEEN = -10.0
"""Score of a label that no training row has, before scaling: far below those of a support vector machine."""
SCALES = (0.25, 64.0)
"""The least and the largest factor of the scores."""


class Config(StageConfig):
    """What is counted."""

    longest: int = Field(2, ge=1, le=4)
    """Tokens of the longest n-grams; 1: single tokens alone."""
    buckets: int = Field(65536, ge=0, le=100_000_000)
    """Rows of the table for all n-grams of two tokens and more, which are hashed."""

    @model_validator(mode="after")
    def _fits_itself(self) -> "Config":
        check_buckets(self.longest, self.buckets)
        return self


def run(*, model: Artifact, config: Config, context: Context, out: Path) -> dict[str, Any]:
    """Count, fit, and fold the inverse document frequencies into the table."""
    import numpy as np
    import torch

    from compress.models.load import save_model
    from compress.models.ngrams import NgramsForSequenceClassification, config_for
    from compress.models.tokenizer import copy_tokenizer, load_tokenizer

    task, tokenizer = context.task, load_tokenizer(model.path)
    classes = len(task.labels)
    sizes = {"longest": config.longest, "buckets": config.buckets}
    network = NgramsForSequenceClassification(
        config_for(tokenizer, task.labels, hidden_size=classes, has_classifier=False, **sizes)
    )
    counts = _counts(network.ngrams, task.train, tokenizer, context)
    weights, bias, facts = _fit(counts, np.array(_labels(task, task.train)), context)
    held_out = _counts(network.ngrams, task.validation, tokenizer, context)
    factor = _scale(held_out @ weights + bias, np.array(_labels(task, task.validation)))
    parts = {"ngrams.table.weight": weights, "bias": bias}
    network.load_state_dict({name: torch.from_numpy(part * factor) for name, part in parts.items()})
    save_model(network, out)
    copy_tokenizer(model.path, out)
    return {"parameters": network.num_parameters(), **facts, "scale": round(factor, 4)}


def _fit(counts: Any, labels: "Array", context: Context) -> "tuple[Array, Array, dict[str, Any]]":
    """The weights, (rows of the table, labels), the bias, (labels,), and facts of a machine fitted to counts.

    Args:
        counts: (rows, rows of the table), sparse, as `_counts` gives them.
        labels: (rows,).
    """
    import numpy as np

    from compress.fitting.linear import solve

    rows, classes = counts.shape[0], len(context.task.labels)
    weights, bias = np.zeros((counts.shape[1], classes)), np.full(classes, UNSEEN)
    if len(set(labels.tolist())) < 2:  # in a rehearsal, whose rows are few; in a run the plan refuses it
        return weights, bias, {}
    idf = np.log((1 + rows) / (1 + np.bincount(counts.indices, minlength=counts.shape[1]))) + 1
    features = counts.multiply(idf[None]).tocsr()
    size = np.sqrt(features.multiply(features).sum() / rows)  # the values of C that are tried suit rows of length 1
    solver, choice = solve(
        features / size,
        labels,
        _score(context.task),
        context.seed,
        lambda done, total: context.progress("fitting", done, total),
    )
    known, columns, intercept = solver.classes_, solver.coef_, solver.intercept_  # columns are (labels, features)
    if len(known) == 2:  # one border between both
        columns, intercept = np.concatenate([-columns, columns]) / 2, np.concatenate([-intercept, intercept]) / 2
    weights[:, known], bias[known] = columns.T * (idf / size)[:, None], intercept
    return weights, bias, {"c": choice.c, "folds": choice.folds, "scores": choice.scores}


def _labels(task: Any, rows: Sequence[Any]) -> list[int]:
    """The label of each row, as a number."""
    labels: list[int] = list(task.truth(rows).content)
    return labels


def _score(task: Any) -> Any:
    """The function that scores labels by the task's metric."""
    kind = type(task.truth([]))

    def score(predictions: Sequence[int], truth: Sequence[int]) -> float:
        value: float = kind(list(predictions)).outcome(kind(list(truth)), task.spec.metric).value
        return value

    return score


def _counts(bag: "NgramsModel", rows: Sequence[Any], tokenizer: "Tokenizer", context: Context) -> Any:
    """How often each row of the table stands in each text, over the square root of the number of n-grams.

    Returns:
        (rows, rows of the table), sparse.
    """
    import numpy as np
    from scipy.sparse import csr_matrix

    from compress.training.rows import EncodedRows
    from compress.training.table import batches_of

    columns: list[Array] = []
    texts: list[Array] = []
    shape = (len(rows), bag.table.num_embeddings)
    if not rows:
        return csr_matrix(shape)
    for places, batch in batches_of(EncodedRows(rows, context.task, tokenizer, None), tokenizer):
        numbers, counted = bag.rows(batch["input_ids"], batch["attention_mask"])
        text, place = np.nonzero(counted.numpy())
        columns.append(numbers.numpy()[text, place])
        texts.append(np.array(places)[text])
    text_of = np.concatenate(texts)
    values = 1 / np.sqrt(np.bincount(text_of, minlength=len(rows)))[text_of]
    return csr_matrix((values, (text_of, np.concatenate(columns))), shape=shape)


def _scale(scores: "Array", labels: "Array") -> float:
    """The factor of scores, (rows, labels), under which the labels are likeliest by their softmax."""
    import numpy as np
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    known = labels >= 0
    if not known.any():
        return 1.0
    scores, own = scores[known], scores[known, labels[known]]

    def surprise(exponent: float) -> float:
        return float(np.mean(logsumexp(scores * np.exp(exponent), axis=1) - own * np.exp(exponent)))

    bounds = tuple(np.log(SCALES))
    return float(np.exp(minimize_scalar(surprise, bounds=bounds, method="bounded").x))


def _check(step: KnownStep) -> None:
    """Refuse, before any work, rows that do not do, and a table that cannot be held or shipped."""
    from compress.fitting.linear import refuse

    check_labels(step, "fit_linear")
    if (why := refuse(_labels(step.task, step.task.train), len(step.task.labels))) is not None:
        raise InputError(why, fix="give more labelled rows")
    buckets = step.config.buckets if step.config.longest > 1 else 0
    check_size(step, len(step.task.labels), FITTED, buckets=buckets)


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("torch", head="made")},
    output="torch",
    version=1,
    tag="linear",
    shape=no_shape,
    check=_check,
)
