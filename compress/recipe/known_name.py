"""A setting whose value is a name that a room above knows: `runtime: onnxruntime`.

The rooms of what a recipe can name hold one file for each, and what other packages add. They stand above this one, so
they are asked by name, when a recipe is read.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema


@dataclass(frozen=True)
class KnownName:
    """Annotates a text: `Annotated[str, KnownName("compress.runtimes")]`.

    Attributes:
        room: the package whose `REGISTRY` knows the accepted ones.
    """

    room: str

    @property
    def registry(self) -> Any:
        """The `compress.registry.Registry` that knows the names."""
        return import_module(self.room).REGISTRY

    def checked(self, name: str) -> str:
        """The name, if it is one of them.

        Raises:
            ValueError: it is not; of a plug-in that cannot be used, with what is wrong with it.
        """
        names = self.registry.names()
        if name in names:
            return name
        if (refusal := self.registry.refusals().get(name)) is not None:
            raise ValueError(f"{refusal.what} ({refusal.fix})")
        *others, last = map(repr, names)
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(others)} or {last}"})

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Checks the text once it is one."""
        return core_schema.no_info_after_validator_function(self.checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Lists the names."""
        return {**handler(schema), "enum": self.registry.names()}
