from itertools import pairwise

import numpy as np
import pytest

from compress.data.augmentation import MASKED, cut_part, mix, splice, vary, words_of

WORDS = [f"w{number}" for number in range(40)]
NEAR = {word: [f"{word}a", f"{word}b"] for word in WORDS}
ALL = {"swap": 1.0, "delete": 1.0, "neighbours": 1.0}


def random(seed=0):
    return np.random.default_rng(seed)


def test_words_and_signs_are_told_apart():
    assert words_of("Rates rose 3.5%,  don't  sell\n") == [
        "Rates",
        "rose",
        "3",
        ".",
        "5",
        "%",
        ",",
        "don",
        "'",
        "t",
        "sell",
    ]
    assert words_of("  ") == []


def test_the_same_seed_gives_the_same_variant_and_another_another():
    made = [vary(WORDS, 0.3, ALL, NEAR, random(seed)) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]


@pytest.mark.parametrize("share", [0.05, 0.25, 1.0])
def test_near_words_replace_just_the_share(share):
    made = vary(WORDS, share, {"neighbours": 1.0}, NEAR, random())
    changed = [(old, new) for old, new in zip(WORDS, made, strict=True) if old != new]
    assert len(changed) == round(share * 40)
    assert all(new in NEAR[old] for old, new in changed)


def test_deletion_takes_out_just_the_share_and_keeps_the_order():
    made = vary(WORDS, 0.25, {"delete": 1.0}, {}, random())
    assert len(made) == 30
    assert made == [word for word in WORDS if word in made]


def test_a_swap_changes_two_words_that_stand_side_by_side():
    made = vary(WORDS, 0.2, {"swap": 1.0}, {}, random())
    moved = [place for place in range(40) if made[place] != WORDS[place]]
    assert len(moved) == 8
    assert sorted(made) == sorted(WORDS)
    assert all((made[a], made[a + 1]) == (WORDS[a + 1], WORDS[a]) for a in moved[::2])


def test_the_ways_are_drawn_by_their_weights():
    lost = 0
    for seed in range(200):
        lost += 40 - len(vary(WORDS, 0.25, {"delete": 1.0, "neighbours": 3.0}, NEAR, random(seed)))
    assert lost / 200 == pytest.approx(10 * 0.25, abs=0.3)


def test_a_way_that_fits_no_word_gives_way_to_the_others():
    made = vary(WORDS, 0.25, {"neighbours": 1.0, "delete": 1.0}, {"w3": ["near"]}, random())
    assert len(made) in {30, 31}
    assert vary(["same", "same"], 0.5, {"swap": 1.0}, {}, random()) == ["same", "same"]


@pytest.mark.parametrize("words", [[], ["alone"]])
def test_a_text_never_loses_its_last_word(words):
    assert vary(words, 1.0, {"delete": 1.0, "swap": 1.0}, {}, random()) == words
    assert len(vary(WORDS, 1.0, {"delete": 1.0}, {}, random())) == 1


def test_words_to_be_masked_are_marked_and_signs_are_not():
    words = ["Rates", "rose", "3", "%", "a", MASKED, "today"]
    made = vary(words, 1.0, {"masked": 1.0}, {}, random())
    assert made == [MASKED + "Rates", MASKED + "rose", "3", "%", "a", MASKED, MASKED + "today"]


@pytest.mark.parametrize(("first", "second"), [(40, 20), (3, 100), (1, 1), (0, 5)])
def test_a_mixed_text_is_a_part_of_each_as_long_as_both_shares(first, second):
    own, other = WORDS[:first], [f"v{number}" for number in range(second)]
    seen = set()
    for seed in range(50):
        mixed = mix(own, other, random(seed))
        parts = [[word for word in mixed if word in source] for source in (own, other)]
        assert mixed in (parts[0] + parts[1], parts[1] + parts[0])
        for part, source in zip(parts, (own, other), strict=True):  # neighbours in the source
            assert not part or source[source.index(part[0]) :][: len(part)] == part
        if first == 40:
            assert abs(len(parts[0]) / 40 + len(parts[1]) / 20 - 1) < 0.05
            assert 8 <= len(parts[0]) <= 32
        seen.add(tuple(mixed))
    assert len(seen) > 1 or first + second < 3


def test_a_part_is_consecutive_words_of_any_number():
    parts = [cut_part(WORDS, random(seed)) for seed in range(400)]
    for part in parts:
        start = WORDS.index(part[0])
        assert part == WORDS[start : start + len(part)]
    assert {len(part) for part in parts} == set(range(2, 40))
    assert {part[0] for part in parts} >= set(WORDS[:30])
    assert {tuple(cut_part(["a", "b", "c"], random(seed))) for seed in range(30)} == {("a", "b"), ("b", "c")}


@pytest.mark.parametrize("words", [[], ["alone"], ["a", "pair"]])
def test_texts_of_two_words_or_fewer_are_not_cut(words):
    assert cut_part(words, random()) == words


def test_a_spliced_text_goes_over_at_a_word_of_both():
    first = "the plot is thin and the end is weak .".split()
    second = "no doubt the cast is good , and it is a joy .".split()
    pairs = [*pairwise(first), *pairwise(second)]
    spliced = {tuple(splice(first, second, random(seed))) for seed in range(200)}
    assert tuple("the plot is good , and it is a joy .".split()) in spliced
    assert tuple("the plot is thin and the cast is good , and it is a joy .".split()) in spliced
    for words in spliced:
        assert all(pair in pairs for pair in pairwise(words))  # it reads on everywhere
        assert words[0] == "the"
        assert words[-2:] == ("joy", ".")
    assert tuple(first) not in spliced
    assert tuple(second) not in spliced


def test_texts_without_a_word_of_both_are_mixed():
    own, other = WORDS[:20], [f"v{number}" for number in range(20)]
    assert splice(own, other, random(4)) == mix(own, other, random(4))
    assert splice(own, [], random(4)) == mix(own, [], random(4))


def test_draws_stay_those_of_older_stores():
    # a student of an older store is made again with the same variants, so no draw may change
    near = {word: ["x", "y", "z"] for word in WORDS}
    made = vary(WORDS[:12], 0.5, {"swap": 1.0, "delete": 1.0, "neighbours": 2.0}, near, random(7))
    assert " ".join(made) == "z w1 w3 w4 w5 w7 w6 z w9 x w11"
