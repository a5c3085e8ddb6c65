import torch
from torch.nn import functional

from compress.ops import nearest as module
from compress.ops.nearest import nearest


def test_the_nearest_are_those_of_the_largest_cosine(monkeypatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 3)
    torch.manual_seed(0)
    table, queries = torch.randn(12, 5) * torch.rand(12, 1), torch.tensor([0, 7, 3, 11])
    found = nearest(table, queries, 4)
    assert found.shape == (4, 4)
    for query, rows in zip(queries.tolist(), found.tolist(), strict=True):
        cosines = {row: functional.cosine_similarity(table[query], table[row], 0) for row in range(12) if row != query}
        assert rows == sorted(cosines, key=lambda row: -cosines[row])[:4]


def test_no_query_finds_nothing() -> None:
    assert nearest(torch.randn(3, 2), torch.tensor([], dtype=torch.long), 2).shape == (0, 2)
