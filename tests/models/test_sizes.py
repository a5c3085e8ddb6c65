import pytest

from compress.errors import InputError
from compress.models.architectures import Shape
from compress.models.sizes import layers_left, narrower, shrink


@pytest.mark.parametrize(
    ("heads", "ffn", "multiple", "expected"),
    [
        (0.0, 0.0, 8, ((12, 12), (1536, 1536))),
        (0.5, 0.75, 8, ((6, 6), (384, 384))),
        (0.66, 0.9, 16, ((4, 4), (160, 160))),
        (0.1, 0.999, 8, ((11, 11), (8, 8))),
    ],
)
def test_shrink_rounds_to_sizes_that_kernels_like(
    heads: float, ffn: float, multiple: int, expected: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    before = Shape("bert", 2, 384, 32, (12, 12), (1536, 1536))
    after = shrink(before, heads=heads, neurons=ffn, multiple=multiple)
    assert (after.heads, after.neurons) == expected


def test_an_empty_layer_is_refused() -> None:
    with pytest.raises(InputError, match="removing 90% of 4 heads leaves a layer empty") as caught:
        shrink(Shape("bert", 1, 32, 8, (4,), (64,)), heads=0.9, neurons=0, multiple=8)
    assert caught.value.fix == "remove at most 0.75"


@pytest.mark.parametrize(
    ("total", "ratio", "share", "expected"), [(6, 0.5, 1.0, 3), (6, 0.5, 0.578, 4), (12, 0, 1.0, 12), (2, 0.5, 1, 1)]
)
def test_layers_go_by_their_share(total: int, ratio: float, share: float, expected: int) -> None:
    assert layers_left(total, ratio, share) == expected


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_a_model_without_layers_is_refused_at_the_first_cut_already(share: float) -> None:
    with pytest.raises(InputError, match="removing 80% of 2 layers leaves none") as caught:
        layers_left(2, 0.8, share)
    assert caught.value.fix == "remove at most 0.50"


@pytest.mark.parametrize(
    ("ratio", "multiple", "expected"), [(0.0, 8, 384), (0.5, 8, 192), (0.6, 8, 160), (0.55, 64, 192), (0.99, 8, 32)]
)
def test_a_narrower_width_is_a_multiple_of_heads_and_kernels(ratio: float, multiple: int, expected: int) -> None:
    assert narrower(384, ratio, head_size=32, multiple=multiple) == expected
