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
square root of the number of n-grams. Two support vector machines are fitted to them: scikit-learn's LinearSVC, and one
whose features are weighted by naive Bayes; each with a C that is chosen by cross-validation on the training rows. Their
sum is one linear model, and is right more often than either. The scores are then scaled so that their softmax fits the
validation rows best.

Joachims 1998 (doi:10.1007/BFb0026683); Wang and Manning 2012 (ACL P12-2018); n-grams are hashed as by Weinberger et al.
2009 (arXiv:0902.2206); scaling as by Guo et al. 2017 (arXiv:1706.04599), section 4.2.
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
MOST_PARTS = 16
"""The most pieces of `max_length` tokens that a text is cut into; what is behind them is not learned from."""
SHORTEST = 1 / 8
"""The share of `max_length` that a part has at least."""
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
    parts: bool = False
    """Whether it also learns from parts of texts: the halves of each, and of those longer than `max_length` the rest,
    cut into pieces of that length. It helps where texts are long. Not for pairs of texts."""

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
    parts, owners = _parts(task, tokenizer) if config.parts else ([], [])
    counts = _counts(network.ngrams, [*task.train, *parts], tokenizer, context)
    labels = _labels(task, task.train)
    owners = [*range(len(labels)), *owners]
    weights, bias, facts = _fit(counts, np.array(labels)[owners], np.array(owners), context)
    held_out = _counts(network.ngrams, task.validation, tokenizer, context)
    factor = _scale(held_out @ weights + bias, np.array(_labels(task, task.validation)))
    tensors = {"ngrams.table.weight": weights, "bias": bias}
    network.load_state_dict({name: torch.from_numpy(tensor * factor) for name, tensor in tensors.items()})
    save_model(network, out)
    copy_tokenizer(model.path, out)
    facts |= {"rows": len(owners)} if parts else {}
    return {"parameters": network.num_parameters(), **facts, "scale": round(factor, 4)}


def _parts(task: Any, tokenizer: "Tokenizer") -> tuple[list[Any], list[int]]:
    """Parts of the training texts as further rows, and for each the place of the text that it is cut out of.

    A text is cut between words, by the number of tokens that its words have on average.
    """
    from compress.training.rows import EncodedRows

    texts, owners = [], []
    longest = task.spec.max_length
    lengths = EncodedRows(task.train, task, tokenizer, longest * MOST_PARTS).lengths
    for owner, (text, tokens) in enumerate(zip(task.texts(task.train)[0], lengths, strict=True)):
        words = text.split()
        size = max(1, min(len(words), len(words) * longest // tokens))
        pieces = [words[start : start + size] for start in range(size, len(words), size)]
        pieces += [words[: size // 2], words[size // 2 : size]]
        found = [" ".join(piece) for piece in pieces if len(piece) * tokens >= len(words) * longest * SHORTEST]
        texts += found
        owners += [owner] * len(found)
    return list(task.without_answers(texts, None)), owners


def _fit(counts: Any, labels: "Array", owners: "Array", context: Context) -> "tuple[Array, Array, dict[str, Any]]":
    """The weights, (rows of the table, labels), the bias, (labels,), and facts of machines fitted to counts.

    Args:
        counts: (rows, rows of the table), sparse, as `_counts` gives them.
        labels: (rows,).
        owners: (rows,) as in `compress.fitting.linear.solve`.
    """
    import numpy as np

    from compress.fitting.linear import solve
    from compress.fitting.naive_bayes import NaiveBayesSVC

    rows, classes = counts.shape[0], len(context.task.labels)
    weights, bias = np.zeros((counts.shape[1], classes)), np.full(classes, UNSEEN)
    if len(set(labels.tolist())) < 2:  # in a rehearsal, whose rows are few; in a run the plan refuses it
        return weights, bias, {}
    idf = np.log((1 + rows) / (1 + np.bincount(counts.indices, minlength=counts.shape[1]))) + 1
    features = counts.multiply(idf[None]).tocsr()
    size = np.sqrt(features.multiply(features).sum() / rows)  # the values of C that are tried suit rows of length 1
    features /= size
    facts = {}
    for number, (name, machine) in enumerate({"plain": None, "naive_bayes": NaiveBayesSVC}.items()):

        def progress(done: int, total: int, before: int = number) -> None:
            context.progress("fitting", before * total + done, 2 * total)

        solver, choice = solve(
            features, labels, _score(context.task), context.seed, progress, machine=machine, owners=owners
        )
        facts[name] = {"c": choice.c, "folds": choice.folds, "scores": choice.scores}
        known, columns, intercept = solver.classes_, solver.coef_, solver.intercept_  # columns: (labels, features)
        if len(known) == 2:  # one border between both
            columns, intercept = np.concatenate([-columns, columns]) / 2, np.concatenate([-intercept, intercept]) / 2
        bias[known] = intercept if not number else bias[known] + intercept
        weights[:, known] += columns.T * (idf / size)[:, None]
    return weights, bias, facts


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
    if step.config.parts and step.task.texts(step.task.train)[1] is not None:
        raise InputError("parts of pairs of texts are not made", fix="leave parts out")
    buckets = step.config.buckets if step.config.longest > 1 else 0
    check_size(step, len(step.task.labels), FITTED, buckets=buckets)


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("torch", head="made")},
    output="torch",
    version=2,
    tag="linear",
    shape=no_shape,
    check=_check,
)
