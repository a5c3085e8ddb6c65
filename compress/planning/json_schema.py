"""JSON Schema of recipes, for editors."""

from typing import Any

from compress import stages, tasks
from compress.recipe.schema import Recipe


def recipe_schema() -> dict[str, Any]:
    """JSON Schema of a recipe, with the settings of every stage, for editors."""
    schema = Recipe.model_json_schema()
    definitions = schema["$defs"]
    variants = []
    for name in stages.names():
        stage = stages.find(name)
        step_schema = stage.config.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
        for inner, definition in step_schema.pop("$defs", {}).items():
            definitions[f"{name}.{inner}"] = definition
        roles = {
            role: {
                **_role_type(requirement),
                "description": f"A step or a model's source, format {requirement.format}.",
            }
            for role, requirement in stage.inputs.items()
        }
        step_schema["title"] = name
        step_schema["properties"] = {
            "name": definitions["Step"]["properties"]["name"],
            "stage": {"const": name},
            **roles,
            **step_schema.get("properties", {}),
        }
        step_schema["required"] = ["name", "stage", *step_schema.get("required", [])]
        step_schema["additionalProperties"] = False
        definitions[f"step.{name}"] = step_schema
        variants.append({"$ref": f"#/$defs/step.{name}"})
    definitions["TaskSpec"]["properties"]["type"]["enum"] = tasks.names()
    metric = definitions["TaskSpec"]["properties"]["metric"]
    del metric["default"]  # it depends on the task
    metric["enum"] = list(dict.fromkeys(name for task in tasks.names() for name in tasks.metrics(task)))
    definitions["Step"] = {"type": "object", "required": ["name", "stage"], "oneOf": variants}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema


def _role_type(requirement: stages.Input) -> dict[str, Any]:
    """The JSON type of an input: a name, or also a list of names."""
    name = {"type": "string"}
    return {"anyOf": [name, {"type": "array", "items": name, "minItems": 1}]} if requirement.many else dict(name)
