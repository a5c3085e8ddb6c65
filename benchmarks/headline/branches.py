"""What stands beside each chain: the chain without each of its steps, and students of other sizes."""

from collections.abc import Mapping
from typing import Any

Step = dict[str, Any]
Steps = Mapping[str, Step]
"""The recipe's own, by name."""

UNTAUGHT = {"soft_weight": 0.0, "hard_weight": 1.0, "augment": {"copies": 0}}
"""Settings of a student that is trained on the labels alone."""
STUDENTS: dict[str, dict[str, Step]] = {
    "r8": {
        "untaught": {**UNTAUGHT, "epochs": 16},
        "unvaried": {"augment": {"copies": 0}, "epochs": 16},
        "untrimmed": {"student": None},
        "one_layer": {"layers": 1},
        "narrow": {"hidden": 64, "heads": 2, "ffn": 128},
    },
    "r52": {"untaught": {**UNTAUGHT, "epochs": 16}},
    "news20": {"untaught": UNTAUGHT},
}
"""By data set: name of a branch -> settings of the student in which it differs from the recipe's."""


def with_branches(recipe: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The recipe of a data set with all that stands beside it."""
    steps = {step["name"]: step for step in recipe["steps"]}
    added = [
        *_ending("undistilled", "trimmed", steps),
        {**steps["int8"], "name": "unskipped_int8", "model": "onnx"},
        _other_tables(steps["int8"]),
    ]
    if "polished" in steps:
        added += _ending("unpolished", "student", steps)
    for branch, settings in STUDENTS[name].items():
        student = {**steps["student"], **settings, "name": branch}
        added += [{key: value for key, value in student.items() if value is not None}, *_ending(branch, branch, steps)]
    return {**recipe, "name": f"{recipe['name']}-beside", "steps": [*recipe["steps"], *added]}


def _other_tables(int8: Step) -> Step:
    """The last step with its tables of embeddings in 4 bits if the recipe has them in 8, and the other way round."""
    bits = 4 if int8.get("embedding_bits", 8) == 8 else 8
    return {**int8, "name": f"tables_of_{bits}_bits", "model": "skipped", "embedding_bits": bits}


def _ending(branch: str, model: str, steps: Steps) -> list[Step]:
    """Export, skipping and quantization as the recipe has them, of another model."""
    names = [f"{branch}_{step}" for step in ("onnx", "skipped", "int8")]
    reads = [model, *names[:-1]]
    own = [steps[step] for step in ("onnx", "skipped", "int8")]
    return [{**step, "name": named, "model": read} for step, named, read in zip(own, names, reads, strict=True)]
