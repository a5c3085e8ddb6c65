"""Take the tokens out of the vocabulary that the training rows do not use.

Use it on small encoders, half of which is the table of token embeddings: the model says the same of every text that is
made of kept tokens, and any other text still tokenizes, through single characters and what is merged from them. Costs
seconds. It stands anywhere between the first fine-tuning and the export; distilling and pruning work on either side.

```yaml
- {name: trimmed, stage: trim_vocabulary, min_count: 1}
```

Abdaoui et al. 2020 (arXiv:2010.05609) take the languages out of multilingual BERT in this way.
"""

import copy
from collections import Counter
from itertools import filterfalse, islice
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from compress.context import Context, KnownStep
from compress.errors import CompressError, InputError
from compress.facts import Trimming
from compress.stages import Input, Stage, StageConfig
from compress.store.artifacts import Artifact

TOLERANCE = 1e-5
"""Largest difference of a logit, as a share of the largest (at least 1); only the order of sums differs."""
CHECKED_ROWS = 32


class Config(StageConfig):
    """What to keep."""

    ADDED_LATER: ClassVar[frozenset[str]] = frozenset({"at_least"})

    min_count: int = Field(1, ge=1)
    """Keep the tokens that the training rows use at least so often."""
    at_least: int | None = Field(None, ge=1)
    """Keep so many tokens: if fewer are used, other words too, from the vocabulary's beginning, where frequent ones
    stand; texts to come may have them, and so have variants of rows that are made of neighbouring words."""


def run(*, model: Artifact, config: Config, context: Context, out: Path) -> Trimming:
    """Count, trim the tokenizer and the table of embeddings, and compare the outputs on training rows."""
    from compress.models.load import load_model, save_model
    from compress.models.tokenizer import load_tokenizer
    from compress.models.vocabulary import read_vocabulary, split_differently, trim, write_tokenizer
    from compress.training.neighbours import whole_words

    task = context.task
    network = load_model(model.path, task.hub_task, trust_remote_code=context.trust_remote_code)
    tokenizer = load_tokenizer(model.path)
    context.progress("counting tokens", 0, 2)
    counts = Counter(token for row in task.encode(task.train, tokenizer) for token in row["input_ids"])
    used = [token for token, count in counts.items() if count >= config.min_count]
    missing = max(0, (config.at_least or 0) - len(used))
    used += islice(filterfalse(set(used).__contains__, whole_words(tokenizer)), missing)
    content, kept_ids = trim(read_vocabulary(model.path), used, _ids_in_config(network))
    context.progress("counting tokens", 1, 2)
    trimmed = keep_tokens(copy.deepcopy(network), kept_ids)
    write_tokenizer(content, kept_ids, model.path, out)
    save_model(trimmed, out)
    _compare(network, trimmed, kept_ids, used, context, model.path, out)
    context.progress("counting tokens", 2, 2)
    texts, _ = task.texts(task.validation)
    return Trimming(
        tokens_before=network.get_input_embeddings().num_embeddings,
        tokens_after=len(kept_ids),
        validation_split_differently=round(split_differently(tokenizer.fast, load_tokenizer(out).fast, texts), 6),
    )


def keep_tokens(network: Any, kept_ids: list[int]) -> Any:
    """Remove all rows but some from a model's table of token embeddings, in place.

    Args:
        kept_ids: the old ids that stay, rising; a token's new id is its place in the list.
    """
    import torch

    table = network.get_input_embeddings()
    new = {old: index for index, old in enumerate(kept_ids)}
    table.weight = torch.nn.Parameter(table.weight.detach()[kept_ids].clone())
    table.num_embeddings = len(kept_ids)
    if table.padding_idx is not None:
        table.padding_idx = new.get(table.padding_idx)  # None if the token is not kept
    settings = network.config
    for name, value in list(settings.to_dict().items()):
        if name.endswith("_token_id") and value is not None:
            setattr(settings, name, [new[item] for item in value] if isinstance(value, list) else new.get(value))
    settings.vocab_size = len(kept_ids)
    return network.eval()


def _ids_in_config(network: Any) -> set[int]:
    """The token ids that the model's config names; if positions start after the padding's id, also all ids up to it."""
    from compress.models.architectures import ARCHITECTURES

    needed: set[int] = set()
    for name, value in network.config.to_dict().items():
        if name.endswith("_token_id"):
            needed |= {item for item in (value if isinstance(value, list) else [value]) if isinstance(item, int)}
    padding = network.get_input_embeddings().padding_idx
    if padding is not None:
        needed.add(padding)
    architecture = ARCHITECTURES.get(network.config.model_type)
    if architecture is None or architecture.position_offset:
        needed |= set(range((padding or 0) + 1))
    return needed


def _compare(
    before: Any, after: Any, kept_ids: list[int], used: list[int], context: Context, source: Path, out: Path
) -> None:
    """Compare both models on rows that are made of kept tokens.

    Raises:
        CompressError: a row is split into other tokens, or a logit differs.
    """
    import torch

    from compress.models.tokenizer import load_tokenizer

    whole, smaller = load_tokenizer(source), load_tokenizer(out)
    used_ids, new = set(used), {old: index for index, old in enumerate(kept_ids)}
    rows = [row for row in context.task.encode(context.task.train, whole) if used_ids.issuperset(row["input_ids"])]
    sample = rows[:CHECKED_ROWS]
    again = {tuple(row["input_ids"]) for row in context.task.encode(context.task.train, smaller)}
    for row in sample:
        if tuple(new[token] for token in row["input_ids"]) not in again:
            raise CompressError("the smaller tokenizer splits the training rows in another way", fix=_LEAVE_OUT)
        logits = []
        for model, ids in ((before, row["input_ids"]), (after, [new[token] for token in row["input_ids"]])):
            with torch.inference_mode():
                mask = torch.tensor([row["attention_mask"]])
                logits.append(model(input_ids=torch.tensor([ids]), attention_mask=mask).logits)
        difference, scale = (logits[0] - logits[1]).abs().max(), logits[0].abs().max().clamp(min=1.0)
        if not difference <= TOLERANCE * scale:
            raise CompressError(f"with fewer tokens the model's outputs differ by {difference:.2g}", fix=_LEAVE_OUT)


_LEAVE_OUT = "this model does more with token ids than looking them up: leave this step out"


def _check(step: KnownStep) -> None:
    """Refuse a tokenizer from which no tokens can be taken, before any work."""
    from compress.models.vocabulary import read_vocabulary

    try:
        read_vocabulary(step.model.origin)
    except InputError as error:
        raise InputError(error.what, fix=error.fix) from error


STAGE = Stage(
    Config,
    run,
    inputs={"model": Input("torch")},
    output="torch",
    version=1,
    tag="trimmed",
    facts=Trimming,
    changes_tokenizer=True,
    check=_check,
)
