"""The description as a judge: whether an answer or an event is one that it has, with nothing in it that it has not."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
from jsonschema_rs import Draft202012Validator, ValidationError

from tests.support import data

_COMPONENTS = "#/components/schemas/"


class Contract:
    """An OpenAPI document that answers are held against."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.seen: set[tuple[str, int]] = set()
        self._closed = _closed(document["components"])
        self._paths = [
            (re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), path, item)
            for path, item in document["paths"].items()
        ]

    async def check(self, answer: httpx.Response) -> None:
        """An event hook of httpx: raises AssertionError for an answer that is not described."""
        request = answer.request
        path, operation = self._operation(request.method, request.url.path)
        label = f"{request.method} {path} {answer.status_code}"
        assert str(answer.status_code) in operation["responses"], label
        said = operation["responses"][str(answer.status_code)]
        self.seen.add((operation["operationId"], answer.status_code))
        for name, header in said.get("headers", {}).items():
            assert name in answer.headers or not header.get("required"), f"{label}: no {name}"
        kind = answer.headers.get("content-type", "").partition(";")[0]
        assert kind in said.get("content", {"": None}), f"{label}: {kind or 'no content type'}"
        if kind.endswith("json"):
            await answer.aread()
            self._fits(answer.json(), said["content"][kind]["schema"], label)

    def check_event(self, event: Any) -> None:
        """Raises AssertionError for an event of a stream, or of a poll, that is not described."""
        if isinstance(event, dict):
            self._fits(event, {"$ref": f"{_COMPONENTS}Event"}, event["type"])
            return
        ways = self._closed["schemas"]["ServerSentEvent"]["oneOf"]
        own = next(way for way in ways if way["properties"]["event"]["const"] == event.event)
        said = {"event": event.event, "data": event.data, "id": event.id, "retry": event.retry}
        # As a browser does, this parser gives an event without an id the last one's.
        named = {name: value for name, value in said.items() if name != "id" or "id" in own["properties"]}
        self._fits({name: value for name, value in named.items() if value is not None}, own, event.event)
        self._fits(data(event), own["properties"]["data"]["contentSchema"], event.event)

    def _operation(self, method: str, path: str) -> tuple[str, dict[str, Any]]:
        for pattern, template, item in self._paths:
            if pattern.fullmatch(path):
                return template, item[method.lower()]
        raise AssertionError(f"{method} {path} is not described")

    def _fits(self, value: Any, schema: dict[str, Any], label: str) -> None:
        whole = {**_closed(schema), "components": self._closed}
        try:
            Draft202012Validator(whole, validate_formats=True).validate(value)
        except ValidationError as error:
            raise AssertionError(f"{label}: {error.message} at {error.instance_path}: {json.dumps(value)}") from error


def _closed(schema: Any) -> Any:
    """A schema whose objects have nothing but what is named."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    # Of an `allOf`, each part names only some.
    found = {name: value if name == "allOf" else _closed(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found
