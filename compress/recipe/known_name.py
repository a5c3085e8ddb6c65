"""A setting whose value is a name in a registry: `runtime: onnxruntime`.

The packages with these registries (of runtimes, for example) are on higher floors, so they are imported by name when a
recipe is read.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema


@dataclass(frozen=True)
class KnownName:
    """An annotation for a text that must be a registered name: `Annotated[str, KnownName("compress.runtimes")]`.

    Attributes:
        room: the package whose `REGISTRY` has the accepted names.
    """

    room: str

    @property
    def registry(self) -> Any:
        """The `compress.registry.Registry` with the accepted names."""
        return import_module(self.room).REGISTRY

    def checked(self, name: str) -> str:
        """The name, if it is accepted.

        Raises:
            ValueError: the name is unknown, or its plug-in cannot be used, with the reason.
        """
        names = self.registry.names()
        if name in names:
            return name
        if (refusal := self.registry.refusals().get(name)) is not None:
            raise ValueError(f"{refusal.what} ({refusal.fix})")
        *others, last = map(repr, names)
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(others)} or {last}"})

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema that checks the name after the type of the text."""
        return core_schema.no_info_after_validator_function(self.checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The JSON schema with the list of names."""
        return {**handler(schema), "enum": self.registry.names()}
