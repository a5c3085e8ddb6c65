"""The settings that the ablation tries: each a student of the trimmed teacher, or a chain of them."""

from dataclasses import dataclass
from typing import Any

Step = dict[str, Any]
TEACHER_STAND_IN = "teacher of seed {}"
"""A further teacher's name, until the run knows its folder."""
BATCH = {"batch_size": 32, "attention_dropout": 0.0}
LESSON: Step = {"stage": "distill", "teacher": "teacher", **BATCH, "epochs": 3, "augment": {"copies": 1}}
WHOLE: Step = {
    **LESSON,
    "student": "trimmed",
    "layers": 2,
    "epochs": 2,
    "learning_rate": 3e-4,
    "head_learning_rate": 3e-3,
}
"""Two whole layers of the teacher: what the settings of whole layers are held against."""
SMALL = {"hidden": 128, "heads": 4, "ffn": 256, "cuts": 1}
NARROW: Step = {**WHOLE, **SMALL, "epochs": 3, "learning_rate": 2e-3, "head_learning_rate": 6e-3}
"""The size of r8-strongest's student: what the settings of narrow students are held against."""
AGAIN: Step = {**LESSON, "epochs": 1, "learning_rate": 3e-4, "head_learning_rate": 3e-3}
"""A part of a chain that makes as many steps as a student at once."""
RECOVER: Step = {**BATCH, "epochs": 1, "learning_rate": 3e-4, "head_learning_rate": 3e-3, "augment": {"copies": 1}}


@dataclass(frozen=True)
class Setting:
    """One row of the ablation.

    Attributes:
        group: what is asked.
        words: how the row is called in the table.
        beside: the setting that it is held against, by name; its own name where it is that.
        steps: what follows the teacher and its trimming; the last is judged.
    """

    group: str
    words: str
    beside: str
    steps: tuple[Step, ...]


def _one(group: str, words: str, beside: str, **changed: Any) -> Setting:
    """A student that differs from its reference in these settings alone; None takes one away."""
    step = {**REFERENCES[beside], **changed}
    return Setting(group, words, beside, ({key: value for key, value in step.items() if value is not None},))


def _augmented(group: str, words: str, beside: str, epochs: int = 3, **augment: Any) -> Setting:
    return _one(group, words, beside, epochs=epochs, augment={"copies": 1, **augment})


def _chain(group: str, words: str, beside: str, *steps: Step) -> Setting:
    """Steps one after the other, each on what the one before made."""
    return Setting(group, words, beside, ({"student": "trimmed", **steps[0]}, *steps[1:]))


def _pruned(words: str, **settings: Any) -> Setting:
    cut = {"stage": "prune_structured", "teacher": "teacher", "score_rows": 512, "recover": RECOVER, **settings}
    return Setting("budget of a cut", words, "whole", (WHOLE, cut))


def _without(words: str, **student: Any) -> Setting:
    """A student without a transformer, as its stage trains it by default."""
    step = {"teacher": "teacher", "student": "trimmed", "augment": {"copies": 1}, **student}
    return Setting("without a transformer", words, "narrow", (step,))


def _stepwise(steps: int, **changed: Any) -> tuple[Step, ...]:
    """Cut, recover, again: from two whole layers to the narrow student.

    Args:
        changed: settings of all steps.
    """
    fast = {"learning_rate": 2e-3, "head_learning_rate": 6e-3}
    first = {**AGAIN, "layers": 2}
    middle = {**AGAIN, **SMALL, "hidden": 256, "heads": 8, "ffn": 768, "learning_rate": 1e-3}
    last = {**AGAIN, **SMALL, **fast}
    chain = (first, middle, last) if steps == 3 else (first, {**last, "epochs": 2})
    return tuple({**step, **changed} for step in chain)


