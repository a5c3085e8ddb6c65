import pytest

from compress.errors import InputError
from compress.models.architectures import Shape
from compress.training.config import DistillationConfig
from compress.training.matching import check_label_of_rows, check_states, hidden_layers, relation_layer


def shape(layers: int, heads: int = 4, size: int = 8) -> Shape:
    return Shape("bert", layers, 32, size, (heads,) * layers, (64,) * layers)


def settings(**given: object) -> DistillationConfig:
    return DistillationConfig.model_validate(given)


@pytest.mark.parametrize(
    ("student", "teacher", "expected"),
    [(2, 6, (2, 5)), (3, 12, (3, 7, 11)), (1, 6, (5,)), (4, 6, (1, 2, 4, 5)), (6, 6, tuple(range(6)))],
)
def test_each_layer_has_its_teacher_evenly_spaced_the_last_for_the_last(
    student: int, teacher: int, expected: tuple[int, ...]
) -> None:
    assert hidden_layers(settings(hidden_weight=1), student, teacher) == expected


def test_layers_that_are_named_are_taken() -> None:
    assert hidden_layers(settings(hidden_layers=[0, 4]), 2, 6) == (0, 4)
    assert hidden_layers(settings(hidden_layers=[0, 4, 5], hidden_matching="learned"), 2, 6) == (0, 4, 5)
    assert relation_layer(settings(), 6) == 5
    assert relation_layer(settings(relation_layer=3), 6) == 3


@pytest.mark.parametrize(
    ("given", "student", "what", "fix"),
    [
        (
            {"hidden_weight": 1, "hidden_layers": [6]},
            shape(1),
            "names 6, where the teacher has 6 layers",
            "from 0 to 5",
        ),
        ({"hidden_weight": 1, "hidden_layers": [0, 1]}, shape(3), "names 2 layers for a student of 3", "learned"),
        ({"hidden_weight": 1}, shape(7), "a student of 7 layers cannot learn one each of a teacher of 6", "learned"),
        (
            {"relation_weight": 1, "relation_layer": 9},
            shape(2),
            "relation_layer is 9, where the teacher",
            "from 0 to 5",
        ),
        ({"relation_weight": 1, "relation_heads": 5}, shape(2, 3), "5 relation_heads do not divide", "divisor of 8"),
        ({"relation_weight": 1}, None, "see inside the student, whose architecture is not known", "set both to 0"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, object], student: Shape | None, what: str, fix: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        check_states(settings(**given), student, shape(6))
    assert fix in str(caught.value.fix)


def test_without_weights_nothing_is_asked_of_the_shapes() -> None:
    assert check_states(settings(hidden_layers=[99], relation_heads=5), None, None) is None


def test_rows_of_a_label_are_not_counted_where_each_token_has_one() -> None:
    counts = settings(augment={"per_label": 40}).augment
    check_label_of_rows(counts, "row")
    check_label_of_rows(settings(augment={"copies": 2}).augment, "token")
    with pytest.raises(InputError, match=r"augment\.per_label counts the rows of each label, and here each token"):
        check_label_of_rows(counts, "token")
