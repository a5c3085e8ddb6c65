"""The training of an elastic student: in each step the largest, the smallest and some random sizes learn.

The sandwich rule of Yu and Huang 2019 (arXiv:1903.05134), section 3.
"""

import itertools
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from compress.models.elastic import Size, SubModels
from compress.models.inputs import input_names
from compress.models.load import load_model
from compress.models.tokenizer import load_tokenizer
from compress.tasks import Task
from compress.training.config import DistillationConfig
from compress.training.objective import Objective

BATCH = 32


class ElasticObjective(Objective):
    """The loss of the whole student and of some of its sub-models: the mean over all.

    Args:
        model: the sorted student, before it is trained.
        sizes: the sizes of each dimension, the largest first: layers, hidden, heads, neurons.
        random_sizes: how many sub-models of random sizes learn in each step, beside the smallest.
        seed: of the random sizes; those of a step depend on it and on the step's number alone.
    """

    step: torch.Tensor

    def __init__(
        self, config: DistillationConfig, model: Any, sizes: Sequence[Sequence[int]], random_sizes: int, seed: int
    ) -> None:
        super().__init__(config)
        self._sub_models = (SubModels(model),)  # in a tuple: no part of what is saved
        self._accepted = set(input_names(model))
        self._sizes, self._random, self._seed = sizes, random_sizes, seed
        self.register_buffer("step", torch.zeros((), dtype=torch.long))

    def forward(self, logits: torch.Tensor, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The mean loss of all sizes of this step; see `Objective.forward`."""
        (sub_models,) = self._sub_models
        inputs = {name: batch[name] for name in batch if name in self._accepted}
        losses = [super().forward(logits, batch)]
        for size in self._drawn():
            losses.append(super().forward(sub_models.logits(size, inputs, training=True), batch))
        self.step += 1
        return torch.stack(losses).mean()

    def _drawn(self) -> list[Size]:
        """The smallest size, and random ones."""
        smallest = Size(*(min(choices) for choices in self._sizes))
        chance = random.Random(f"{self._seed} {int(self.step)}")
        return [smallest, *(Size(*map(chance.choice, self._sizes)) for _ in range(self._random))]


def all_sizes(sizes: Sequence[Sequence[int]]) -> list[Size]:
    """Every sub-model of the sizes of each dimension."""
    return [Size(*one) for one in itertools.product(*sizes)]


class SubModelOutputs:
    """The logits of an elastic student's sub-models for rows, without any training.

    Args:
        folder: an elastic student.
        rows: rows with one label each.
    """

    def __init__(self, folder: Path, task: Task, rows: Sequence[Any]) -> None:
        model, tokenizer = load_model(folder, task.hub_task).eval(), load_tokenizer(folder)
        accepted = input_names(model)
        encoded = task.encode(rows, tokenizer)
        order = sorted(range(len(encoded)), key=lambda row: len(encoded[row]["input_ids"]))
        self._batches = []
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            arrays = task.collate([encoded[place] for place in places], tokenizer)
            inputs = {name: torch.from_numpy(arrays[name]) for name in accepted if name in arrays}
            self._batches.append((places, inputs))
        self._sub_models, self._shape = SubModels(model), (len(rows), len(task.labels))

    def __call__(self, size: Size) -> np.ndarray[Any, Any]:
        """A sub-model's logits, (rows, classes)."""
        logits = np.zeros(self._shape, np.float32)
        with torch.no_grad():
            for places, inputs in self._batches:
                logits[places] = self._sub_models.logits(size, inputs, training=False).float().numpy()
        return logits
