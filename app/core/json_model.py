"""Values that are sent as JSON in camelCase, and JSON as it is stored."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic_core import to_json


class Model(BaseModel):
    """A value that is sent as JSON in camelCase and kept in a Redis hash as text, field by field."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    def json_dict(self) -> dict[str, Any]:
        """As it is sent."""
        return self.model_dump(by_alias=True, mode="json")

    def json_text(self) -> str:
        """The same as text, as `compact` has it."""
        return self.model_dump_json(by_alias=True)


def compact(value: Any) -> str:
    """JSON on one line, with text as it is; line ends and control characters are escaped, so it fits any framing."""
    return to_json(value).decode()