REFERENCES = {
    "whole": WHOLE,
    "narrow": NARROW,
    "whole_untrimmed": {key: WHOLE[key] for key in WHOLE if key != "student"},
    "narrow_untrimmed": {key: NARROW[key] for key in NARROW if key != "student"},
}
"""What settings are held against. Inner states are learned from a teacher that reads the same tokens: untrimmed."""
OTHER_TEACHERS = ["teacher", TEACHER_STAND_IN.format(1), TEACHER_STAND_IN.format(2)]
MANY_ROWS = {"copies": 12, "mix": 0.5, "parts": 0.3, "unchanged": 0.5}
UNTAUGHT = {"soft_weight": 0.0, "hard_weight": 1.0, "augment": {"copies": 0}}

SETTINGS: dict[str, Setting] = {
    "whole": _one("reference", "two whole layers of the teacher", "whole"),
    "narrow": _one("reference", "two layers of 128 channels, 4 heads, 256 neurons", "narrow"),
    "bag": _without("a bag of n-grams", stage="distill_ngrams"),
    "convolution": _without("a convolution", stage="distill_convolution"),
    "layers_1": _one("depth", "one layer", "whole", layers=1),
    "layers_3": _one("depth", "three layers", "whole", layers=3),
    "layers_4": _one("depth", "four layers", "whole", layers=4),
    "narrow_4": _one("depth", "four layers", "narrow", layers=4),
    "first": _one("which layers", "the first two", "whole", layers_from="first"),
    "last": _one("which layers", "the last two", "whole", layers_from="last"),
    "width_256": _one("width", "256 channels, 8 heads, 768 neurons", "whole", hidden=256, heads=8, ffn=768, cuts=1),
    "width_192": _one("width", "192 channels, 6 heads, 512 neurons", "narrow", hidden=192, heads=6, ffn=512),
    "heads_kept": _one("what of a layer is kept", "12 heads, 256 neurons of 384 channels", "whole", ffn=256),
    "neurons_kept": _one("what of a layer is kept", "4 heads, 1,536 neurons of 384 channels", "whole", heads=4),
    "narrow_heads": _one("what of a layer is kept", "12 heads", "narrow", heads=12),
    "narrow_neurons": _one("what of a layer is kept", "1,536 neurons", "narrow", ffn=1536),
    "two_cuts": _chain("start", "whole layers first, then narrow", "narrow", *_stepwise(2)),
    "three_cuts": _chain("start", "whole layers, 256 channels, then narrow", "narrow", *_stepwise(3)),
    "narrow_many": _one("many rows", "13 times the rows, once, at once", "narrow", epochs=1, augment=MANY_ROWS),
    "three_cuts_many": _chain(
        "many rows", "the same in three cuts", "narrow", *_stepwise(3, augment=MANY_ROWS)
    ),
    "whole_many": _one("many rows", "13 times the rows, once", "whole", epochs=1, augment=MANY_ROWS),
    "layer_by_layer": _chain(
        "start", "four layers, then two", "whole", *({**AGAIN, "layers": layers} for layers in (4, 2))
    ),
    "whole_hidden": _one("inner states", "hidden states", "whole_untrimmed", hidden_weight=1.0),
    "whole_relations": _one("inner states", "relations", "whole_untrimmed", relation_weight=1.0),
    "narrow_hidden": _one("inner states", "hidden states", "narrow_untrimmed", hidden_weight=1.0),
    "narrow_relations": _one("inner states", "relations", "narrow_untrimmed", relation_weight=1.0),
    "narrow_both": _one("inner states", "both", "narrow_untrimmed", hidden_weight=1.0, relation_weight=1.0),
    "whole_untaught": _one("the teacher", "labels alone, 4 passes over the rows", "whole", **UNTAUGHT, epochs=4),
    "narrow_untaught": _one("the teacher", "labels alone, 6 passes over the rows", "narrow", **UNTAUGHT, epochs=6),
    "no_labels": _one("the teacher", "no labels", "narrow", hard_weight=0.0),
    "three_teachers": _one("the teacher", "the mean of three teachers", "whole", teacher=OTHER_TEACHERS),
    "narrow_three_teachers": _one("the teacher", "the mean of three teachers", "narrow", teacher=OTHER_TEACHERS),
    "copies_0": _augmented("transfer set, as many steps", "the rows alone, 6 passes", "narrow", 6, copies=0),
    "copies_5": _augmented("transfer set, as many steps", "5 variants, 1 pass", "narrow", 1, copies=5),
    "copies_3_long": _augmented("transfer set, more steps", "3 variants, 6 passes", "narrow", 6, copies=3),
    "copies_15": _augmented("transfer set, more steps", "15 variants, 2 passes", "narrow", 2, copies=15),
    "mixed": _augmented("ways of varying", "half of the variants mixed of two rows", "narrow", mix=0.5),
    "farther": _augmented("ways of varying", "two fifths of the words changed", "narrow", share=0.4),
    "neighbours": _augmented("ways of varying", "neighbouring words alone", "narrow", swap=0.0, delete=0.0),
    "parts": _augmented("ways of varying", "half of them consecutive parts of rows", "narrow", parts=0.5),
    "spliced": _augmented("ways of varying", "half of them spliced of two rows at a common word", "narrow", splice=0.5),
    "parts_unchanged": _augmented(
        "ways of varying", "consecutive parts of rows, words unchanged", "narrow", parts=1.0, unchanged=1.0
    ),
    "mixed_unchanged": _augmented(
        "ways of varying", "mixed of two rows, words unchanged", "narrow", mix=1.0, unchanged=1.0
    ),
    "in_order": _augmented("ways of varying", "no words swapped", "narrow", swap=0.0),
    "whole_slow": _one("rate", "1e-4 for 3e-4", "whole", learning_rate=1e-4),
    "whole_fast": _one("rate", "6e-4 for 3e-4", "whole", learning_rate=6e-4),
    "narrow_slow": _one("rate", "1e-3 for 2e-3", "narrow", learning_rate=1e-3),
    "narrow_fast": _one("rate", "4e-3 for 2e-3", "narrow", learning_rate=4e-3),
    "narrow_6": _one("schedule", "6 passes", "narrow", epochs=6),
    "narrow_12": _one("schedule", "12 passes", "narrow", epochs=12),
    "whole_4": _one("schedule", "4 passes", "whole", epochs=4),
    "cosine": _one("schedule", "cosine", "narrow", schedule="cosine"),
    "narrow_untrimmed": _one("vocabulary", "all tokens", "narrow", student=None),
    "whole_untrimmed": _one("vocabulary", "all tokens", "whole", student=None),
    "twice": Setting("vocabulary", "tokens used twice and more", "narrow", (
        {"stage": "trim_vocabulary", "model": "teacher", "min_count": 2}, {**NARROW, "student": None}
    )),
    "four_times": Setting("vocabulary", "tokens used four times and more", "narrow", (
        {"stage": "trim_vocabulary", "model": "teacher", "min_count": 4}, {**NARROW, "student": None}
    )),
    "uniform_half": _pruned("half of heads and neurons, uniform", heads=0.5, ffn=0.5),
    "global_half": _pruned("half of heads and neurons, global", heads=0.5, ffn=0.5, budget="global"),
    "uniform_most": _pruned("three quarters, uniform", heads=0.75, ffn=0.75),
    "global_most": _pruned("three quarters, global", heads=0.75, ffn=0.75, budget="global"),
}  # fmt: skip
"""By name, in the table's order."""


def steps_of(name: str, teachers: dict[str, str]) -> list[Step]:
    """A setting's steps as a recipe has them, named, each reading the one before; the last is called as the setting.

    Args:
        teachers: the folders of further teachers, by their stand-ins.
    """
    steps = SETTINGS[name].steps
    names = [f"{name}-{number}" for number in range(1, len(steps))] + [name]
    made = []
    for number, (step, named) in enumerate(zip(steps, names, strict=True)):
        named_step = {"name": named, **step}
        if number:
            named_step[_reads(step)] = names[number - 1]
        if isinstance(step.get("teacher"), list):
            named_step["teacher"] = [teachers.get(teacher, teacher) for teacher in step["teacher"]]
        made.append(named_step)
    return made


def _reads(step: Step) -> str:
    """The role in which a step reads the model before it."""
    return "student" if step["stage"].startswith("distill") else "model"
