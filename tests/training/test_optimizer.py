"""The optimizer: tables change only where they are read."""

from typing import Any

import torch

from compress.training.optimizer import RowsAdamW


def trained(make: Any, *, sparse: bool, steps: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """A table and a matrix after some steps; each batch reads rows 0 to 3, some of them twice."""
    torch.manual_seed(0)
    bag, head = torch.nn.EmbeddingBag(6, 3, mode="sum", sparse=sparse), torch.nn.Linear(3, 2)
    optimizers = make(bag, head)
    for step in range(steps):
        ids = torch.tensor([[0, 1, 1], [2, 3, step % 4]])
        torch.nn.functional.cross_entropy(head(bag(ids)), torch.tensor([0, 1])).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    return bag.weight.detach(), head.weight.detach()


def test_rows_change_as_in_sparse_adam_and_the_rest_as_in_adamw() -> None:
    settings = {"lr": 0.1, "weight_decay": 0.0}
    ours = trained(lambda bag, head: [RowsAdamW([*bag.parameters(), *head.parameters()], **settings)], sparse=True)
    theirs = trained(
        lambda bag, head: [
            torch.optim.SparseAdam(bag.parameters(), lr=0.1),
            torch.optim.AdamW(head.parameters(), **settings),
        ],
        sparse=True,
    )
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_rows_that_are_always_read_change_as_in_adam_and_never_decay() -> None:
    ours, _ = trained(lambda bag, head: [RowsAdamW([*bag.parameters(), *head.parameters()], lr=0.1)], sparse=True)
    dense, _ = trained(
        lambda bag, head: [torch.optim.Adam([*bag.parameters()], lr=0.1), torch.optim.AdamW(head.parameters(), lr=0.1)],
        sparse=False,
    )
    torch.testing.assert_close(ours, dense, rtol=1e-5, atol=1e-6)


def test_a_saved_state_goes_on_as_it_was() -> None:
    whole, _ = trained(lambda bag, head: [RowsAdamW([*bag.parameters(), *head.parameters()], lr=0.1)], sparse=True)
    states: list[Any] = []

    class Reloaded(RowsAdamW):
        def step(self, closure: Any = None) -> Any:
            if self.state:
                states.append(self.state_dict())
                self.load_state_dict(states[-1])
            return super().step(closure)

    again, _ = trained(lambda bag, head: [Reloaded([*bag.parameters(), *head.parameters()], lr=0.1)], sparse=True)
    assert len(states) == 4
    assert torch.equal(again, whole)
